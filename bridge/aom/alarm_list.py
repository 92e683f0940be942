"""Look-ups in AOM's list of alarms: the query that the bridge sends, and what AOM returns, pages or counts; pure.

The answer to a report has no id, and a clear needs AOM's id; so the id is looked up by the metadata that makes each
of the bridge's alarms unique. Facts: AOM API reference, "Querying Events and Alarms" (`metadata_relation`,
`time_range`, `page_info`), and the official SDK's models; older pages name the array `EventModel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from bridge.aom.outcome import Outcome
from bridge.clock import MINUTE, Millis
from bridge.event import FINGERPRINT_KEY, SOURCE_KEY

_PAGE_SIZE = 1_000
_MAX_STEPS = 1_440

ListKind = Literal["active_alert", "history_alert"]


class ListedAlarm(msgspec.Struct, frozen=True):
    """An alarm in AOM's list; an ``id`` that is missing there is empty, a missing time is 0.

    ``metadata``: empty unless the query asks for it.
    """

    id: str
    source: str
    fingerprint: str
    starts_at: Millis
    ends_at: Millis = 0
    arrives_at: Millis = 0
    metadata: Mapping[str, str] = {}


class Listing(msgspec.Struct, frozen=True):
    """The result of a look-up in one of AOM's lists.

    ``is_complete``: the look-up reached the end of the list. An incomplete one (an empty page that names another page,
    or too many pages) proves nothing about alarms that it did not show.
    """

    outcome: Outcome
    alarms: list[ListedAlarm]
    is_complete: bool = False


class Query(msgspec.Struct, frozen=True):
    """Which alarms to look up: those of one source with these fingerprints, started or arrived in this time.

    ``fingerprints``: none for all alarms of the source. ``with_metadata``: whether the metadata of hits is wanted.
    """

    source: str
    fingerprints: tuple[str, ...]
    since: Millis
    until: Millis
    with_metadata: bool = False

    def body(self) -> dict[str, Any]:
        """Return the request's body; AOM allows at most 1,440 steps of whole minutes in the time range."""
        minutes = max(1, -(-(self.until - self.since) // MINUTE))
        step = max(MINUTE, -(-minutes // _MAX_STEPS) * MINUTE)
        relations = [(SOURCE_KEY, [self.source])]
        if self.fingerprints:
            relations.append((FINGERPRINT_KEY, list(self.fingerprints)))
        return {
            "time_range": f"{self.since}.{self.until}.{minutes}",
            "step": step,
            "metadata_relation": [{"key": key, "value": value, "relation": "AND"} for key, value in relations],
        }

    @staticmethod
    def path(marker: str, kind: ListKind) -> str:
        """Return path and query of one page, relative to the project's URL."""
        return f"/events?type={kind}&limit={_PAGE_SIZE}&marker={quote(marker, safe='')}"

    @staticmethod
    def count_path(kind: ListKind) -> str:
        """Return path and query of the count of these alarms, relative to the project's URL."""
        return f"/events/statistic?type={kind}"

    def wants(self, hit: ListedAlarm) -> bool:
        """Return whether a hit is what was asked for: if AOM ignores the filter, no other alarm may be cleared."""
        return hit.source == self.source and (not self.fingerprints or hit.fingerprint in self.fingerprints)


class Page(msgspec.Struct, frozen=True):
    """One page of AOM's list.

    ``alarms``: those of a bridge. ``is_empty``: the page has no entries at all. ``next_marker``: that of the next page;
    empty on the last one.
    """

    alarms: list[ListedAlarm]
    is_empty: bool
    next_marker: str


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


class _Series(msgspec.Struct):
    values: list[int] = []


class _Counts(msgspec.Struct):
    summary: dict[str, int] | None = None
    series: list[_Series] | None = None


def read_count(answer: bytes) -> int:
    """Return how many alarms a count has found, of every severity; older pages know no summary.

    Raises:
        ValueError: the answer is no count.
    """
    try:
        counts = msgspec.json.decode(answer, type=_Counts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a count of alarms: {error}") from None
    if counts.summary is not None:
        return sum(counts.summary.values())
    if counts.series is None:
        raise ValueError("not a count of alarms: neither summary nor series")
    return sum(sum(one.values) for one in counts.series)


def read_page(answer: bytes, *, with_metadata: bool = False) -> Page:
    """Read one page of a list; entries that are not alarms of a bridge are left out, whatever their form.

    Args:
        answer: the page.
        with_metadata: whether the metadata of alarms is wanted.

    Raises:
        ValueError: the answer is not a page of a list; treated as an empty page it would lose clears.
    """
    try:
        page = msgspec.json.decode(answer, type=_Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a page of a list: {error}") from None
    if page.events is None and page.older is None and page.page_info is None:
        raise ValueError("not a page of a list: neither events nor page_info")
    entries = page.events or page.older or []
    read = (_listed_alarm(entry, with_metadata=with_metadata) for entry in entries)
    alarms = [alarm for alarm in read if alarm is not None]
    next_marker = page.page_info.next_marker if page.page_info else None
    return Page(alarms, not entries, "" if next_marker is None else str(next_marker))


def _listed_alarm(entry: msgspec.Raw, *, with_metadata: bool) -> ListedAlarm | None:
    """Read one entry; None if it is not a bridge's: an entry of another program must not make the page unreadable."""
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
        metadata={name: str(value) for name, value in metadata.items()} if with_metadata else {},
    )


def _time(value: object) -> Millis:
    """Return a time of an entry; 0 if it is missing or not a number."""
    try:
        return int(value) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0
