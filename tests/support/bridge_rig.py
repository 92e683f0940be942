"""A bridge and its emulated AOM in the test's own process, and the configuration that joins them."""

import io
import json
from contextlib import asynccontextmanager
from typing import ClassVar

import aiohttp
from webhooks import payload

from bridge.app import App
from bridge.clock import system_clock
from bridge.config import load
from bridge.emulator import Emulator, Options
from bridge.emulator.faults import read_faults
from bridge.ledger import WriterProcess


class Rig:
    """A bridge and its emulated AOM, both on loopback."""

    scraping: ClassVar = {}  # what a scrape needs besides: credentials, a TLS context
    has_writer: ClassVar = False  # whether a process of its own writes the ledger, as in `serve`

    def __init__(self, app, emulator, session):
        self.app = app
        self.emulator = emulator
        self.session = session

    async def post(self, body, path="/webhook", **request):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(self.app.url + path, data=io.BytesIO(data), **request) as response:
            return response.status, await response.text()

    async def send(self, *alerts):
        """Send one webhook that must be kept."""
        status, text = await self.post(payload(*alerts))
        assert status == 200, text
        return text.strip().removeprefix("kept: ")

    async def get(self, path, **request):
        async with self.session.get(self.app.admin_url + path, **request) as response:
            return response.status, await response.text()

    async def metric(self, name, **labels):
        """Give the value of one series."""
        _, text = await self.get("/metrics", **self.scraping)
        for line in text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                return float(value)
        return None

    async def arm(self, *faults):
        async with self.session.post(self.emulator.url + "/emulator/faults", json=list(faults)) as response:
            assert response.status == 200, await response.text()

    async def disarm(self):
        async with self.session.delete(self.emulator.url + "/emulator/faults") as response:
            assert response.status in (200, 204)

    def rearm(self, *faults):
        """Put these faults in the place of all others, so that no request passes in between."""
        self.emulator._memory.faults.remove_all()
        self.emulator._memory.faults.arm(read_faults(list(faults)))

    def aom(self):
        return self.emulator.snapshot()

    def active(self):
        return sorted(event["metadata"]["event_name"] for event in self.aom()["active"])

    def cleared(self):
        return sorted(event["metadata"]["event_name"] for event in self.aom()["history"])

    def count(self, state, target="default"):
        return self.app.ledger.counts().get((state, target), 0)


CONFIG = """
targets:
  default:
    endpoint: {aom}
    project_id: p1
    auth: {auth}
{target}
  {others}
store: {{url: "{ledger}"}}
{delivery}
{more}
"""
QUICK = "delivery: {retry_min: 50ms, retry_max: 400ms, batch_wait: 20ms, shutdown_timeout: 2s}"


def settings_text(
    aom, ledger, *, target="", others="", more="", delivery=QUICK, auth="{token: {value: emulator-token}}"
):
    """Give a configuration file for tests: one target, quick retries; ``target`` adds lines to the target."""
    ledger = ledger if "://" in str(ledger) else f"sqlite:///{ledger}"
    lines = "\n".join(f"    {line}" for line in target.strip().splitlines())
    return CONFIG.format(aom=aom, ledger=ledger, target=lines, others=others, more=more, auth=auth, delivery=delivery)


@asynccontextmanager
async def running(
    ledger, *, emulator=None, options=None, clock=system_clock, web_options=None, address="127.0.0.1", **config
):
    """Run a bridge on a ledger file, with an emulator of its own unless one is given."""
    own = emulator is None
    emulator = emulator or Emulator(Options(port=0, **(options or {})), clock)
    if own:
        await emulator.start()
    loaded = load("test.yaml", {}, raw=settings_text(emulator.url, ledger, **config).encode())
    writer = WriterProcess(loaded.settings.store.url) if Rig.has_writer else None
    app = App(loaded.settings, (address, 0), clock, web_options=web_options, shown=loaded.shown, writer=writer)
    try:
        await app.start()
        try:
            async with aiohttp.ClientSession() as session:
                yield Rig(app, emulator, session)
        finally:
            await app.stop()
    finally:
        if writer is not None:
            writer.end()
        if own:
            await emulator.stop()
