"""Says in one sentence whether AOM is in step, and if not, what is worst; pure.

In: what the ledger says, and what the configuration says of sources and heartbeats. Out: `Trouble`s, the worst first,
which each language can write. The status page shows them, and the command `aom-bridge status` prints them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from bridge.clock import MINUTE, SECOND, Millis
from bridge.ledger import LedgerStatus, TargetStatus
from bridge.web.languages import ENGLISH, Key, Language, Span, language

_MAX_WAIT: Millis = 10 * SECOND
"""An alarm that is sent at once waits for less."""

_ASKED_AGAIN: frozenset[str] = frozenset({"not_listed", "confirming"})
"""Reasons of a wait in which nothing has failed: AOM's list is looked at once more."""

_MAX_AGE: Millis = 2 * MINUTE
_ROUNDS = 3
_MAX_ROUND: Millis = 10 * SECOND
"""The time that a round may take: a peer that did not answer is reported after the interval and this time."""

_TRACE = re.compile(r" \(trace [^)]*\)")
"""What a sentence leaves out of AOM's answer: it differs with each try, and stands beside the target."""

Level = Literal["good", "warn", "bad"]


class Trouble(msgspec.Struct, frozen=True):
    """One sentence about the whole: what is wrong and what to do, or that nothing is.

    ``key`` and ``values``: of the text. ``level``: how bad it is. ``runbook``: the page of `docs/runbooks` that says
    more. ``state`` and ``target``: the alarms that it is about, as `/alarms` lists them.
    """

    key: str
    values: Mapping[str, object]
    level: Level
    runbook: str = ""
    state: str = ""
    target: str = ""

    def text(self, written: Language | None = None) -> str:
        """Return the sentence; in English without a language."""
        return (written or language(ENGLISH)).text(self.key, **self.values)

    @classmethod
    def of_check(cls, target: str, check: str, text: str) -> Trouble:
        """Return the trouble of a check of a target that fails; ``text``: why, with the fix."""
        return cls("status_check", {"target": target, "check": check, "text": text}, "bad", "AomBridgeTargetDown")

    @classmethod
    def of_heartbeat(cls, name: str, by: Mapping[str, str], state: str, age: Millis | None) -> Trouble:
        """Return the trouble of a switch that is late or missing.

        Args:
            name: of the heartbeat.
            by: the values of the labels that tell its switches apart.
            state: `late` or `missing`.
            age: of its last sign; None: there was none.
        """
        whole = "/".join([name, *(f"{label}={value}" for label, value in by.items())])
        values: dict[str, object] = {"name": whole, "state": Key(f"heartbeat_{state}")}
        if age is None:
            return cls("status_heartbeat_never", values, "warn", "HeartbeatMissing")
        return cls("status_heartbeat", {**values, "age": Span(max(age, 0))}, "warn", "HeartbeatMissing")


def troubles(
    status: LedgerStatus,
    intervals: Mapping[str, Millis],
    late_heartbeats: Sequence[Trouble],
    silent_peers: Mapping[str, str] = MappingProxyType({}),
) -> list[Trouble]:
    """Return what is wrong, the worst first; nothing if AOM is in step.

    Args:
        status: what the ledger says.
        intervals: how often the peers of each source are asked that has an Alertmanager.
        late_heartbeats: what is wrong with heartbeats.
        silent_peers: by source, the address of a peer that gave no valid answer in the last round.
    """
    return list(_troubles(status, intervals, late_heartbeats, silent_peers))


def in_step(status: LedgerStatus) -> Trouble:
    """Return the sentence for a bridge with which nothing is wrong."""
    count = sum(source.open for source in status.sources.values())
    accepted_at = max((one.accepted_at or 0 for one in status.targets.values()), default=0)
    if not accepted_at:
        return Trouble("status_in_step", {"count": count}, "good")
    values = {"count": count, "age": Span(max(status.at - accepted_at, 0))}
    return Trouble("status_in_step_since", values, "good")


def _troubles(
    status: LedgerStatus, intervals: Mapping[str, Millis], late: Sequence[Trouble], silent: Mapping[str, str]
) -> Iterator[Trouble]:
    for name, target in status.targets.items():
        yield from _waiting(name, target, status.at)
    for name, target in status.targets.items():
        if rejected := target.states.get("rejected", 0):
            values = {"count": rejected, "target": name}
            yield Trouble("status_rejected", values, "bad", "AomBridgeAlarmsRejected", "rejected", name)
    for name, interval in intervals.items():
        peer = silent.get(name, "")
        most = interval + _MAX_ROUND if peer else max(_MAX_AGE, _ROUNDS * interval)
        yield from _silent(name, status, most, peer)
    yield from late
    for name, source in status.sources.items():
        for kind, count in source.differences.items():
            values = {"count": count, "source": name, "kind": Key(f"difference_{kind}")}
            yield Trouble("status_difference", values, "warn", "AomBridgeDifferences")


def _waiting(name: str, target: TargetStatus, now: Millis) -> Iterator[Trouble]:
    oldest = target.oldest
    if oldest is None:
        return
    has_failed = oldest.reason is not None and oldest.reason not in _ASKED_AGAIN
    if not has_failed and now - oldest.due_since < _MAX_WAIT:
        return
    values: dict[str, object] = {"count": target.waiting, "target": name, "age": Span(now - oldest.due_since)}
    why = _TRACE.sub("", oldest.detail or oldest.reason or "")
    key = "status_waiting" + "_why" * bool(why) + "_next" * (oldest.due_at - now >= SECOND)
    values |= {"why": why, "next": Span(max(oldest.due_at - now, 0))}
    yield Trouble(key, values, "bad", "AomBridgeTargetUnavailable", "waiting", name)


def _silent(name: str, status: LedgerStatus, most: Millis, peer: str) -> Iterator[Trouble]:
    covered_at = status.sources[name].covered_at
    if covered_at is None:
        yield Trouble("status_silent", {"source": name}, "warn", "AomBridgeNotCovered")
    elif status.at - covered_at > most:
        values = {"source": name, "age": Span(status.at - covered_at), "peer": peer}
        yield Trouble("status_peer_silent" if peer else "status_silent_since", values, "warn", "AomBridgeNotCovered")
