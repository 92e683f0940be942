"""What an armed fault does to one page of the list.

In: a page, the query that it answers and the faults that change it. Out: another page. It is pure, and what AOM holds
stays as it is: a clear by an id that only a fault has made long names an id that is not held.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bridge.emulator.faults import LONG_ID, Fault
from bridge.emulator.query import Page, Query


def distorted(page: Page, query: Query, faults: Iterable[Fault]) -> Page:
    """Return the page as these faults leave it."""
    for fault in faults:
        if fault.kind == "repeat_marker":
            page = Page(events=page.events, page_info={**page.page_info, "next_marker": str(query.offset)})
        else:
            page = Page(events=[_other_id(event, fault) for event in page.events], page_info=page.page_info)
    return page


def _other_id(event: dict[str, object], fault: Fault) -> dict[str, object]:
    if fault.holding not in msgspec.json.encode(event).decode():
        return event
    return {**event, "id": None if fault.listed_ids == "null" else str(event["id"]).ljust(LONG_ID, "0")}
