"""The ledger: the only connection between the receiving and the delivering half of the bridge.

In: `put` from the receiving half, claims and decisions from the delivering half. Out: effects, claims, counts. Its
promises:

- `put` returns after the commit (fsynced), or raises and has stored nothing of that notification;
- changes to an alert are applied in the order in which `put` was called, across replicas in the order of the commits;
- each alarm has one holder at a time, and of each alert only the oldest unfinished alarm is claimed;
- counts are updated with each transaction, and not queried when they are read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import starmap

from bridge.clock import SECOND, Clock, Millis
from bridge.errors import BridgeError, LedgerStartError, LedgerUnavailableError
from bridge.ledger import trace
from bridge.ledger.alarm import Alarm, Effect, PutReceipt
from bridge.ledger.audits import Audits
from bridge.ledger.core import Core
from bridge.ledger.due_alarms import DueAlarms
from bridge.ledger.heartbeats import Heartbeats
from bridge.ledger.incoming import IncomingNotification, NotificationReader
from bridge.ledger.open_alarms import OpenAlarms
from bridge.ledger.operations import claims as claim_operations
from bridge.ledger.operations import listed, queries
from bridge.ledger.operations.put import Refusal
from bridge.ledger.rare import RareRepeats
from bridge.ledger.records import AlarmRecords
from bridge.ledger.replica_clock import ReplicaClock
from bridge.ledger.retention import Retention
from bridge.ledger.settings import LedgerSettings
from bridge.ledger.states import STATES, State
from bridge.ledger.storage.database import database
from bridge.ledger.writer.client import WriterProcess
from bridge.ledger.writer.group_commit import GroupCommit
from bridge.ledger.writer.messages import ProbeRequest, PutRequest
from bridge.ledger.writer.transactions import Transactions
from bridge.log import logger

_WATCH_PAUSE: Millis = SECOND
"""The interval at which the ledger looks for edits by the command line, and does a step of upkeep."""

_RECOUNT_PAUSE: Millis = 15 * SECOND
"""The interval at which alarms are counted again where other replicas change them, too."""

_log = logger("ledger")


class Ledger:
    """Stores every alarm durably.

    Args:
        settings: the `store:` section.
        reassert_after: for each target: a repeat is reported again when the last accepted report is at least this old.
        clock: the time.
        reader: parses and maps notifications.
        writer: the ledger writer process; None: this process writes alone.

    Attributes:
        due: due alarms, for delivery.
        records: for listing, showing and editing alarms.
        open_alarms: those without an end, to be compared with Alertmanager.
        heartbeats: when each switch of a heartbeat has shown a sign.
        audits: the alarms that AOM should hold, to be compared with its list.
    """

    def __init__(
        self,
        settings: LedgerSettings,
        reassert_after: Mapping[str, Millis],
        clock: Clock,
        reader: NotificationReader,
        writer: WriterProcess | None = None,
    ) -> None:
        self._clock = clock
        ledger_database = database(settings.url)
        transactions = Transactions(ledger_database, writer, reader)
        self._core = core = Core(transactions, ledger_database, clock, settings.max_open, reassert_after)
        self.due = DueAlarms(core, settings.lease)
        self.records = AlarmRecords(core)
        self.open_alarms = OpenAlarms(core)
        self.heartbeats = Heartbeats(core)
        self.audits = Audits(core)
        self._group = GroupCommit(self._commit, core.remaining, transactions.can_begin, can_overlap=writer is not None)
        self._on_expired: list[Callable[[Sequence[Alarm]], None]] = []
        self._rare_repeats = RareRepeats()
        self._replica_clock = ReplicaClock(clock, core.read, core.database.now)
        self._retention = Retention(core, history=settings.history)
        self._watcher: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Lock and migrate the database, and make alarms due again that an earlier process held.

        Raises:
            LedgerStartError: the ledger cannot be used; the text names the fix.
            LedgerUnavailableError: it cannot be used now; a later try may succeed.
        """
        core = self._core
        await core.transactions.open()
        try:
            await self._replica_clock.follow()
            if not core.database.is_shared:
                await core.write(partial(claim_operations.release, holder=None, now=self._clock()))
                await core.write(listed.release_leads)
            await core.recount()
            self._check_targets()
            await core.transactions.start_process(self._after_restart)
        except BaseException as error:
            await core.transactions.close(error)
            raise
        self._watcher = asyncio.create_task(self._watch(), name="ledger-watch")

    def hurry(self, seconds: float) -> None:
        """Abort operations that make no progress for a part of this many seconds; the bridge is stopping."""
        self._core.transactions.hurry(seconds)

    async def close(self) -> None:
        """Finish the puts in progress, then close; later puts are refused."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._group.stop()
        await self._core.transactions.close()

    @property
    def location(self) -> str:
        """The database's address without secrets."""
        return self._core.database.location

    def _check_targets(self) -> None:
        """Refuse to start if an unfinished alarm's target is not configured: its alert would wait for ever."""
        for (state, target), count in self.counts().items():
            if count and not STATES[state].is_finished and target not in self._core.reassert_after:
                text = f"the ledger holds {count} alarm(s) {state} of target {target!r}, which is not configured"
                raise LedgerStartError(f"{text}. Fix: put the target back until they are cleared, or discard them.")

    def on_expired(self, listener: Callable[[Sequence[Alarm]], None]) -> None:
        """Call ``listener`` in the event loop with alarms that have expired."""
        self._on_expired.append(listener)

    async def put(self, notification: IncomingNotification, is_wanted: Callable[[], bool] = lambda: True) -> PutReceipt:
        """Store the alerts of one notification; the effects are in their order.

        Args:
            notification: the notification.
            is_wanted: called just before the transaction; False leaves the notification out.

        Raises:
            PayloadError: it is not a valid notification.
            LedgerFullError: it would have added an alarm to a full ledger.
            AbandonedError: ``is_wanted`` returned False.
            LedgerUnavailableError: the transaction failed or was not committed within 8 s, or the ledger is closing.
        """
        return await self._group.put(notification, is_wanted)

    async def probe(self) -> None:
        """Commit a small write on the same path as a put.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now.
        """
        await self._core.transactions.execute(ProbeRequest(self._clock()))

    def counts(self) -> Mapping[tuple[State, str], int]:
        """Return how many alarms there are in each (state, target)."""
        return self._core.counts.states

    def open_counts(self) -> Mapping[tuple[str, str], int]:
        """Return how many alarms are open for each (target, severity)."""
        return self._core.counts.open

    async def size(self) -> int:
        """Return the ledger's size in its database, in bytes."""
        return await self._core.read(self._core.database.size)

    def needing_target(self, target: str) -> int:
        """Return how many alarms need a target to stay configured; also rejected ones, which may still need a clear."""
        counts = self.counts().items()
        return sum(count for (state, name), count in counts if name == target and STATES[state].needs_target)

    def reconfigure(self, reassert_after: Mapping[str, Millis], reader: NotificationReader) -> None:
        """Use these times for repeats, and this reader, from now on."""
        self._core.reassert_after = reassert_after
        self._core.transactions.use(reader)

    async def upkeep(self) -> None:
        """Do one step of upkeep: expire alarms that AOM has cleared by age, purge old finished ones, free disk space.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now.
        """
        expired = await self._retention.step()
        if expired:
            for listener in self._on_expired:
                listener(expired)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_PAUSE / 1000)
            with contextlib.suppress(LedgerUnavailableError):  # puts and probes report it
                await self._replica_clock.follow()
                await self._look_for_edits()
                await self.upkeep()
                if self._core.database.is_log_long():  # claims and settles do not checkpoint it, a probe does
                    await self.probe()

    def _after_restart(self) -> None:
        """Use a new writer process; the last transaction of the previous one may be committed, so count again."""
        self._core.edits = -1
        self._group.begin()

    async def _look_for_edits(self) -> None:
        core = self._core
        edits, is_unlogged = await core.read(lambda c: (queries.edits(c), trace.is_unlogged(c)))
        is_old = core.database.is_shared and not 0 <= self._clock() - core.counted_at < _RECOUNT_PAUSE
        is_edited = edits != core.edits
        if is_edited or is_old:
            await core.recount()
            (core.notify_edit if is_edited else core.notify_due)()
        if is_unlogged:
            await core.write(trace.log_changes)

    async def _commit(self, notifications: list[IncomingNotification]) -> list[PutReceipt | BridgeError]:
        result = await self._core.transactions.execute(PutRequest(notifications, self._core.put_parameters()))
        self._core.count(result.changes)
        self._rare_repeats.warn(result.rare)
        asyncio.get_running_loop().call_soon(self._core.notify_due, result.due)
        return list(starmap(_receipt, zip(result.effects, result.reports, strict=True)))


def _receipt(effects: list[Effect] | Refusal, report: bytes) -> PutReceipt | BridgeError:
    return effects.error() if isinstance(effects, Refusal) else PutReceipt(effects, report)
