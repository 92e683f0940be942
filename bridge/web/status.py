"""Says in one sentence whether AOM is in step, and if not, what is worst; pure.

In: what the ledger says, and what the configuration says of sources and heartbeats. Out: a sentence in plain words, the
worst thing first. The command `aom-bridge status` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bridge.clock import MINUTE, SECOND, Millis, format_duration
from bridge.ledger import LedgerStatus, TargetStatus

_MAX_WAIT: Millis = 10 * SECOND
"""An alarm that is sent at once waits for less."""

_MAX_AGE: Millis = 2 * MINUTE
_ROUNDS = 3


def sentences(status: LedgerStatus, intervals: Mapping[str, Millis], late_heartbeats: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong, the worst first; nothing if AOM is in step.

    Args:
        status: what the ledger says.
        intervals: how often the peers of each source are asked that has an Alertmanager.
        late_heartbeats: what is wrong with heartbeats, in words.
    """
    for name, target in status.targets.items():
        yield from _waiting(name, target, status.at)
    for name, target in status.targets.items():
        if rejected := target.states.get("rejected", 0):
            yield f"AOM has refused {_alarms(rejected)} of target {name}: aom-bridge alarms list --state rejected"
    for name, interval in intervals.items():
        yield from _silent(name, status, max(_MAX_AGE, _ROUNDS * interval))
    yield from late_heartbeats
    for name, source in status.sources.items():
        for kind, count in source.differences.items():
            yield f"{_alarms(count)} of source {name} should have changed by now ({kind}): aom-bridge diff"


def sentence(status: LedgerStatus, wrong: Sequence[str]) -> str:
    """Return the one sentence; ``wrong``: what `sentences` has yielded."""
    if wrong:
        return wrong[0]
    count = sum(source.open for source in status.sources.values())
    accepted_at = max((one.accepted_at or 0 for one in status.targets.values()), default=0)
    last = f", the last one taken {_ago(status.at - accepted_at)}" if accepted_at else ""
    return f"AOM is in step: {_alarms(count)} open{last}"


def _waiting(name: str, target: TargetStatus, now: Millis) -> Iterator[str]:
    oldest = target.oldest
    if oldest is None or now - oldest.due_since < _MAX_WAIT:
        return
    why = oldest.detail or oldest.reason or ""
    next_try = f"; next try in {_span(oldest.due_at - now)}" if oldest.due_at > now else ""
    verb = "waits" if target.waiting == 1 else "wait"
    since = f"for {_span(now - oldest.due_since)}"
    yield f"{_alarms(target.waiting)} {verb} for target {name} {since}{next_try}{': ' * bool(why)}{why}"


def _silent(name: str, status: LedgerStatus, most: Millis) -> Iterator[str]:
    covered_at = status.sources[name].covered_at
    age = None if covered_at is None else status.at - covered_at
    if age is None or age > most:
        since = "yet" if age is None else f"for {_span(age)}"
        what = "nothing is cleared by absence meanwhile: aom-bridge diff"
        yield f"not every Alertmanager of source {name} has answered {since}; {what}"


def _alarms(count: int) -> str:
    return f"{count} alarm" if count == 1 else f"{count} alarms"


def _ago(span: Millis) -> str:
    return f"{_span(span)} ago"


def _span(span: Millis) -> str:
    return format_duration(max(span, 0) // SECOND * SECOND)
