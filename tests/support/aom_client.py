"""A client of AOM beside its emulator, both on one clock that a test turns."""

from contextlib import asynccontextmanager

from bridge_rig import settings_text

from bridge.aom import AomClient, Query
from bridge.clock import DAY, SECOND
from bridge.config import load
from bridge.emulator import Emulator, Options
from bridge.event import Event, report

T0 = 1_800_000_000_000
PASSWORD = "{password: {domain: emulator, user: emulator, password: emulator, iam_endpoint: '%s'}}"
EVENT = Event(
    {
        "event_name": "n",
        "event_severity": "Major",
        "event_type": "alarm",
        "resource_provider": "p",
        "resource_type": "t",
        "resource_id": "i",
        "alert_source": "s",
        "alert_fingerprint": "f",
    },
    {},
    DAY,
)


class Setup:
    """A client, its emulator, and a clock that both share."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.now = T0
        self.ahead = 0

    def clock(self):
        return self.now

    def clients_clock(self):
        return self.now + self.ahead

    async def push(self, action="report"):
        entry = self.client.encode(report(EVENT, alarm_id="x", starts_at=self.now, now=self.now))
        return await self.client.push([entry], action, self.clients_clock() + 60 * SECOND)

    async def find(self):
        query = Query(source="s", fingerprints=("f",), since=self.now - DAY, until=self.now)
        return await self.client.find(query, self.clients_clock() + 60 * SECOND)

    async def arm(self, *faults):
        async with self.client._connection.session.post(
            f"{self.emulator.url}/emulator/faults", json=list(faults)
        ) as response:
            assert response.status == 200, await response.text()

    async def disarm(self):
        async with self.client._connection.session.delete(f"{self.emulator.url}/emulator/faults"):
            pass

    def tokens(self):
        return self.emulator.snapshot()["counts"]["token"]


@asynccontextmanager
async def client(*, auth=PASSWORD, target="rate_limit: 1000", aom="", **options):
    """Run an emulator and a client of it, or of another server at ``aom``."""
    made = Setup(None)
    made.emulator = Emulator(Options(port=0, **options), made.clock)
    await made.emulator.start()
    auth = auth.replace("%s", made.emulator.url)
    settings = load(
        "t.yaml", {}, raw=settings_text(aom or made.emulator.url, "x.db", auth=auth, target=target).encode()
    ).settings
    made.client = AomClient("default", settings.targets["default"], made.clients_clock, 5 * SECOND)
    await made.client.start()
    try:
        yield made
    finally:
        await made.client.stop()
        await made.emulator.stop()
