"""The alarms of a running bridge elsewhere, read and changed by its API.

In: the bridge. Out: as `bridge.cli.alarm_access.AlarmAccess`. It reads no configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.cli.alarm_access import Changed, Query, Row
from bridge.cli.remote import ConflictError, Remote
from bridge.errors import UnknownAlarmError
from bridge.ledger.states import Edit

_PAGE = 1_000


class RemoteAlarms:
    """The alarms of a running bridge, by its API.

    Args:
        remote: the bridge.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def search(self, query: Query, limit: int, page_size: int = _PAGE) -> Iterator[Row]:
        """As `AlarmAccess`, page by page."""
        after: list[tuple[str, str]] = []
        while limit > 0:
            page = self._remote.get("/api/v1/alarms", [*query, ("limit", str(min(limit, page_size))), *after])
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
