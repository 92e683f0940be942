"""The alarms that a command shows or changes: those of the ledger beside it, or of a running bridge elsewhere.

In: parameters as ``/api/v1/alarms`` takes them, names of alarms. Out: alarms as the API's JSON has them, from either
place the same, and the result of each change. Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import msgspec
from multidict import MultiDict

from bridge import config
from bridge.cli.caller import caller
from bridge.cli.remote import ConflictError, Remote
from bridge.clock import system_clock
from bridge.errors import UnknownAlarmError
from bridge.event import Mapped
from bridge.ledger import AlertContext, Edit, OfflineLedger
from bridge.web.alarm_query import read_alarm_query
from bridge.web.handlers.alarm_json import as_json, detail_as_json

Row = Mapping[str, Any]
Query = Sequence[tuple[str, str]]
_PAGE = 1_000


class Changed(msgspec.Struct, frozen=True):
    """The result of one change: whether it was done, and a sentence about it."""

    id: str
    done: bool
    text: str


class AlarmAccess(Protocol):
    """Where alarms are read and changed."""

    def search(self, query: Query, limit: int) -> Iterator[Row]:
        """Yield the alarms that a query asks for, at most ``limit``."""

    def show(self, name: str) -> Row:
        """Return one alarm with its history.

        Raises:
            UnknownAlarmError: no alarm has this name, or several have; it lists them.
        """

    def edit(self, edit: Edit, names: Sequence[str]) -> Iterator[Changed]:
        """Change alarms, and yield the result of each."""


class LocalAlarms:
    """The ledger that a configuration names, read beside the running bridge.

    Args:
        file: the configuration.
    """

    def __init__(self, file: str) -> None:
        self._settings = config.load(file, allow_unset=True).settings
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
    def _mapper(self) -> Any:  # noqa: ANN401 - a Mapper, which only a retry needs
        return self._settings.mapper()

    def _map_anew(self, source: str, context: AlertContext) -> Mapped:
        mapped: Mapped = self._mapper.map(source, context.alert, context.group).mapped
        return mapped


class RemoteAlarms:
    """The alarms of a running bridge, by its API.

    Args:
        remote: the bridge.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def search(self, query: Query, limit: int) -> Iterator[Row]:
        """As `AlarmAccess`, page by page."""
        after: list[tuple[str, str]] = []
        while limit > 0:
            page = self._remote.get("/api/v1/alarms", [*query, ("limit", str(min(limit, _PAGE))), *after])
            yield from page["data"]
            limit -= len(page["data"])
            if "next" not in page:
                return
            after = [("page", page["next"])]

    def show(self, name: str) -> Row:
        """As `AlarmAccess`."""
        found: Row = self._remote.get(f"/api/v1/alarms/{name}")["data"]
        return found

    def edit(self, edit: Edit, names: Sequence[str]) -> Iterator[Changed]:
        """As `AlarmAccess`, one request for each."""
        for name in names:
            try:
                done = self._remote.post(f"/api/v1/alarms/{name}/{edit}")["data"]
                yield Changed(done["id"], done=True, text=done["text"])
            except (ConflictError, UnknownAlarmError) as error:
                yield Changed(name, done=False, text=str(error))


def alarm_access(file: str, remote: Remote | None) -> AlarmAccess:
    """Return the alarms of a running bridge if one is named, else those of the ledger of a configuration."""
    return LocalAlarms(file) if remote is None else RemoteAlarms(remote)
