"""Shared by `Ledger`, `DueAlarms` and `AlarmRecords`: transactions, counts, and listeners for alarms that become due.

In: operations on an open transaction. Out: their results, with the counts kept up to date. It must not know what an
operation does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeVar

from sqlalchemy.engine import Connection

from bridge.clock import Clock, Millis
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.operations import queries
from bridge.ledger.operations.put import PutParameters
from bridge.ledger.states import STATES, Action
from bridge.ledger.storage.database import Database
from bridge.ledger.writer.transactions import Transactions

T = TypeVar("T")
Due = AbstractSet[tuple[str, Action]] | None
"""Targets and actions for which alarms are due; None for all."""


class Core:
    """The transactions, the counts and the listeners of one ledger.

    Args:
        transactions: the transactions on the database.
        database: the database of the ledger.
        clock: the time.
        max_open: the maximum number of unfinished alarms.
        reassert_after: for each target: a repeat is reported again when the last accepted report is at least this old.

    Attributes:
        counts: how many alarms there are; updated with each transaction, and counted again by `recount`.
        edits: the number of edits by the command line at the last count.
        counted_at: the time of the last count.
    """

    def __init__(
        self,
        transactions: Transactions,
        database: Database,
        clock: Clock,
        max_open: int,
        reassert_after: Mapping[str, Millis],
    ) -> None:
        self.transactions = transactions
        self.database = database
        self.clock = clock
        self.counts = AlarmCounts()
        self.reassert_after = reassert_after
        self._max_open = max_open
        self.edits = 0
        self.counted_at: Millis = 0
        self._on_due: list[Callable[[Due], None]] = []
        self._on_edit: list[Callable[[], None]] = []

    async def read(self, operation: Callable[[Connection], T]) -> T:
        """Run one read beside the writes; as `Transactions.read`."""
        return await self.transactions.read(operation)

    async def write(self, operation: Callable[[Connection], T]) -> T:
        """Run one transaction; as `Transactions.write`."""
        return await self.transactions.write(operation)

    def on_due(self, listener: Callable[[Due], None]) -> None:
        """Call ``listener`` in the event loop after each commit that made alarms due."""
        self._on_due.append(listener)

    def notify_due(self, due: Due = None) -> None:
        """Call the listeners with the targets and actions for which alarms became due."""
        for listener in self._on_due:
            listener(due)

    def on_edit(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` in the event loop after each edit by a person, through the API or the command line."""
        self._on_edit.append(listener)

    def notify_edit(self) -> None:
        """Call the listeners of edits, and those of alarms that became due."""
        for listener in self._on_edit:
            listener()
        self.notify_due()

    def count(self, changes: AlarmCounts) -> None:
        """Add the changes that a transaction made to the counts."""
        self.counts.add(changes)

    async def recount(self) -> None:
        """Count again; if no other process writes, after the writes in progress, so that the counts stay exact."""
        self.counted_at = self.clock()
        run = self.read if self.database.is_shared else self.write
        self.edits, self.counts = await run(
            lambda c: (queries.edits(c), AlarmCounts(queries.counts(c), queries.open_counts(c)))
        )

    def put_parameters(self) -> PutParameters:
        """Return the parameters of a put that begins now."""
        return PutParameters(self.reassert_after, self.remaining(), self.clock())

    def remaining(self) -> int:
        """Return how many alarms may still be added."""
        states = self.counts.states.items()
        return self._max_open - sum(count for (state, _), count in states if not STATES[state].is_finished)
