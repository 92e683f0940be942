"""Checks one configuration file for `check-config` or `check-web-config`: what is wrong, missing here, or doubtful.

In: a file's name. Out: a `Check`, which people read line by line and programs as JSON. It uses serve's own loader.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge import config
from bridge.config import Problem
from bridge.web import read_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What came of one file.

    Attributes:
        file: its name as it was given.
        problems: what keeps `serve` from running well with it, in the order of the file.
        warnings: what is doubtful, or missing where the check runs.
        summary: what a good file holds.
        is_unreadable: nothing could be checked.
    """

    file: str
    problems: list[Problem]
    warnings: list[Problem]
    summary: str = ""
    is_unreadable: bool = False

    @property
    def is_good(self) -> bool:
        """Whether there is nothing wrong."""
        return not self.problems

    @classmethod
    def of(cls, file: str, *, allow_unset: bool) -> Check:
        """Check a file; ``allow_unset``: variables and secrets' files that are missing here are warnings only."""
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
        """Check a file of `--web.config.file` with all that it names."""
        try:
            policy = read_policy(file)
        except config.ConfigError as error:
            is_unreadable = isinstance(error, config.UnreadableError)
            return cls(file=file, problems=error.problems, warnings=[], is_unreadable=is_unreadable)
        return cls(file=file, problems=[], warnings=list(policy.doubts), summary=policy.summary)
