"""The ledger as the web API sees it: searches, shows and edits alarms while the bridge runs.

In: filters, names of alarms, edits. Out: `AlarmView`s, one alarm with its history, and, for each edit, a sentence that
says what was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bridge.ledger.core import Core
from bridge.ledger.history import By
from bridge.ledger.operations import history, status
from bridge.ledger.operations.edits import Edited, Editor, MapAnew, rejected
from bridge.ledger.operations.history import AlarmDetail
from bridge.ledger.operations.search import AlarmPage, Search
from bridge.ledger.operations.search_filter import AlarmFilter
from bridge.ledger.operations.status import LedgerStatus
from bridge.ledger.states import Edit


class AlarmRecords:
    """Searches, shows and edits alarms.

    Args:
        core: the ledger's.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def search(self, chosen: AlarmFilter, seconds: float = 1.0) -> AlarmPage:
        """Return a page of alarms; other reads run between the steps of the search.

        Args:
            chosen: what is searched, and from where on.
            seconds: how long at most; the last step may take longer.

        Raises:
            CursorError: ``chosen.after`` is not the end of a page in this order.
            LedgerUnavailableError: the ledger does not answer.
        """
        searching = Search(chosen, seconds)
        page = None
        while page is None:
            page = await self._core.read(searching.step)
        return page

    async def status(self, targets: Sequence[str], sources: Sequence[str]) -> LedgerStatus:
        """Return what the ledger says of these targets and sources; finished alarms are counted in memory.

        Raises:
            LedgerUnavailableError: the ledger does not answer.
        """
        now, counts = self._core.clock(), dict(self._core.counts.states)
        return await self._core.read(lambda connection: status.status(connection, targets, sources, now, counts))

    async def show(self, name: str) -> AlarmDetail:
        """Return one alarm and its history, named by its id, a prefix of it, or its alert's fingerprint.

        Raises:
            UnknownAlarmError: no alarm has this name, or several have.
            LedgerUnavailableError: the ledger does not answer.
        """
        return await self._core.read(lambda connection: history.show(connection, name))

    async def edit(self, edit: Edit, names: Sequence[str | int], map_anew: MapAnew, by: By) -> Sequence[Edited]:
        """Retry, clear or discard alarms, each named as for `show`, or by its number.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now; nothing was changed.
        """
        now = self._core.clock()
        results = await self._core.write(lambda connection: Editor(connection, map_anew, by, now).run(edit, names))
        await self._core.recount()
        self._core.notify_edit()
        return results

    async def retry_all(self, target: str | None, source: str | None, map_anew: MapAnew, by: By) -> Sequence[Edited]:
        """Retry every rejected alarm, of one target or source if given."""
        results: Sequence[Edited] = []
        after = 0
        while seqs := await self._core.read(partial(rejected, target=target, source=source, after=after)):
            results = [*results, *await self.edit("retry", seqs, map_anew, by)]
            after = seqs[-1]
        return results
