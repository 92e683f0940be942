"""The commands `aom-bridge check-config` and `check-web-config`: what is wrong, missing or doubtful in a file.

In: names of files. Out: lines for people or JSON for programs, and an exit code: 1 when a file has a problem, 2 when
one cannot be read. The files are read by the loader of `serve`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from bridge import config
from bridge.cli.options import DEFAULT_CONFIG, Commands, add_command, find_config
from bridge.cli.terminal import complain, pretty, say

_CODES = {0: "every file is right", 1: "a file is wrong", 2: "a file cannot be read"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result for one file; its fields are what ``--format json`` prints."""

    file: str
    """Its name as it was given."""

    problems: list[config.Problem]
    """What keeps `serve` from running well with it, in the order of the file."""

    warnings: list[config.Problem]
    """What is doubtful, or missing where the check runs."""

    summary: str = ""
    """What a good file contains."""

    is_unreadable: bool = False
    """Whether the file could not be read, so that nothing was checked."""

    @property
    def is_good(self) -> bool:
        """Whether no problem was found."""
        return not self.problems

    @classmethod
    def of(cls, file: str, *, allow_unset: bool) -> Check:
        """Check a file; ``allow_unset``: a missing variable or file with a secret is only a warning."""
        try:
            loaded = config.load(file, allow_unset=allow_unset)
        except config.ConfigError as error:
            is_unreadable = isinstance(error, config.UnreadableError)
            return cls(file=file, problems=error.problems, warnings=[], is_unreadable=is_unreadable)
        summary = f"{len(loaded.settings.targets)} target(s), {len(loaded.settings.mapping.rules)} rule(s)"
        problems, warnings = ([], loaded.missing) if allow_unset else (loaded.missing, [])
        return cls(file=file, problems=problems, warnings=sorted(warnings + loaded.doubts), summary=summary)

    @classmethod
    def of_web(cls, file: str) -> Check:
        """Check a file of `--web.config.file`, and the certificates, keys and tokens that it refers to."""
        from bridge.web import read_policy

        try:
            policy = read_policy(file)
        except config.ConfigError as error:
            is_unreadable = isinstance(error, config.UnreadableError)
            return cls(file=file, problems=error.problems, warnings=[], is_unreadable=is_unreadable)
        return cls(file=file, problems=[], warnings=list(policy.doubts), summary=policy.summary)


def register(commands: Commands) -> None:
    """Add both commands."""
    text = "check configuration files as serve would load them"
    check = add_command(commands, "check-config", _run, text, codes=_CODES)
    check.add_argument("files", nargs="*", metavar="FILE", help=f"default: {DEFAULT_CONFIG}")
    check.add_argument(
        "--allow-unset", action="store_true", help="only warn of ${VARIABLES} that are not set and of missing files"
    )
    web = add_command(commands, "check-web-config", _run_web, "check files of --web.config.file", codes=_CODES)
    web.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="web configuration; certificates, keys and tokens it refers to are checked too",
    )
    for command in (check, web):
        command.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def _run(arguments: argparse.Namespace) -> int:
    files = arguments.files or [find_config()]
    return _print([Check.of(file, allow_unset=arguments.allow_unset) for file in files], arguments.format)


def _run_web(arguments: argparse.Namespace) -> int:
    return _print([Check.of_web(file) for file in arguments.files], arguments.format)


def _print(checks: Sequence[Check], form: str) -> int:
    """Print the results as text or JSON; return the exit code."""
    if form == "json":
        say(*pretty(checks))
    else:
        for check in checks:
            _print_text(check)
    if any(check.is_unreadable for check in checks):
        return 2
    return 0 if all(check.is_good for check in checks) else 1


def _print_text(check: Check) -> None:
    complain(*(problem.line_of(check.file) for problem in check.problems))
    complain(*(f"warning: {problem.line_of(check.file)}" for problem in check.warnings))
    if check.is_good:
        say(f"{check.file}: SUCCESS: {check.summary}")
    else:
        complain(f"{check.file}: FAILED: {len(check.problems)} problem(s)")
