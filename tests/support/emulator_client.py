"""A client of the emulated AOM on a clock that a test turns, and the events that it pushes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from bridge.emulator import Emulator, Options

T0 = 1_800_000_000_000
MINUTE = 60_000
DAY = 86_400_000
TIMEOUT = 5 * DAY


class Clock:
    """A clock that moves only when it is told to; epoch milliseconds."""

    def __init__(self):
        self.now = T0

    def __call__(self):
        return self.now

    def advance(self, milliseconds):
        self.now += milliseconds


class Cloud:
    """One running emulator, its clock and a client with a valid token."""

    def __init__(self, emulator, session, clock):
        self.emulator = emulator
        self.session = session
        self.clock = clock

    async def send(self, method, path, **request):
        async with self.session.request(method, self.emulator.url + path, **request) as response:
            return response.status, await response.read()

    async def json(self, method, path, **request):
        async with self.session.request(method, self.emulator.url + path, **request) as response:
            return response.status, await response.json()

    async def report(self, *events, project="p1", **request):
        status, _ = await self.send("PUT", f"/v2/{project}/push/events", json={"events": events}, **request)
        return status

    async def clear(self, *events, project="p1", **request):
        path = f"/v2/{project}/push/events?action=clear"
        status, _ = await self.send("PUT", path, json={"events": events}, **request)
        return status

    async def list(self, query="type=active_alert", project="p1", headers=None, **body):
        body = {"time_range": "-1.-1.1440", **body}
        path = f"/v2/{project}/events?{query}"
        status, answer = await self.json("POST", path, json=body, headers=headers)
        assert status == 200, answer
        return answer

    async def names(self, query="type=active_alert", **request):
        answer = await self.list(query, **request)
        return [event["metadata"]["event_name"] for event in answer["events"]]

    async def count(self, query="type=active_alert", project="p1", headers=None, **body):
        body = {"time_range": "-1.-1.1440", **body}
        path = f"/v2/{project}/events/statistic?{query}"
        status, answer = await self.json("POST", path, json=body, headers=headers)
        assert status == 200, answer
        return answer

    async def put_in(self, *events, project="p1", **request):
        path = f"/emulator/alarms/{project}"
        status, answer = await self.json("POST", path, json={"events": events}, **request)
        assert status == 200, answer
        return answer

    async def clear_by_hand(self, project="p1", **named):
        status, answer = await self.json("DELETE", f"/emulator/alarms/{project}", params=named)
        assert status == 200, answer
        return answer["cleared"]

    async def arm(self, *faults):
        status, answer = await self.json("POST", "/emulator/faults", json=list(faults))
        assert status == 200, answer
        return answer

    def state(self):
        return self.emulator.snapshot()

    def violations(self):
        return [violation["text"] for violation in self.state()["violations"]]


@asynccontextmanager
async def cloud(*, clock=None, **options) -> AsyncIterator[Cloud]:
    """Run an emulator on a free port with a clock that stands still."""
    clock = clock or Clock()
    emulator = Emulator(Options(port=0, **options), clock)
    await emulator.start()
    headers = {"X-Auth-Token": "emulator-token"}
    try:
        async with aiohttp.ClientSession(headers=headers, max_field_size=65_536, max_line_size=65_536) as session:
            yield Cloud(emulator, session, clock)
    finally:
        await emulator.stop()


def metadata(name="CPU high", **more):
    """Give the six mandatory keys, and more."""
    return {
        "event_name": name,
        "event_severity": "Major",
        "event_type": "alarm",
        "resource_provider": "Prometheus",
        "resource_type": "node",
        "resource_id": "node-1",
        **more,
    }


def alarm(name="CPU high", *, starts_at=T0, timeout=TIMEOUT, event_id=None, annotations=None, **more):
    """Give an event that reports."""
    event = {"starts_at": starts_at, "timeout": timeout, "metadata": metadata(name, **more)}
    event["annotations"] = annotations or {"message": "it is high"}
    return event if event_id is None else {**event, "id": event_id}


def cleared(event_id, name="CPU high", *, ends_at=T0 + MINUTE, **more):
    """Give an event that clears."""
    return {"id": event_id, "ends_at": ends_at, "metadata": metadata(name, **more)}
