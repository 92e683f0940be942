"""What follows from the time of a switch's last sign; pure.

In: the settings of a heartbeat, what the ledger knows of its switches, since when this bridge expects signs, and the
time. Out: a `Verdict` for each switch. No clock is read and nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args

import msgspec

from bridge.clock import DAY, Millis
from bridge.ledger import SwitchRow
from bridge.notification import Labels, Sign
from bridge.reconcile.heartbeats.settings import HeartbeatSettings

State = Literal["waiting", "ok", "late", "missing", "paused"]
"""``waiting``: no sign yet, and none is due. ``ok``: the last sign is younger than `every`. ``late``: it is older, and
younger than `missing_after`, or the bridge has been running for less than that. ``missing``: it is older than that, or
Alertmanager has told that the alert resolved. ``paused``: by the configuration."""

STATES: tuple[State, ...] = get_args(State)

FORGOTTEN_AFTER: Millis = 7 * DAY
"""A switch that was learnt from its labels is forgotten after this long without a sign."""


class Verdict(msgspec.Struct, frozen=True):
    """The state of one switch.

    ``since``: when its last sign came, or since when one is expected. ``has_ended``: Alertmanager has told that the
    alert resolved. ``row``: what the ledger knows; None: it has never shown a sign. ``is_forgotten``: it is to be
    forgotten.
    """

    sign: Sign
    state: State
    since: Millis
    settings: HeartbeatSettings
    has_ended: bool = False
    row: SwitchRow | None = None
    is_forgotten: bool = False

    def holds_back(self, source: str, absent_since: Millis | None, now: Millis) -> bool:
        """Say whether clears of absent alerts of a source wait: the switch is late or absent, and not for too long.

        Args:
            source: the source.
            absent_since: since when the source's Alertmanager no longer lists its alert; None: it does, or never did.
            now: the time.
        """
        if not self.concerns(source):
            return False
        since = self.since + self.settings.every if self.is_late else absent_since
        return since is not None and now - since < self.settings.hold

    @property
    def is_late(self) -> bool:
        """Whether its last sign is too old."""
        return self.state in ("late", "missing")

    def is_back(self, before: Verdict) -> bool:
        """Say whether it has shown a sign since it was late, as an earlier verdict of it tells."""
        return self.state == "ok" and before.is_late

    def is_settling(self, source: str, back_at: Millis, absent_since: Millis, wait: Millis, now: Millis) -> bool:
        """Say whether the clear of an absent alert of a source waits although the switch is back.

        Args:
            source: the source.
            back_at: when the switch came back.
            absent_since: since when the alert is absent.
            wait: how much later than its sign a Prometheus may post its other alerts.
            now: the time.
        """
        is_explained = absent_since <= back_at and now - absent_since < self.settings.hold + wait
        return self.concerns(source) and is_explained and now - back_at < wait

    def concerns(self, source: str) -> bool:
        """Say whether alerts of a source are its signs, and tell something."""
        return self.state != "paused" and self.settings.source in ("", source)

    def covers(self, labels: Labels) -> bool:
        """Say whether an alert carries the values of the switch's `by` labels."""
        return all(labels.get(name, "") == value for name, value in self.sign.by.items())


def verdicts(settings: HeartbeatSettings, rows: Iterable[SwitchRow], since: Millis, now: Millis) -> Iterator[Verdict]:
    """Yield the verdict of every switch of a heartbeat.

    Args:
        settings: of the heartbeat.
        rows: what the ledger knows of switches.
        since: since when this bridge expects signs of it: its own start, or the reload that declared it.
        now: the time.
    """
    own = [row for row in rows if row.sign.heartbeat == settings.name and set(row.sign.by) == set(settings.by)]
    for row in own:
        yield _verdict(settings, row.sign, row, since, now)
    if not own and not settings.by:
        yield _verdict(settings, Sign(settings.name, {}), None, since, now)


def of_all(every: Iterable[HeartbeatSettings], rows: Sequence[SwitchRow], now: Millis) -> list[Verdict]:
    """Return the verdict of every switch as a bridge that has run for long gives it."""
    return [one for settings in every for one in verdicts(settings, rows, 0, now)]


def _verdict(settings: HeartbeatSettings, sign: Sign, row: SwitchRow | None, since: Millis, now: Millis) -> Verdict:
    seen_at = since if row is None else row.seen_at
    has_ended = row is not None and row.ended_at is not None
    return Verdict(
        sign=sign,
        state=_state(settings, row, since, now),
        since=seen_at,
        settings=settings,
        has_ended=has_ended,
        row=row,
        is_forgotten=bool(settings.by) and now - seen_at >= FORGOTTEN_AFTER,
    )


def _state(settings: HeartbeatSettings, row: SwitchRow | None, since: Millis, now: Millis) -> State:
    if settings.paused:
        return "paused"
    seen_at = since if row is None else row.seen_at
    is_quiet = now - since < settings.missing_after  # it may have been this bridge that was away
    if row is not None and row.ended_at is not None:
        return "late" if is_quiet and row.ended_at < since else "missing"
    if now - seen_at >= settings.missing_after and not is_quiet:
        return "missing"
    if now - seen_at > settings.every:
        return "late"
    return "waiting" if row is None else "ok"
