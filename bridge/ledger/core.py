"""What all faces of the ledger share: its transactions, its counts, and who is told of what has become due.

In: operations on an open transaction. Out: their results, with the counts kept up to date. It knows no operation.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TypeVar

from sqlalchemy.engine import Connection

from bridge.clock import Clock, Millis
from bridge.ledger.alarm import STATES, Action
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.operations import queries
from bridge.ledger.storage.database import Database
from bridge.ledger.writer.client import WritingProcess
from bridge.ledger.writer.transactions import Transactions

T = TypeVar("T")
Due = AbstractSet[tuple[str, Action]] | None
"""Targets and actions for which something is due; None for all."""


class Core:
    """The transactions, the counts and the listeners of one ledger.

    Args:
        database: where the ledger lies.
        clock: the time.
        writer: the process that writes, if there is one.
        max_open: how many unfinished alarms there may be.

    Attributes:
        counts: how many alarms there are; kept with each transaction, and counted anew by `recount`.
        edits: how often the alarms had been edited when they were counted.
        counted_at: when that was.
    """

    def __init__(self, database: Database, clock: Clock, writer: WritingProcess | None, max_open: int) -> None:
        self.database = database
        self.clock = clock
        self.transactions = Transactions(database, writer)
        self.counts = AlarmCounts()
        self._max_open = max_open
        self.edits = 0
        self.counted_at: Millis = 0
        self._on_due: list[Callable[[Due], None]] = []

    async def read(self, operation: Callable[[Connection], T]) -> T:
        """Run one read beside the writes; as `Transactions.read`."""
        return await self.transactions.read(operation)

    async def write(self, operation: Callable[[Connection], T]) -> T:
        """Run one transaction; as `Transactions.write`."""
        return await self.transactions.write(operation)

    def on_due(self, listener: Callable[[Due], None]) -> None:
        """Call ``listener`` in the event loop after each commit that made something due."""
        self._on_due.append(listener)

    def notify_due(self, due: Due = None) -> None:
        """Tell the listeners what has become due."""
        for listener in self._on_due:
            listener(due)

    def count(self, changes: AlarmCounts) -> None:
        """Change the counts as a transaction has changed the alarms."""
        self.counts.add(changes)

    async def recount(self) -> None:
        """Count anew; if no other process writes, behind the writes under way, so that the counts stay exact."""
        self.counted_at = self.clock()
        run = self.read if self.database.is_shared else self.write
        self.edits, self.counts = await run(
            lambda c: (queries.edits(c), AlarmCounts(queries.counts(c), queries.open_counts(c)))
        )

    def remaining(self) -> int:
        """Return how many alarms may still be added."""
        states = self.counts.states.items()
        return self._max_open - sum(count for (state, _), count in states if not STATES[state].is_finished)
