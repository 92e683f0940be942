"""What several test modules share: payloads as Alertmanager writes them, and a bridge with its emulated AOM."""

import asyncio
import io
import json
import os
import shutil
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import aiohttp
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from bridge.app import App
from bridge.clock import format_rfc3339, system_clock
from bridge.config import load
from bridge.emulator import Emulator, Options
from bridge.emulator.faults import read_faults
from bridge.ledger import WritingProcess
from bridge.notification import fingerprint

# A machine that others use as well may be slow at any example.
hypothesis_settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("house")

DATA = Path(__file__).parent / "data"
NO_END = "0001-01-01T00:00:00Z"
PATIENCE = 20.0


LONG = (
    "test_cli",
    "test_rehearsal",
    "test_replica_processes",
    "test_writer",
    "test_hostile",
    "test_edit",
    "test_sidecars",
    "test_rollout",
    "test_simulation",
    "test_backpressure",
)
"""Modules that take longest, since they run real processes: a worker that gets one last works on alone."""


def pytest_collection_modifyitems(items):
    """Begin with the modules that take longest."""
    items.sort(key=lambda item: item.path.stem not in LONG)


def alert(name="DiskFull", *, starts_at=None, ends_at=None, annotations=None, **labels):
    """Give one alert of a webhook; with ``ends_at`` it is resolved. Times are epoch milliseconds."""
    starts_at = system_clock() - 60_000 if starts_at is None else starts_at
    labels = {"alertname": name, "severity": "critical", **labels}
    return {
        "status": "firing" if ends_at is None else "resolved",
        "labels": labels,
        "annotations": {"summary": f"{name} summary"} if annotations is None else annotations,
        "startsAt": format_rfc3339(starts_at),
        "endsAt": NO_END if ends_at is None else format_rfc3339(ends_at),
        "generatorURL": "http://prometheus.example:9090/graph",
        "fingerprint": fingerprint(labels),
    }


def payload(*alerts, truncated=0, **more):
    """Give the body of one webhook."""
    return {
        "version": "4",
        "receiver": "aom",
        "status": "firing",
        "groupKey": "{}:{}",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "truncatedAlerts": truncated,
        "alerts": list(alerts),
        **more,
    }


async def until(condition, limit=PATIENCE):
    """Wait until a condition holds; fail with its last value when it does not within the limit (seconds)."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        value = await value if asyncio.iscoroutine(value) else value
        if value:
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {limit} s"
        await asyncio.sleep(0.02)


def need(program):
    """Give a real program's path; without it the test fails in CI and is skipped elsewhere, with the fix."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed; apt-get install {program}")
        pytest.skip(f"{program} is not installed; apt-get install {program}")  # never in CI; all other tests still run
    return path


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
async def running(ledger, *, emulator=None, options=None, clock=system_clock, door=None, address="127.0.0.1", **config):
    """Run a bridge on a ledger file, with an emulator of its own unless one is given."""
    own = emulator is None
    emulator = emulator or Emulator(Options(port=0, **(options or {})), clock)
    if own:
        await emulator.start()
    settings = load("test.yaml", {}, raw=settings_text(emulator.url, ledger, **config).encode()).settings
    writer = WritingProcess(settings.store.url) if Rig.has_writer else None
    app = App(settings, (address, 0), clock, door=door, writer=writer)
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


@pytest.fixture
async def rig(tmp_path):
    """A bridge with the default switches of the emulator."""
    async with running(tmp_path / "ledger.db") as made:
        yield made


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL server for all tests."""
    from postgres import postgres_server  # noqa: PLC0415 - it needs this module

    with postgres_server() as server:
        yield server


@pytest.fixture
def database(postgres):
    """The address of an empty PostgreSQL database."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)
