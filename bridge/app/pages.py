"""Builds the handlers of the pages, and of the part of the API that shows the same.

In: the parts of the bridge. Out: handlers for the HTTP server. What a page shows of another package it gets as
a function that returns plain values.
"""

from __future__ import annotations

from bridge.app.sights import Replica
from bridge.clock import Clock
from bridge.web import Handlers
from bridge.web.handlers.differences import DifferencesApi
from bridge.web.handlers.exports import Exports
from bridge.web.handlers.status import StatusApi
from bridge.web.overviews import Overviews
from bridge.web.pages.alarm import AlarmHandlers
from bridge.web.pages.alarms import AlarmsPage
from bridge.web.pages.config import ConfigPage
from bridge.web.pages.edits import PageEdits
from bridge.web.pages.overview import OverviewPage
from bridge.web.pages.page import Pages
from bridge.web.pages.playground import PlaygroundPage, PlaygroundParts


def page_handlers(pages: Pages, replica: Replica, clock: Clock) -> tuple[Handlers, ...]:
    """Return the handlers.

    Args:
        pages: makes pages.
        replica: what this replica has seen, and its parts.
        clock: the time.
    """
    parts = replica.parts
    records = parts.ledger.records
    overviews = Overviews(records, replica.names, replica.sights, clock)
    trials = PlaygroundParts(
        lambda: parts.trials.running, parts.trials.run, parts.reconciler.shown_now, replica.sources
    )
    alarms = AlarmHandlers(pages, records, replica.explain)
    return (
        OverviewPage(pages, overviews),
        AlarmsPage(pages, records, replica.names),
        alarms,
        PageEdits(pages, alarms, parts.admin.edit),
        PlaygroundPage(pages, records, trials),
        ConfigPage(pages, lambda: parts.config_view.loaded),
        Exports(records, clock),
        StatusApi(overviews),
        DifferencesApi(parts.ledger.open_alarms, lambda: replica.sources()[1], clock),
    )
