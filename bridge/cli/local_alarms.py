"""The alarms of the ledger beside the command, read and changed while a bridge may run on it.

In: a configuration file. Out: as `bridge.cli.alarm_access.AlarmAccess`. It asks no bridge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from multidict import MultiDict

from bridge.cli.alarm_access import Changed, Query, Row
from bridge.cli.beside import load_beside
from bridge.cli.caller import caller
from bridge.clock import system_clock
from bridge.event import Mapped
from bridge.ledger.alarm import AlertContext
from bridge.ledger.offline import OfflineLedger
from bridge.ledger.states import Edit
from bridge.mapping.mapper import Mapper
from bridge.web.alarm_query import read_alarm_query
from bridge.web.handlers.alarm_json import as_json, detail_as_json


class LocalAlarms:
    """The ledger that a configuration names, read beside the running bridge.

    Args:
        file: the configuration.
    """

    def __init__(self, file: str) -> None:
        self._settings = load_beside(file)
        self._ledger = OfflineLedger(self._settings.store.url)

    def search(self, query: Query, limit: int) -> Iterator[Row]:
        """As `AlarmAccess`."""
        chosen = read_alarm_query(MultiDict(query), system_clock(), limit)
        return map(as_json, self._ledger.each(chosen))

    def show(self, name: str) -> Row:
        """As `AlarmAccess`."""
        return detail_as_json(self._ledger.show(name))

    def edit(self, edit: Edit, names: Sequence[str]) -> Iterator[Changed]:
        """As `AlarmAccess`; up to 100 in one transaction."""
        for index in range(0, len(names), 100):
            for result in self._ledger.edit(edit, names[index : index + 100], self._map_anew, caller()):
                yield Changed(result.id, result.done, result.text)

    @cached_property
    def _mapper(self) -> Mapper:
        return self._settings.mapper()

    def _map_anew(self, source: str, context: AlertContext) -> Mapped:
        return self._mapper.map(source, context.alert, context.group).mapped
