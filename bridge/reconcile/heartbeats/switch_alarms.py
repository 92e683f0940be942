"""Raises, repeats and ends the alarms of switches, by the ledger's own rules.

In: the verdict of every switch. Out: alarms in the ledger, and log lines. Each change is applied only if the alarm is
as it was when the change was decided, and this bridge still leads. How an alarm reads is decided by
`bridge.reconcile.heartbeats.alarms`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bridge.clock import SECOND, Clock, Millis, format_rfc3339
from bridge.ledger import (
    Cause,
    EndedAlarm,
    Heartbeats,
    HeldAlarm,
    IncomingAlert,
    ListedChange,
    OpenAlarms,
)
from bridge.log import logger
from bridge.notification import HEARTBEATS
from bridge.reconcile.changes import needs_repeat
from bridge.reconcile.heartbeats import alarms
from bridge.reconcile.heartbeats.explanation import PeersView, explain
from bridge.reconcile.heartbeats.states import Verdict

_MAX_AGE: Millis = 5 * SECOND

_log = logger("heartbeats")


class Targets(msgspec.Struct, frozen=True):
    """Where the alarms go: the default target, and the `alarm_timeout` of each target."""

    default: str
    timeouts: Mapping[str, Millis]


class SwitchAlarms:
    """The alarms of all switches.

    Args:
        ledger: the signs.
        open_alarms: the alarms.
        clock: the time.
        holder: the name of this bridge among those on the same ledger.
    """

    def __init__(self, ledger: Heartbeats, open_alarms: OpenAlarms, clock: Clock, holder: str) -> None:
        self._ledger = ledger
        self._open_alarms = open_alarms
        self._clock = clock
        self._holder = holder
        self._targets = Targets("", {})
        self._views: Mapping[str, PeersView] = {}

    async def held(self) -> dict[str, HeldAlarm]:
        """Return the open alarms of switches, by fingerprint."""
        return {alarm.fingerprint: alarm for alarm in await self._open_alarms.held(HEARTBEATS)}

    async def lead(self, lease: Millis) -> bool:
        """Take or keep the lead for the length of a lease; say whether this bridge has it."""
        return await self._open_alarms.lead(HEARTBEATS, self._holder, lease)

    async def give_up(self) -> None:
        """Give up the lead."""
        await self._open_alarms.give_up(HEARTBEATS, self._holder)

    async def act(
        self,
        verdicts: Mapping[str, Verdict],
        held: Mapping[str, HeldAlarm],
        targets: Targets,
        views: Mapping[str, PeersView],
    ) -> None:
        """Do what follows from the verdicts.

        Args:
            verdicts: of every switch, by the fingerprint of its alarm.
            held: the open alarms of switches.
            targets: where the alarms go.
            views: what the peers of each source have shown last.
        """
        self._targets, self._views = targets, views
        absent = [name for name, one in verdicts.items() if one.state == "missing" and name not in held]
        last = await self._open_alarms.ended(HEARTBEATS, absent) if absent else {}
        verdicts = await self._remembered(verdicts, last)
        for name, one in verdicts.items():
            if name in absent:
                await self._raise(one, last.get(name))
            elif name in held:
                await self._keep_or_end(one, held[name])
        for name in held.keys() - verdicts.keys():
            await self._end_unknown(held[name])

    async def _remembered(
        self, verdicts: Mapping[str, Verdict], last: Mapping[str, EndedAlarm]
    ) -> Mapping[str, Verdict]:
        """Forget switches without a sign for days, or whose alarm an operator has ended; return the others."""
        gone = [
            name
            for name, one in verdicts.items()
            if one.is_forgotten or (one.settings.by and name in last and _is_overruled(last[name], one))
        ]
        if gone:
            await self._ledger.forget(gone)
        for name in gone:
            _log.info("heartbeat switch forgotten", heartbeat=alarms.name_of(verdicts[name].sign))
        return {name: one for name, one in verdicts.items() if name not in gone}

    async def _raise(self, verdict: Verdict, last: EndedAlarm | None) -> None:
        if last is not None and _is_overruled(last, verdict):
            return
        seq, last_seen, state = (None, None, None) if last is None else (last.seq, last.last_seen, last.state)
        alerts = (self._missing(verdict),)
        change = ListedChange("heartbeat", verdict.sign.fingerprint, seq, last_seen, state, alerts=alerts)
        if await self._apply(change) == "new":
            last_sign = format_rfc3339(verdict.since)
            _log.warning("heartbeat missing", heartbeat=alarms.name_of(verdict.sign), last_sign=last_sign)

    async def _keep_or_end(self, verdict: Verdict, alarm: HeldAlarm) -> None:
        """Repeat the alarm of a switch that is still missing, now and then; end that of one that is not."""
        has_sign = verdict.row is not None and verdict.since > alarm.newest_starts_at and not verdict.has_ended
        if verdict.state == "paused":
            await self._end(verdict, alarm, f"Heartbeat {alarms.name_of(verdict.sign)} is paused by the configuration.")
        elif has_sign:
            text = alarms.recovery_text(verdict, alarm.newest_starts_at)
            await self._end(verdict, alarm, text)
        elif verdict.state == "missing" and needs_repeat(alarm, self._clock()):
            await self._apply(_change(None, alarm, alerts=(self._missing(verdict),)))

    async def _end(self, verdict: Verdict, alarm: HeldAlarm, text: str) -> None:
        ending = alarms.recovered(verdict, text, alarm.newest_starts_at, self._place(verdict), self._clock())
        if await self._apply(_change("heartbeat", alarm, alerts=ending)) == "resolved":
            _log.info("heartbeat alarm ended", heartbeat=alarms.name_of(verdict.sign), reason=text)

    async def _end_unknown(self, alarm: HeldAlarm) -> None:
        """End the alarm of a switch that is forgotten, or whose heartbeat the configuration no longer has."""
        if await self._apply(_change("heartbeat", alarm, ends_at=self._clock())) == "resolved":
            _log.info("heartbeat alarm ended", fingerprint=alarm.fingerprint, reason="the heartbeat is gone")

    async def _apply(self, change: ListedChange) -> str | None:
        (effect,) = await self._open_alarms.apply(HEARTBEATS, self._holder, [change], _MAX_AGE)
        return effect

    def _missing(self, verdict: Verdict) -> IncomingAlert:
        views = [view for source, view in self._views.items() if verdict.concerns(source)]
        why = explain(verdict.sign.fingerprint, views, has_ended=verdict.has_ended)
        return alarms.missing(verdict, why, self._place(verdict))

    def _place(self, verdict: Verdict) -> alarms.Place:
        target = verdict.settings.target or self._targets.default
        return alarms.Place(target, self._targets.timeouts[target])


def _change(
    cause: Cause | None, alarm: HeldAlarm, *, ends_at: Millis | None = None, alerts: tuple[IncomingAlert, ...] = ()
) -> ListedChange:
    return ListedChange(
        cause, alarm.fingerprint, alarm.seq, alarm.last_seen, alarm.state, ends_at=ends_at, alerts=alerts
    )


def _is_overruled(last: EndedAlarm, verdict: Verdict) -> bool:
    """Say whether an operator has ended the alarm of a switch, and no sign has come since."""
    has_sign = verdict.row is not None and verdict.row.seen_at > last.last_seen
    return last.ended_by == "operator" and not has_sign
