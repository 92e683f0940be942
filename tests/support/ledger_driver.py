"""A ledger for tests with a clock that moves only when told, and short words for what comes in."""

import pickle
from functools import partial

from ledger_rows import listing
from msgspec.structs import replace

from bridge.clock import HOUR, MINUTE
from bridge.event import Event, Mapped
from bridge.ledger import (
    ArrivedAlert,
    By,
    IncomingNotification,
    Ledger,
    LedgerSettings,
    ParsedAlerts,
    Settlement,
    WriterProcess,
)
from bridge.ledger.decisions import Cleared, Refused, Reported, Rescheduled
from bridge.ledger.incoming import OpenedNotification
from bridge.notification import Alert, Group

T0 = 1_800_000_000_000
GROUP = Group("aom", "{}", {}, {}, {}, "http://alertmanager.example:9093")
REASSERT = 30 * MINUTE
BY = By("oncall", "api 10.0.0.7")


class ArrivalsReader:
    """Reads notifications whose bodies are pickled arrivals, in any process; a pickled error is raised.

    Args:
        fingerprint: the fingerprint of every alert in place of its own.
    """

    def __init__(self, fingerprint=None):
        self.fingerprint = fingerprint

    def open(self, _source, body):
        arrivals = pickle.loads(body)  # noqa: S301 - packed by the test itself
        if isinstance(arrivals, Exception):
            raise arrivals
        if self.fingerprint is not None:
            arrivals = [replace(one, alert=replace(one.alert, fingerprint=self.fingerprint)) for one in arrivals]
        return ParsedAlerts(arrivals)


READER = ArrivalsReader()


def notification(arrivals, *, is_open=False):
    """Return arrivals as the ledger takes them; ``is_open``: mapped on this side, as far as they fire."""
    alerts = ParsedAlerts(arrivals).incoming() if is_open else None
    return IncomingNotification("s", pickle.dumps(arrivals), len(arrivals), alerts)


def opened(arrivals):
    """Return arrivals as a put gets them."""
    return OpenedNotification(notification(arrivals), READER)


def known(mapped):
    """Return what mapping makes of an alert."""
    return mapped


class LedgerDriver:
    """A ledger with a clock that moves only when told, and short words for what comes in."""

    has_writer = False
    """Whether a process of its own writes, as in `serve`."""

    def __init__(self, place, targets=("default",), *, reader=READER, **settings):
        self.now = T0
        self.is_sqlite = "://" not in str(place)
        self.path = place
        self.url = f"sqlite:///{place}" if self.is_sqlite else place
        reassert_after = dict.fromkeys(targets, REASSERT)
        self.writer = WriterProcess(self.url) if self.has_writer else None
        settings = LedgerSettings(url=self.url, **settings)
        self.ledger = Ledger(settings, reassert_after, lambda: self.now, reader, self.writer)

    async def __aenter__(self):
        try:
            await self.ledger.open()
        except BaseException:
            self._end_writer()
            raise
        return self

    async def __aexit__(self, *_):
        await self.ledger.close()
        self._end_writer()

    def _end_writer(self):
        if self.writer is not None:
            self.writer.end()

    def arrival(self, status, name, *, start=T0, end=None, source="s", drop=False, kind="alarm", note="n"):
        fields = {"event_name": name, "event_severity": "Major", "event_type": kind}
        event = None if drop else Event({**fields, "resource_id": name}, {"message": note}, HOUR)
        one = Alert(name, status, {"alertname": name}, {"message": note}, start, end, "")
        mapped = Mapped(event, "default", "r")
        return ArrivedAlert(source=source, alert=one, group=GROUP, mapped=partial(known, mapped))

    async def put(self, arrivals, *, is_open=False, **options):
        """Put one notification, and return its outcomes."""
        return (await self.ledger.put(notification(arrivals, is_open=is_open), **options)).effects

    async def fire(self, name="a", **more):
        return (await self.put([self.arrival("firing", name, **more)]))[0]

    async def resolve(self, name="a", *, end=None, **more):
        end = self.now if end is None else end
        return (await self.put([self.arrival("resolved", name, end=end, **more)]))[0]

    async def claim(self, holder="w", limit=100):
        """Claim what is due for either action."""
        reports = await self.ledger.due.claim("default", "report", holder, limit)
        return reports + await self.ledger.due.claim("default", "clear", holder, limit - len(reports))

    async def settle(self, claim, decision):
        return await self.ledger.due.settle([Settlement(claim.alarm, decision)])

    async def accept(self, claim):
        if claim.action == "report":
            return await self.settle(claim, Reported(claim.alarm.starts_at))
        return await self.settle(claim, Cleared())

    async def refuse(self, claim):
        return await self.settle(claim, Refused(claim.action, "refused", "AOM.0400 no"))

    async def release(self, claim, after=1_000, phase="retrying"):
        decision = Rescheduled(self.now + after, phase, "timeout", "no answer", in_doubt=True)
        return await self.settle(claim, decision)

    async def deliver(self):
        """Accept everything that is due, one round; return the actions in order."""
        claims = await self.claim()
        for claim in claims:
            await self.accept(claim)
        return [claim.action for claim in claims]

    async def rows(self):
        views = await self.ledger._core.read(listing)
        return [view.alarm for view in reversed(views)]

    async def states(self):
        return [row.state for row in await self.rows()]
