"""The ledger: the only meeting point of the two halves of the bridge.

In: `put` from the webhook side, `claim` and `settle` from the dispatcher's. Out: outcomes, claims, counts. Promises:

- `put` returns after the commit (fsynced), or raises and has kept nothing of that notification;
- arrivals of an alert are applied in the order in which `put` was called, across replicas in that of their commits;
- one holder per alarm at a time, and per alert strictly the oldest alarm first;
- counts are kept, not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import starmap
from typing import TypeVar

from sqlalchemy.engine import Connection

from bridge.clock import HOUR, SECOND, Clock, Millis
from bridge.errors import BridgeError, LedgerStartError, LedgerUnavailableError
from bridge.ledger import doubts, trace, transitions
from bridge.ledger.alarm import FINISHED, Action, Alarm, Claim, Effect, Key, PutReceipt, State
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.operations import claims as work
from bridge.ledger.operations import purge, queries
from bridge.ledger.operations.edits import Edit, Edited, Editor, MapAnew, rejected
from bridge.ledger.operations.put import PutParameters, put, put_one_by_one
from bridge.ledger.rare import RareRepeats
from bridge.ledger.replica_clock import ReplicaClock
from bridge.ledger.retention import Retention
from bridge.ledger.settings import LedgerSettings
from bridge.ledger.storage.database import Database, database
from bridge.ledger.writer.client import WritingProcess
from bridge.ledger.writer.group_commit import GroupCommit
from bridge.ledger.writer.messages import IncomingNotification, IncomingNotifications
from bridge.ledger.writer.transactions import Transactions
from bridge.log import logger

T = TypeVar("T")
Due = AbstractSet[tuple[str, Action]] | None
_HASTENED_AT_ONCE = 1_000
_WATCH: Millis = SECOND
"""How often the ledger looks for changes by the command line, and does a little upkeep."""

_OPENED_AT_ONCE = 10
"""Claimed alarms whose events are read in a row: webhooks wait for it."""

_RECOUNT: Millis = 15 * SECOND
"""How often counts are taken anew where other replicas change them too."""

_log = logger("ledger")


class Ledger:
    """Keeps every alarm durably.

    Args:
        settings: the `store:` section.
        reassert_after: for each target, after how long a repeat is reported again.
        clock: the time.
        writer: the process that writes, if there is one.
    """

    def __init__(
        self,
        settings: LedgerSettings,
        reassert_after: Mapping[str, Millis],
        clock: Clock,
        writer: WritingProcess | None = None,
    ) -> None:
        self._settings = settings
        self._reassert_after = reassert_after
        self._clock = clock
        self._database: Database = database(settings.url)
        self._transactions = Transactions(self._database, writer)
        self._group = GroupCommit(self._commit, self._room, self._transactions.can_travel, can_overlap=self.has_writer)
        self._tally = AlarmCounts()
        self._listeners: list[Callable[[Due], None]] = []
        self._expired: list[Callable[[Sequence[Alarm]], None]] = []
        self._rare_repeats = RareRepeats()
        self._edits = 0
        self._counted_at: Millis = 0
        self._replica_clock = ReplicaClock(clock, self.read, self._database.now)
        self._retention = Retention(
            self.read,
            self.write,
            self._database.trim,
            history=settings.history,
            clock=clock,
            count=self._count,
        )

    async def open(self) -> None:
        """Lock, migrate, and make due again what an earlier process held.

        Raises:
            LedgerStartError: the ledger cannot be used; the text names the fix.
            LedgerUnavailableError: it cannot be used now; a later try may succeed.
        """
        await self._transactions.open()
        try:
            await self._replica_clock.follow()
            if not self._database.is_shared:
                await self.write(partial(work.release, holder=None, now=self._clock()))
            await self._recount()
            self._check_targets()
            await self._transactions.travel(self._returned)
        except BaseException as error:
            await self._transactions.close(error)
            raise
        self._watcher = asyncio.create_task(self._watch(), name="ledger-watch")

    def hurry(self, seconds: float) -> None:
        """Wait for nothing that stands still longer than a part of this many seconds, since the bridge stops."""
        self._transactions.hurry(seconds)

    async def close(self) -> None:
        """Finish what was put, then close; puts from now on are refused."""
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)
        await self._group.stop()
        await self._transactions.close()

    @property
    def has_writer(self) -> bool:
        """Whether puts run in a process of their own."""
        return self._transactions.has_writer

    @property
    def place(self) -> str:
        """The database's address without secrets."""
        return self._database.place

    def _check_targets(self) -> None:
        """Refuse to start without a target that still has alarms: they, and all behind them, would wait for ever."""
        for (state, target), count in self._tally.states.items():
            if count and state not in FINISHED and target not in self._reassert_after:
                text = f"the ledger holds {count} alarm(s) {state} of target {target!r}, which is not configured"
                raise LedgerStartError(f"{text}. Fix: put the target back until they are cleared, or discard them.")

    def on_due(self, listener: Callable[[Due], None]) -> None:
        """Call ``listener`` in the event loop after each commit that made something due, with what: None for all."""
        self._listeners.append(listener)

    def on_expired(self, listener: Callable[[Sequence[Alarm]], None]) -> None:
        """Call ``listener`` in the event loop with alarms that have expired."""
        self._expired.append(listener)

    async def put(self, parcel: IncomingNotification, is_wanted: Callable[[], bool] = lambda: True) -> PutReceipt:
        """Keep the alerts of one notification; the outcomes are in its order.

        Args:
            parcel: the notification.
            is_wanted: asked just before the transaction; False leaves the notification out.

        Raises:
            PayloadError: it is no notification.
            LedgerFullError: it would have added an alarm to a full ledger.
            AbandonedError: it was no longer wanted.
            LedgerUnavailableError: the transaction failed or was not committed within 8 s, or the ledger is closing.
        """
        return await self._group.put(parcel, is_wanted)

    async def claim(
        self, target: str, action: Action, holder: str, limit: int, longest_wait: Millis = HOUR
    ) -> list[Claim]:
        """Take up to ``limit`` alarms of a target that are due for an action, until the lease ends.

        What is due later than in ``longest_wait`` or a lease is due now: the clock has stepped back.
        """
        lease, now = self._settings.lease, self._clock()
        horizon = now + max(lease, longest_wait)
        taken = await self._transactions.write(
            partial(
                work.claim,
                target=target,
                action=action,
                holder=holder,
                lease=lease,
                limit=limit,
                now=now,
                horizon=horizon,
            ),
            limit,
            is_durable=False,  # a claim that is lost is taken again
            can_travel=True,
        )
        claims, unreadable = [], []
        for number, one in enumerate(taken):
            if number % _OPENED_AT_ONCE == 0:
                await asyncio.sleep(0)  # webhooks have their turn
            try:
                claims.append(work.opened(one, action))
            except ValueError as error:
                detail = f"the stored event: {error}"
                unreadable.append(
                    work.Settlement(one.alarm, partial(transitions.rejected_unreadable, detail=detail, now=now))
                )
                _log.error("alarm rejected", id=one.alarm.id, target=target, reason="unreadable", detail=detail)
        with contextlib.suppress(LedgerUnavailableError):  # then they are claimed, and found unreadable, once more
            await self.settle(unreadable)
        return claims

    async def settle(self, settlements: Sequence[work.Settlement]) -> set[int]:
        """Apply what became of the alarms of one claim; return the numbers of those that it still held."""
        if not settlements:
            return set()
        holder = settlements[0].alarm.claimed_by or ""
        steps = [(settlement.alarm.seq, settlement.step) for settlement in settlements]
        settled = await self._transactions.write(
            partial(work.settle, holder=holder, steps=steps, now=self._clock()),
            len(settlements),
            is_durable=False,  # a settle that is lost repeats the push, as a crash just before it does
            can_travel=True,
        )
        self._count(settled.changes)
        if settled.due:
            self._wake(settled.due)
        return settled.seqs

    async def doubt(self, keys: Sequence[Key]) -> None:
        """Note that AOM may have taken a push whose claim was lost: what has been cleared since is looked up again."""
        now = self._clock()
        step = partial(transitions.doubted, doubt_at=now, now=now)
        self._count(await self.write(partial(work.change_newest, keys=keys, step=step)))
        self._wake()

    async def doubted(self, target: str, before: Millis, limit: int) -> list[Claim]:
        """Return open alarms of a target with doubts older than that, with the events to clear others like them.

        One whose doubt lies ahead is pulled back to now: the clock has stepped back, and it is looked at later.
        """
        now = self._clock()
        found = await self.read(lambda connection: work.doubted(connection, target, before, now, limit))
        ahead = [claim.alarm for claim in found if doubts.pulled_back(claim.alarm, now) is not claim.alarm]
        if ahead:
            await self._change_newest(ahead, partial(doubts.pulled_back, now=now))
        return [claim for claim in found if claim.alarm not in ahead]

    async def trust(self, alarms: Sequence[Alarm], before: Millis) -> None:
        """Note that a look into AOM has ended the doubts about these alarms that are older than that."""
        await self._change_newest(alarms, partial(doubts.trusted, before=before))

    async def take_back(self, alarms: Sequence[Alarm], action: Action, due_at: Millis) -> None:
        """Make rejected alarms due again, whose refusal was their target's fault."""
        await self._change_newest(
            alarms, partial(transitions.requeued, action=action, due_at=due_at, now=self._clock())
        )

    async def _change_newest(self, alarms: Sequence[Alarm], step: work.Rule) -> None:
        keys, seqs = [alarm.key for alarm in alarms], [alarm.seq for alarm in alarms]
        self._count(await self.write(partial(work.change_newest, keys=keys, step=step, seqs=seqs)))

    async def retry_now(self, target: str, action: Action, reasons: Sequence[str]) -> int:
        """Make due at once, the oldest first, what waits out a backoff for one of these reasons; return how many."""
        now, total = self._clock(), 0
        while True:
            count = await self.write(
                partial(work.retry_now, target=target, action=action, reasons=reasons, now=now, limit=_HASTENED_AT_ONCE)
            )
            total += count
            if count < _HASTENED_AT_ONCE:
                return total

    async def release(self, holder: str) -> None:
        """Make due again what a worker that has stopped still holds; ``holder`` is how its claims' names begin."""
        await self.write(partial(work.release, holder=holder, now=self._clock()))

    async def probe(self) -> None:
        """Write for real, on the way of a put.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now.
        """
        await self._transactions.write(partial(purge.mark_probed, now=self._clock()), 1, can_travel=True)

    def counts(self) -> Mapping[tuple[State, str], int]:
        """Return how many alarms there are in each (state, target)."""
        return self._tally.states

    def open_counts(self) -> Mapping[tuple[str, str], int]:
        """Return how many alarms are open for each (target, severity)."""
        return self._tally.open

    async def size(self) -> int:
        """Return how many bytes it takes where it lies."""
        return await self.read(self._database.size)

    def unfinished_of(self, target: str) -> int:
        """Return how many alarms of a target are not finished for good; what is rejected may still need a clear."""
        over = {*FINISHED} - {"rejected"}
        return sum(count for (state, name), count in self._tally.states.items() if name == target and state not in over)

    def reconfigure(self, reassert_after: Mapping[str, Millis]) -> None:
        """Judge repeats by these times from now on."""
        self._reassert_after = reassert_after

    async def waiting_since(self, targets: Iterable[str]) -> dict[str, Millis | None]:
        """Return since when the longest waiting alarm of each target is due."""
        names = tuple(targets)
        return await self.read(lambda connection: {name: queries.waiting_since(connection, name) for name in names})

    async def next_due(self, target: str, action: Action) -> Millis | None:
        """Return when the next alarm of a target comes due for an action."""
        return await self.read(lambda connection: queries.next_due(connection, target, action))

    async def write(self, step: Callable[[Connection], T]) -> T:
        """Run one transaction; as `Transactions.write`."""
        return await self._transactions.write(step)

    async def read(self, step: Callable[[Connection], T]) -> T:
        """Run one read beside the writes; as `Transactions.read`."""
        return await self._transactions.read(step)

    async def edit(self, edit: Edit, names: Sequence[str | int], map_anew: MapAnew) -> list[Edited]:
        """Retry, clear or discard alarms, each named as `read.named` reads it, or by its number."""
        now = self._clock()
        results = await self.write(lambda connection: Editor(connection, map_anew, now).run(edit, names))
        await self._edited()
        return results

    async def retry_all(self, target: str | None, source: str | None, map_anew: MapAnew) -> list[Edited]:
        """Retry every rejected alarm, of one target or source if named."""
        results: list[Edited] = []
        after = 0
        while found := await self.read(partial(rejected, target=target, source=source, after=after)):
            results += await self.edit("retry", found, map_anew)
            after = found[-1]
        return results

    async def _edited(self) -> None:
        await self._recount()
        self._wake()

    async def upkeep(self) -> None:
        """Do one step of upkeep: expire what AOM has cleared by age, purge what is history, give space back.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now.
        """
        expired = await self._retention.step()
        if expired:
            for listener in self._expired:
                listener(expired)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH / 1000)
            with contextlib.suppress(LedgerUnavailableError):  # puts and probes say so
                await self._replica_clock.follow()
                await self._look_for_edits()
                await self.upkeep()
                if self._database.is_log_long():  # claims and settles leave it to others to copy it back
                    await self.probe()

    def _returned(self) -> None:
        """Go on with a new writer process; what the last one was doing may have been kept, so count anew."""
        self._edits = -1
        self._group.go()

    async def _look_for_edits(self) -> None:
        edits, is_untold = await self.read(lambda c: (queries.edits(c), trace.is_untold(c)))
        is_old = self._database.is_shared and not 0 <= self._clock() - self._counted_at < _RECOUNT
        if edits != self._edits or is_old:
            await self._edited()
        if is_untold:
            await self.write(trace.tell)

    async def _recount(self) -> None:
        """Count anew; where nobody else writes, behind the writes under way, so that the counts stay exact."""
        self._counted_at = self._clock()
        run = self.read if self._database.is_shared else self.write
        self._edits, self._tally = await run(
            lambda c: (queries.edits(c), AlarmCounts(queries.counts(c), queries.open_counts(c)))
        )

    async def _commit(self, parcels: Sequence[IncomingNotification]) -> list[PutReceipt | BridgeError]:
        terms = PutParameters(self._reassert_after, self._room(), self._clock())
        parcels = IncomingNotifications(parcels)
        result = await self._transactions.write(
            partial(put, parcels=parcels, terms=terms),
            sum(parcel.rows for parcel in parcels),
            can_travel=True,
            otherwise=partial(put_one_by_one, parcels=parcels, terms=terms),
        )
        self._count(result.changes)
        self._rare_repeats.warn(result.rare)
        asyncio.get_running_loop().call_soon(self._wake, result.due)
        return list(starmap(_receipt, zip(result.outcomes, result.notes, strict=True)))

    def _room(self) -> int:
        """Return how many alarms may still be added."""
        unfinished = sum(count for (state, _), count in self._tally.states.items() if state not in FINISHED)
        return self._settings.max_open - unfinished

    def _count(self, changes: AlarmCounts) -> None:
        self._tally.add(changes)

    def _wake(self, due: Due = None) -> None:
        for listener in self._listeners:
            listener(due)


def _receipt(outcomes: list[Effect] | BridgeError, notes: bytes) -> PutReceipt | BridgeError:
    return outcomes if isinstance(outcomes, BridgeError) else PutReceipt(outcomes, notes)
