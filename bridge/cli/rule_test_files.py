"""What `aom-bridge test-rules` does: it runs unit tests of mapping rules, as `promtool test rules` does.

In: files that name a configuration and list alerts with what is expected of them. Out: for each test the differences,
none if it passes; a report for CI systems; and an exit code: 1 when a test fails, 2 when a file cannot be read. Only
what is expected is compared: a subset is enough. It maps with the bridge's own mapper and sends nothing.
"""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bridge import config
from bridge.cli.terminal import say
from bridge.clock import MINUTE, format_rfc3339, parse_rfc3339, system_clock
from bridge.errors import BridgeError, of_file
from bridge.mapping import Mapper
from bridge.notification import Alert, Group, fingerprint
from bridge.typed_yaml.section import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedAlert:
    """An alert as a test writes it; a field that is not given has its default."""

    labels: dict[str, str]
    annotations: dict[str, str] = field(default_factory=dict)
    status: Literal["firing", "resolved"] = "firing"
    starts_at: str = ""
    generator_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedGroup:
    """The group that the alert comes with."""

    receiver: str = "aom"
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is compared; a field that is not given is not compared."""

    rule: str | None = None
    target: str | None = None
    dropped: bool = False
    heartbeat: str | None = None
    severity: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """One test."""

    name: str
    alert: TestedAlert
    expect: Expected
    group: TestedGroup = field(default_factory=TestedGroup)
    source: str | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the test itself: pairs of the key and the sentence."""
        problems = []
        if self.alert.starts_at and not _is_time(self.alert.starts_at):
            problems.append(("alert.starts_at", "it is not a time. Fix: such as 2026-11-23T08:00:00Z."))
        if self.expect == Expected():
            fix = "Fix: a rule, a target, metadata, annotations, dropped or heartbeat."
            problems.append(("expect", f"nothing is expected. {fix}"))
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTests:
    """A file of tests; ``config``: the configuration, relative to the file."""

    config: str
    tests: tuple[RuleTest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one test; ``differences``: lines, empty if it passed."""

    name: str
    differences: list[str]


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    results = [(file, *_run_safely(file)) for file in arguments.files]
    for file, tests, _ in results:
        say(f"Unit Testing:  {file}")
        for result in tests:
            if result.differences:
                say(f"  FAILED: {result.name}", *(f"    {line}" for line in result.differences))
        if not any(result.differences for result in tests):
            say(f"  SUCCESS: {len(tests)} test(s)")
    if arguments.junit:
        write_junit(arguments.junit, [(file, tests) for file, tests, _ in results])
    return max(code for _, _, code in results)


def _run_safely(file: str) -> tuple[list[Result], int]:
    """Run one file and return an exit code; a file that cannot be used is a failed test, and the others still run."""
    try:
        results = run_file(file)
    except config.ConfigError as error:
        code = 2 if isinstance(error, config.UnreadableError) else 1
        return [Result(name="the file itself", differences=error.lines())], code
    return results, int(any(result.differences for result in results))


def run_file(file: str) -> list[Result]:
    """Run the tests of a file.

    Raises:
        BridgeError: it, or its configuration, cannot be read; the error names every mistake.
    """
    read = config.read_as(RuleTests, config.read_file(file), file)
    settings = config.load(str(Path(file).parent / read.config), allow_unset=True, needs_targets=False).settings
    mapper = settings.mapper()
    return [Result(name=test.name, differences=_differences(test, mapper, settings.source)) for test in read.tests]


def _differences(test: RuleTest, mapper: Mapper, source: str) -> list[str]:
    sign = mapper.switches.sign(test.source or source, test.alert.labels)
    if sign is not None or test.expect.heartbeat is not None:
        return _different("heartbeat", test.expect.heartbeat or "none", "none" if sign is None else sign.heartbeat)
    group = Group(test.group.receiver, "{}", test.group.labels, test.alert.labels, {}, "")
    result = mapper.map(test.source or source, _alert(test.alert), group)
    mapped, expect = result.mapped, test.expect
    differences = _different("rule", expect.rule, mapped.rule)
    differences += _different("dropped", "true" if expect.dropped else None, str(mapped.event is None).lower())
    if mapped.event is None:
        wanted = expect.target or expect.severity or expect.metadata or expect.annotations
        is_missed = wanted and not expect.dropped
        return differences + ([f"dropped by {mapped.rule}, so there is no event"] if is_missed else [])
    differences += _different("target", expect.target, mapped.target)
    differences += _different("severity", expect.severity, mapped.event.severity)
    for kind, wanted, got in (
        ("metadata", expect.metadata, mapped.event.metadata),
        ("annotations", expect.annotations, mapped.event.annotations),
    ):
        for key, value in wanted.items():
            differences += _different(f"{kind}.{key}", value, got.get(key))
    fallbacks = result.fallbacks if differences else ()
    return differences + [f"fallback of {each.field} in {each.rule}: {each.problem}" for each in fallbacks]


def _different(what: str, expected: str | None, got: str | None) -> list[str]:
    if expected is None or expected == got:
        return []
    return [
        f"{what}:",
        f"  expected: {expected!r}",
        f"  got:      {got!r}" if got is not None else "  got:      nothing",
    ]


def _alert(tested: TestedAlert) -> Alert:
    starts_at = parse_rfc3339(tested.starts_at or format_rfc3339(system_clock() - MINUTE))
    labels = {name: value for name, value in tested.labels.items() if value}
    return Alert(
        fingerprint(labels),
        tested.status,
        labels,
        tested.annotations,
        starts_at,
        starts_at + MINUTE if tested.status == "resolved" else None,
        tested.generator_url,
    )


def _is_time(text: str) -> bool:
    try:
        parse_rfc3339(text)
    except ValueError:
        return False
    return True


def junit(results: Sequence[tuple[str, Sequence[Result]]]) -> str:
    """Return the results of files as XML in the format of JUnit, which CI systems read."""
    root = ET.Element("testsuites")
    for file, tests in results:
        failures = sum(bool(result.differences) for result in tests)
        suite = ET.SubElement(root, "testsuite", name=file, tests=str(len(tests)), failures=str(failures))
        for result in tests:
            case = ET.SubElement(suite, "testcase", name=result.name, classname=file)
            if result.differences:
                failure = ET.SubElement(case, "failure", message=result.differences[0])
                failure.text = "\n".join(result.differences)
    for element in root.iter():
        element.text = _fit(element.text) if element.text else element.text
        for name, value in element.items():
            element.set(name, _fit(value))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _fit(text: str) -> str:
    """Return a text without the characters that XML cannot contain."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def write_junit(file: str, results: Sequence[tuple[str, Sequence[Result]]]) -> None:
    """Write the report; raises BridgeError when it cannot be written."""
    try:
        Path(file).write_text(junit(results), encoding="utf-8")
    except OSError as error:
        raise BridgeError(f"{file}: {of_file(error)}") from None
