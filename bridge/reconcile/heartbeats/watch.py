"""Watches the switches of all heartbeats: looks again and again at when each has shown a sign last.

In: the settings of heartbeats, the ledger. Out: the state of each switch, as metrics, and for the clears that wait for
a late one. Of several bridges on one ledger one leads; each shows the states. What follows from the time of a sign is
decided by `bridge.reconcile.heartbeats.states`, and done by `bridge.reconcile.heartbeats.switch_alarms`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from bridge.clock import MINUTE, SECOND, Clock, Millis
from bridge.errors import LedgerUnavailableError
from bridge.ledger import Heartbeats, OpenAlarms
from bridge.log import ThrottledLine, logger
from bridge.mapping.switches import Switch
from bridge.metrics import Metrics
from bridge.notification import Labels, Sign
from bridge.reconcile.coverage import Round
from bridge.reconcile.heartbeats.earlier_alarms import end_earlier_alarms
from bridge.reconcile.heartbeats.explanation import PeersView
from bridge.reconcile.heartbeats.settings import HeartbeatConfig
from bridge.reconcile.heartbeats.states import STATES, Verdict, verdicts
from bridge.reconcile.heartbeats.switch_alarms import SwitchAlarms, Targets
from bridge.reconcile.tracks import Sighting

_MAX_PAUSE: Millis = 15 * SECOND
_LOOKS = 10
"""A switch is looked at so often within the shortest time after which one is missing, at least."""

_MIN_LEASE: Millis = 15 * SECOND
_LEASES = 3

_log = logger("heartbeats")


class HeartbeatWatch:
    """Watches every heartbeat.

    Args:
        config: what the configuration says of them.
        ledger: the signs.
        open_alarms: the alarms.
        metrics: where states are shown.
        clock: the time.
        holder: the name of this bridge among those on the same ledger.
    """

    def __init__(
        self,
        config: HeartbeatConfig,
        ledger: Heartbeats,
        open_alarms: OpenAlarms,
        *,
        metrics: Metrics,
        clock: Clock,
        holder: str,
    ) -> None:
        self._config = config
        self._switches = config.switches
        self._has_earlier_alarms = bool(config.heartbeats)
        self._ledger = ledger
        self._open_alarms = open_alarms
        self._alarms = SwitchAlarms(ledger, open_alarms, clock, holder)
        self._metrics = metrics
        self._clock = clock
        self._since: dict[str, Millis] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._absent: dict[str, dict[str, Millis | None]] = {}
        self._back_at: dict[str, Millis] = {}
        self._views: dict[str, PeersView] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unavailable = ThrottledLine(partial(_log.error, "heartbeats cannot be watched without the ledger"))

    @property
    def verdicts(self) -> Mapping[str, Verdict]:
        """The verdict of every switch, by its fingerprint, as of the last look."""
        return self._verdicts

    async def start(self) -> None:
        """Begin to watch; without heartbeats it only ends the alarms of earlier ones."""
        self._expect()
        with contextlib.suppress(LedgerUnavailableError):  # the first look tries again
            await self._see()
        self._task = asyncio.create_task(self._run(), name="heartbeats")

    async def stop(self) -> None:
        """End to watch, and give up the lead."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            with contextlib.suppress(LedgerUnavailableError):  # then the lease ends by itself
                await self._alarms.give_up()

    def reconfigure(self, config: HeartbeatConfig) -> None:
        """Use other settings; a heartbeat that is new is expected from now on."""
        for name in {one.name for one in self._config.heartbeats} - {one.name for one in config.heartbeats}:
            self._metrics.forget_heartbeat(name)
        self._has_earlier_alarms = config.heartbeats != self._config.heartbeats
        self._config, self._switches = config, config.switches
        self._expect()
        self._changed.set()

    def switch(self, source: str, labels: Labels) -> Switch | None:
        """Return the heartbeat of which an alert is a sign, if there is one."""
        return self._switches.find(source, labels)

    async def note(
        self, source: str, latest: Round, signs: Collection[tuple[Sign, Sighting]], *, is_complete: bool
    ) -> None:
        """Note the signs that a round has shown, if they are newer than what is stored by more than a little.

        Args:
            source: the source that was asked.
            latest: the round.
            signs: those that it has shown, each as its alert is listed.
            is_complete: whether every peer answered, so that a sign that is not shown is absent.
        """
        listed, shown = self._absent.setdefault(source, {}), frozenset(sign.fingerprint for sign, _ in signs)
        self._views[source] = PeersView(latest.failures, tuple(answer.url for answer in latest.answers), shown)
        self._back_at.update(dict.fromkeys((name for name in shown if listed.get(name) is not None), self._clock()))
        listed.update(dict.fromkeys(shown))
        for name in listed.keys() - shown if is_complete else ():
            listed[name] = listed[name] or self._clock()
        newer = [(sign, one.updated_at) for sign, one in signs if self._is_newer(sign, one.updated_at)]
        if newer:
            await self._ledger.note(newer)

    def _is_newer(self, sign: Sign, seen_at: Millis) -> bool:
        known = self._verdicts.get(sign.fingerprint)
        if known is None or known.row is None:
            return True
        return seen_at - known.row.seen_at >= min(known.settings.every // _LOOKS, MINUTE)

    def holds_back(self, source: str, labels: Labels, absent_since: Millis, wait: Millis) -> bool:
        """Say whether a switch holds back the clear of an absent alert.

        Args:
            source: the source.
            labels: the alert's.
            absent_since: since when the alert is absent.
            wait: for how long it does so once it is back: its Prometheus posts its other alerts later than its sign.
        """
        now, absent, back_at = self._clock(), self._absent.get(source, {}), self._back_at
        covering = {name: one for name, one in self._verdicts.items() if one.covers(labels)}
        return any(one.holds_back(source, absent.get(name), now) for name, one in covering.items()) or any(
            one.is_settling(source, back_at[name], absent_since, wait, now)
            for name, one in covering.items()
            if name in back_at
        )

    def _expect(self) -> None:
        now = self._clock()
        self._since = {one.name: self._since.get(one.name, now) for one in self._config.heartbeats}

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._look()
            except LedgerUnavailableError as error:
                self._unavailable.add(error=str(error))
            except Exception:  # noqa: BLE001 - whatever it was, the next look may do better
                _log.exception("unexpected error while heartbeats were watched; retrying")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._pause() / 1000)

    def _pause(self) -> Millis:
        shortest = min((one.missing_after for one in self._config.heartbeats), default=_MAX_PAUSE * _LOOKS)
        return min(shortest // _LOOKS, _MAX_PAUSE)

    async def _look(self) -> None:
        """Look at every switch once; the leader raises, repeats and ends alarms."""
        await self._see()
        if self._has_earlier_alarms:
            config = self._config
            is_done = await end_earlier_alarms(
                self._switches, config.sources, self._ledger, self._open_alarms, self._clock
            )
            self._has_earlier_alarms = config is not self._config or not is_done
        lease = max(_LEASES * self._pause(), _MIN_LEASE)
        held = await self._alarms.held()
        if (self._config.heartbeats or held) and await self._alarms.lead(lease):
            targets = Targets(self._config.default_target, self._config.timeouts)
            await self._alarms.act(self._verdicts, held, targets, self._views)

    async def _see(self) -> None:
        rows, now, before = await self._ledger.switches(), self._clock(), self._verdicts
        self._verdicts = {
            one.sign.fingerprint: one
            for settings in self._config.heartbeats
            for one in verdicts(settings, rows, self._since[settings.name], now)
        }
        back = [name for name, one in self._verdicts.items() if name in before and one.is_back(before[name])]
        self._back_at.update(dict.fromkeys(back, now))
        for settings in self._config.heartbeats:
            self._show(settings.name, [one for one in self._verdicts.values() if one.settings.name == settings.name])

    def _show(self, name: str, switches: Sequence[Verdict]) -> None:
        """Show the switches of one heartbeat as metrics: how many are in each state, and the oldest last sign."""
        counts = Counter(one.state for one in switches)
        for state in STATES:
            self._metrics.heartbeat_state.labels(name, state).set(counts[state])
        oldest = min((0 if one.row is None else one.row.seen_at for one in switches), default=0)
        self._metrics.heartbeat_last_seen.labels(name).set(oldest / 1000)
