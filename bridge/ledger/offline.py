"""Searches, shows and edits alarms from the command line, whether or not a bridge is running on the ledger.

In: `store.url`. Out: `AlarmView`s, one alarm with its history, and the result of each edit. A running bridge notices
the edits within a second, and logs them. It must not be used by the bridge itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import msgspec

from bridge.clock import Clock, Millis, system_clock
from bridge.ledger import trace
from bridge.ledger.alarm import Alarm, Key
from bridge.ledger.history import By
from bridge.ledger.operations import audited, heartbeats, history, listed, queries, status
from bridge.ledger.operations.audited import OpenAtTarget, lead_name
from bridge.ledger.operations.edits import Edited, Editor, MapAnew
from bridge.ledger.operations.heartbeats import SwitchRow
from bridge.ledger.operations.history import AlarmDetail
from bridge.ledger.operations.listed import EndedAlarm, HeldAlarm, Knowledge, ListedDifference, SourceKnowledge
from bridge.ledger.operations.queries import AlarmView
from bridge.ledger.operations.search import AlarmPage, Search
from bridge.ledger.operations.search_filter import AlarmFilter
from bridge.ledger.operations.status import LedgerStatus
from bridge.ledger.states import Edit
from bridge.ledger.storage.database import editing, looking_at
from bridge.notification import Labels

_PAGE = 1_000
_MANY = 10
"""More edits at once than this are logged together."""


class OfflineSource(msgspec.Struct, frozen=True):
    """What the ledger holds of one source.

    ``held``: the newest alarm of each alert that has no end. ``knowledge`` and ``of_source``: what earlier answers have
    taught of alerts and of the source. ``differences``: those of the last round, by fingerprint. ``is_compared``:
    whether a running bridge compares the source with its Alertmanager.
    """

    held: list[HeldAlarm]
    knowledge: dict[str, Knowledge]
    of_source: SourceKnowledge
    differences: dict[str, ListedDifference]
    is_compared: bool


class OfflineLedger:
    """The ledger at an address.

    Args:
        url: `store.url`.
        clock: the time.
    """

    def __init__(self, url: str, clock: Clock = system_clock) -> None:
        self._url = url
        self._clock = clock

    def search(self, chosen: AlarmFilter, seconds: float = 1.0) -> AlarmPage:
        """Return a page of alarms, found within this many seconds; the last step may take longer.

        Raises:
            CursorError: ``chosen.after`` is not the end of a page in this order.
            LedgerUnavailableError: there is no ledger, or it cannot be read.
        """
        searching = Search(chosen, seconds)
        page = None
        with looking_at(self._url) as connection:
            while page is None:
                page = searching.step(connection)
        return page

    def each(self, chosen: AlarmFilter) -> Iterator[AlarmView]:
        """Yield the alarms of all pages, up to ``chosen.limit``, however long it takes; raises as `search`."""
        after, remaining = chosen.after, chosen.limit
        while remaining > 0:
            page = self.search(replace(chosen, after=after, limit=min(_PAGE, remaining)))
            yield from page.views
            if page.next is None:
                return
            after, remaining = page.next, remaining - len(page.views)

    def show(self, name: str) -> AlarmDetail:
        """Return one alarm and its history, named by its id, a prefix of it, or its alert's fingerprint.

        Raises:
            UnknownAlarmError: no alarm has this name, or several have.
            LedgerUnavailableError: there is no ledger, or it cannot be read.
        """
        with looking_at(self._url) as connection:
            return history.show(connection, name)

    def source(self, name: str) -> OfflineSource:
        """Return what the ledger holds of one source for the comparison with its Alertmanager.

        Raises:
            LedgerUnavailableError: there is no ledger, or it cannot be read.
        """
        with looking_at(self._url) as connection:
            return OfflineSource(
                held=listed.held(connection, name),
                knowledge=listed.knowledge(connection, name),
                of_source=listed.source_knowledge(connection, name),
                differences=listed.differences(connection, name),
                is_compared=listed.is_led(connection, name, self._clock()),
            )

    def ended(self, source: str, fingerprints: Collection[str]) -> dict[str, EndedAlarm]:
        """Return the newest alarm of each of these alerts, where there is one; raises as `source`."""
        with looking_at(self._url) as connection:
            return listed.ended(connection, source, fingerprints)

    def open_at(self, target: str) -> Sequence[OpenAtTarget]:
        """Return the open alarms of a target that AOM should hold; raises as `source`."""
        with looking_at(self._url) as connection:
            return audited.open_at(connection, target)

    def newest_of(self, keys: Collection[Key]) -> dict[Key, Alarm]:
        """Return the newest alarm of each of these alerts, where there is one; raises as `source`."""
        with looking_at(self._url) as connection:
            return audited.newest(connection, keys)

    def created_at(self) -> Millis:
        """Return since when this ledger knows of alarms; raises as `source`."""
        with looking_at(self._url) as connection:
            known = audited.created_at(connection)
        return self._clock() if known is None else known

    def is_audited(self, target: str) -> bool:
        """Say whether a running bridge compares AOM's list of a target with the ledger; raises as `source`."""
        with looking_at(self._url) as connection:
            return listed.is_led(connection, lead_name(target), self._clock())

    def status(self, targets: Sequence[str], sources: Sequence[str]) -> LedgerStatus:
        """Return what the whole ledger says of these targets and sources; raises as `source`."""
        with looking_at(self._url) as connection:
            return status.status(connection, targets, sources, self._clock())

    def switches(self) -> Sequence[SwitchRow]:
        """Return every switch of a heartbeat that has shown a sign; raises as `source`."""
        with looking_at(self._url) as connection:
            return heartbeats.switches(connection)

    def labels(self, seqs: Collection[int]) -> dict[int, Labels]:
        """Return the labels of the alerts of these alarms, by the alarms' numbers; raises as `source`."""
        with looking_at(self._url) as connection:
            return {view.alarm.seq: view.context.alert.labels for view in queries.of_seqs(connection, seqs)}

    def edit(self, edit: Edit, names: Sequence[str], map_anew: MapAnew, by: By) -> Sequence[Edited]:
        """Retry, clear or discard alarms, each named as for `show`.

        Many are one line in the log of a running bridge.

        Raises:
            LedgerUnavailableError: there is no ledger, or it cannot be written.
            LedgerStartError: its schema is of another version.
        """
        with editing(self._url) as engine, engine.begin() as connection:
            now = self._clock()
            results = Editor(connection, map_anew, by, now).run(edit, names)
            trace.keep(connection, edit, results, by, now, is_of_all=len(names) > _MANY)
        return results
