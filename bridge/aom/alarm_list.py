"""Look-ups in AOM's list of alarms: the query we send and the pages that come back; pure.

A report answers without an id, and a clear wants AOM's; so the id is found by the metadata that makes each of our
alarms unique. Facts: AOM API reference, "Querying Events and Alarms" (`metadata_relation`, `time_range`,
`page_info`), and the official SDK's models; older pages name the array `EventModel`.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

import msgspec

from bridge.aom.outcome import Outcome
from bridge.clock import MINUTE, Millis
from bridge.event import FINGERPRINT_KEY, SOURCE_KEY

_PAGE = 1_000
_MAX_STEPS = 1_440

ListKind = Literal["active_alert", "history_alert"]


class ListedAlarm(msgspec.Struct, frozen=True):
    """An alarm as AOM's list shows it; ``id`` is empty where the list shows none, and a time 0."""

    id: str
    source: str
    fingerprint: str
    starts_at: Millis
    ends_at: Millis = 0
    arrives_at: Millis = 0


class Listing(msgspec.Struct, frozen=True):
    """What a search in one of AOM's lists showed.

    ``is_whole``: it came to the end of the list. A search that was cut off, by an empty page that names another one or
    after too many pages, says nothing about what it did not show.
    """

    outcome: Outcome
    found: list[ListedAlarm]
    is_whole: bool = False


class Query(msgspec.Struct, frozen=True):
    """Which alarms to look for: those of one source with these fingerprints, begun or arrived since ``since``."""

    source: str
    fingerprints: tuple[str, ...]
    since: Millis
    until: Millis

    def body(self) -> dict[str, Any]:
        """Return the request's body; span and period are tied: at most 1,440 steps, of whole minutes."""
        minutes = max(1, -(-(self.until - self.since) // MINUTE))
        step = max(MINUTE, -(-minutes // _MAX_STEPS) * MINUTE)
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

    def wants(self, hit: ListedAlarm) -> bool:
        """Say whether a hit is one of ours: a filter that AOM ignores must not clear somebody else's alarm."""
        return hit.source == self.source and hit.fingerprint in self.fingerprints


class Page(msgspec.Struct, frozen=True):
    """One page: our alarms on it, whether nothing at all was on it, and the next page's marker; empty: the last one."""

    found: list[ListedAlarm]
    is_empty: bool
    following: str


class _Event(msgspec.Struct):
    id: Any = None
    starts_at: Any = None
    ends_at: Any = None
    arrives_at: Any = None
    metadata: Any = None


class _PageInfo(msgspec.Struct):
    next_marker: str | int | None = None


class _Page(msgspec.Struct):
    events: list[msgspec.Raw] | None = None
    older: list[msgspec.Raw] | None = msgspec.field(default=None, name="EventModel")
    page_info: _PageInfo | None = None


_event_decoder = msgspec.json.Decoder(_Event)


def read_page(answer: bytes) -> Page:
    """Read one page of a list; entries that are not alarms of a bridge are left out, whatever they look like.

    Raises:
        ValueError: the answer is no page of a list; to take it for an empty one would lose clears.
    """
    try:
        page = msgspec.json.decode(answer, type=_Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a page of a list: {error}") from None
    if page.events is None and page.older is None and page.page_info is None:
        raise ValueError("not a page of a list: neither events nor page_info")
    entries = page.events or page.older or []
    found = [hit for hit in map(_found, entries) if hit is not None]
    following = page.page_info.next_marker if page.page_info else None
    return Page(found, not entries, "" if following is None else str(following))


def _found(entry: msgspec.Raw) -> ListedAlarm | None:
    """Read one entry as far as it can be read: other programs' alarms must not hide ours."""
    try:
        event = _event_decoder.decode(entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    metadata = event.metadata
    if not isinstance(metadata, dict) or FINGERPRINT_KEY not in metadata:
        return None
    return ListedAlarm(
        id="" if event.id is None else str(event.id),
        source=str(metadata.get(SOURCE_KEY, "")),
        fingerprint=str(metadata[FINGERPRINT_KEY]),
        starts_at=_time(event.starts_at),
        ends_at=_time(event.ends_at),
        arrives_at=_time(event.arrives_at),
    )


def _time(value: object) -> Millis:
    """Return a time of an entry; 0 where it is none."""
    try:
        return int(value) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0
