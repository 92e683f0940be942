"""Tries a mapping section that a person edits on alerts that they paste, and compares it with the one in use; pure.

In: a `TrialRequest`, and the `RunningRules` to compare with. Out: a `TrialResult`: the loader's own messages with the
lines of the edited text, what each alert becomes, and what would change for alerts of the ledger. Nothing is kept or
sent. It takes as long as the text makes it take, so the bridge runs it in a process of its own (`process`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import yaml

from bridge.clock import Millis
from bridge.errors import PayloadError
from bridge.mapping.explain import Change, Explanation, GroupedAlert, differences, explain
from bridge.mapping.mapper import Mapper
from bridge.mapping.playground.pasted import Pasted, read_pasted
from bridge.mapping.settings import MappingSettings
from bridge.mapping.surroundings import Surroundings
from bridge.typed_yaml.document import compose
from bridge.typed_yaml.problems import ConfigError, Problem, suggest
from bridge.typed_yaml.reader import Reader

MAX_LISTED = 200
"""The most alerts that are explained, and as many that are listed as changed; all are counted."""

MAX_LISTED_BYTES = 1 << 20
"""The most bytes of JSON that explanations may take, and as many for changes."""

_KEY = "mapping"
_NAME = "the mapping"
_FIX = "write rules, or mapping: {}"

Shown = TypeVar("Shown")


class TrialRequest(msgspec.Struct, frozen=True):
    """What is tried.

    ``webhook``: the body of a webhook or a list of alerts; blank: none. ``mapping``: the YAML of a mapping section,
    with or without its key; None: the one in use. ``source``: of the pasted alerts; None: the first. ``kept``: alerts
    of the ledger, for which the rules are compared with those in use.
    """

    webhook: str = ""
    mapping: str | None = None
    source: str | None = None
    kept: tuple[GroupedAlert, ...] = ()


class RunningRules(msgspec.Struct, frozen=True):
    """The rules in use: the YAML of their section, the variables that it names, and what it needs of other sections."""

    surroundings: Surroundings
    mapping: str = "mapping: {}\n"
    variables: dict[str, str] = {}


class TrialProblem(msgspec.Struct, frozen=True):
    """A message of the loader about the edited text; line and column count from 1. ``fix``: empty if it names none."""

    line: int
    column: int
    path: str
    text: str
    fix: str


class ChangedAlert(msgspec.Struct, frozen=True):
    """An alert of the ledger that would become something else."""

    source: str
    fingerprint: str
    alertname: str
    changes: tuple[Change, ...]


class TrialResult(msgspec.Struct, frozen=True):
    """What was found out.

    ``error``: why there is no result, such as a template that took too long. ``problems``: what is wrong with the
    edited text; then nothing is explained or compared. ``warnings``: what is doubtful about it. ``webhook_error``: what
    is wrong with the pasted alerts. ``alerts``: how many were pasted, of which ``explanations`` has the first.
    ``truncated``: how many Alertmanager itself had cut off. ``compared``: how many alerts of the ledger;
    ``changed``: of how many of them the rules make something else, of which ``changes`` has the first.
    """

    error: str | None = None
    problems: tuple[TrialProblem, ...] = ()
    warnings: tuple[TrialProblem, ...] = ()
    webhook_error: str | None = None
    explanations: tuple[Explanation, ...] = ()
    alerts: int = 0
    truncated: int = 0
    changes: tuple[ChangedAlert, ...] = ()
    compared: int = 0
    changed: int = 0


class _Read(msgspec.Struct, frozen=True):
    """A mapping section that was read; ``settings``: None if it has problems."""

    settings: MappingSettings | None
    problems: tuple[TrialProblem, ...] = ()
    warnings: tuple[TrialProblem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A text with the key of the section at its top."""

    mapping: MappingSettings = field(default_factory=MappingSettings)


def tried(request: TrialRequest, running: RunningRules, now: Millis) -> TrialResult:
    """Try rules on alerts.

    Args:
        request: what is tried.
        running: the rules in use.
        now: the time, for the reports.
    """
    pasted, webhook_error = _pasted(request, running.surroundings)
    read = _read(running.mapping if request.mapping is None else request.mapping, running)
    result = TrialResult(
        problems=read.problems,
        warnings=read.warnings,
        webhook_error=webhook_error,
        alerts=len(pasted.alerts),
        truncated=pasted.truncated,
    )
    if read.settings is None:
        return result
    mapper = running.surroundings.mapper(read.settings)
    result = _with_explanations(result, read.settings, mapper, pasted, now)
    return result if request.mapping is None else _with_changes(result, mapper, request.kept, running)


def _pasted(request: TrialRequest, surroundings: Surroundings) -> tuple[Pasted, str | None]:
    """Return the pasted alerts, or what is wrong with them."""
    source = surroundings.sources[0] if request.source is None else request.source
    if source not in surroundings.sources:
        return Pasted(()), f"no source is called {source[:64]!r}. Fix: {suggest(source[:64], surroundings.sources)}"
    try:
        return read_pasted(request.webhook, source), None
    except PayloadError as error:
        return Pasted(()), str(error)


def _with_explanations(
    result: TrialResult, settings: MappingSettings, mapper: Mapper, pasted: Pasted, now: Millis
) -> TrialResult:
    explanations = (explain(settings, mapper, grouped, now) for grouped in pasted.alerts)
    return msgspec.structs.replace(result, explanations=tuple(_first(explanations)))


def _with_changes(
    result: TrialResult, mapper: Mapper, kept: tuple[GroupedAlert, ...], running: RunningRules
) -> TrialResult:
    in_use = _read(running.mapping, running).settings if kept else None
    if in_use is None:
        return result
    old = running.surroundings.mapper(in_use)
    found = ((grouped, differences(old, mapper, grouped)) for grouped in kept)
    changed = [_changed(grouped, changes) for grouped, changes in found if changes]
    return msgspec.structs.replace(result, changes=tuple(_first(changed)), compared=len(kept), changed=len(changed))


def _changed(grouped: GroupedAlert, changes: tuple[Change, ...]) -> ChangedAlert:
    name = grouped.alert.labels.get("alertname", "")
    return ChangedAlert(grouped.source, grouped.alert.fingerprint, name, changes)


def _first(shown: Iterable[Shown]) -> Iterator[Shown]:
    """Yield the first values, as many as `MAX_LISTED` and `MAX_LISTED_BYTES` allow."""
    size = 0
    for count, one in enumerate(shown, 1):
        size += len(msgspec.json.encode(one))
        if size > MAX_LISTED_BYTES:
            return
        yield one
        if count == MAX_LISTED:
            return


def _read(text: str, running: RunningRules) -> _Read:
    """Read a mapping section as the loader does, except that variables which are not set are only warned of."""
    reader = Reader(_NAME, running.variables, allow_unset=True)
    try:
        node = compose(text.encode(errors="replace"), _NAME, _FIX)
    except ConfigError as error:
        return _Read(None, _told(error.problems))
    settings = _section(reader, node)
    if settings is not None:
        _check(reader, settings, running.surroundings)
    # As the loader: unset variables are all replaced by the same word, and would make different rules look equal.
    doubts = [] if reader.missing else reader.doubts
    is_good = settings is not None and not reader.problems
    return _Read(settings if is_good else None, _told(reader.problems), _told([*reader.missing, *doubts]))


def _section(reader: Reader, node: yaml.Node) -> MappingSettings | None:
    """Return the section, below its key or not; None if it has problems."""
    if isinstance(node, yaml.MappingNode) and any(key.value == _KEY for key, _ in node.value):
        file = reader.read(node, _File, "")
        return file.mapping if isinstance(file, _File) else None
    settings = reader.read(node, MappingSettings, _KEY)
    return settings if isinstance(settings, MappingSettings) else None


def _check(reader: Reader, settings: MappingSettings, surroundings: Surroundings) -> None:
    """Note what is wrong or doubtful beside the other sections of the configuration in use."""
    for key, text in surroundings.problems(settings):
        reader.note_at(f"{_KEY}.{key}", text)
    for key, text in surroundings.doubts(settings):
        reader.doubt_at(f"{_KEY}.{key}", text)


def _told(problems: Iterable[Problem]) -> tuple[TrialProblem, ...]:
    return tuple(_told_one(problem) for problem in sorted(problems))


def _told_one(problem: Problem) -> TrialProblem:
    text, _, fix = problem.text.partition(" Fix: ")
    return TrialProblem(problem.line, problem.column, problem.path, text, fix)
