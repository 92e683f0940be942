"""Look-ups in AOM's list of alarms: the query we send and the pages that come back; pure.

A report answers without an id, and a clear wants AOM's; so the id is found by the metadata that makes each of our
alarms unique. Facts: AOM API reference, "Querying Events and Alarms" (`metadata_relation`, `time_range`,
`page_info`), and the official SDK's models; older pages name the array `EventModel`.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

import msgspec

from bridge.clock import MINUTE, Millis
from bridge.event import FINGERPRINT_KEY, SOURCE_KEY

_PAGE = 1_000
_MOST_STEPS = 1_440

ListKind = Literal["active_alert", "history_alert"]


class Found(msgspec.Struct, frozen=True):
    """An alarm as AOM's list shows it."""

    id: str
    source: str
    fingerprint: str
    starts_at: Millis


class Query(msgspec.Struct, frozen=True):
    """Which alarms to look for: those of one source with these fingerprints, begun or arrived since ``since``."""

    source: str
    fingerprints: tuple[str, ...]
    since: Millis
    until: Millis

    def body(self) -> dict[str, Any]:
        """Return the request's body; span and period are tied: at most 1,440 steps, of whole minutes."""
        minutes = max(1, -(-(self.until - self.since) // MINUTE))
        step = max(MINUTE, -(-minutes // _MOST_STEPS) * MINUTE)
        relations = [(SOURCE_KEY, [self.source]), (FINGERPRINT_KEY, list(self.fingerprints))]
        return {
            "time_range": f"{self.since}.{self.until}.{minutes}",
            "step": step,
            "metadata_relation": [{"key": key, "value": value, "relation": "AND"} for key, value in relations],
        }

    @staticmethod
    def path(marker: str, kind: ListKind) -> str:
        """Return path and query of one page, below the project."""
        return f"/events?type={kind}&limit={_PAGE}&marker={quote(marker, safe='')}"

    def wants(self, hit: Found) -> bool:
        """Say whether a hit is one of ours: a filter that AOM ignores must not clear somebody else's alarm."""
        return hit.source == self.source and hit.fingerprint in self.fingerprints


class _Event(msgspec.Struct):
    id: str = ""
    starts_at: Millis = 0
    metadata: dict[str, Any] = {}


class _PageInfo(msgspec.Struct):
    next_marker: str | int | None = None


class _Page(msgspec.Struct):
    events: list[_Event] | None = None
    older: list[_Event] | None = msgspec.field(default=None, name="EventModel")
    page_info: _PageInfo | None = None


def read_page(answer: bytes) -> tuple[list[Found], str]:
    """Return the alarms of one page and the next page's marker, empty after the last one.

    Raises:
        ValueError: the answer is no page of a list; to take it for an empty one would lose clears.
    """
    try:
        page = msgspec.json.decode(answer, type=_Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a page of a list: {error}") from None
    if page.events is None and page.older is None and page.page_info is None:
        raise ValueError("not a page of a list: neither events nor page_info")
    hits = [
        Found(
            id=event.id,
            source=str(event.metadata.get(SOURCE_KEY, "")),
            fingerprint=str(event.metadata.get(FINGERPRINT_KEY, "")),
            starts_at=event.starts_at,
        )
        for event in page.events or page.older or ()
    ]
    following = page.page_info.next_marker if page.page_info else None
    return hits, "" if following is None else str(following)
