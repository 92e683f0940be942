"""A real bridge with alarms in all states and with hostile labels, for tests of its web pages.

In: an empty folder. Out: a `PagesWorld`: `aom-bridge serve` on SQLite, with two sources and two targets, each an
emulated AOM. `default` works; `guiyang` answers each report with 503, so that its alarms wait. All on loopback.
"""

import io
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest_asyncio
from emulated_aom import arm, cloud, disarm
from process import serving
from waiting import until
from webhooks import alert, payload, resolved

PAGES = {
    "overview": "{bridge}/",
    "alarms": "{bridge}/alarms",
    "alarm": "{bridge}/alarms/{rejected}",
    "playground": "{bridge}/playground?newest=1",
    "config": "{bridge}/config",
    "emulator": "{emulator}/",
}
"""Each page for people and its address, as `PagesWorld.address` fills it in; tests and screenshots go by it."""

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
LINK = "javascript:alert(1)"
LONG = "long" * 500
TURNED = "abc\u202egnp.exe\u202c"
"""The override makes what follows read from right to left."""

EMOJI = "🔥👩‍🚒 node"
CHINESE = "磁盘空间不足"
POISON = "payment-gateway"
"""The emulated AOM refuses every push with this text in it, as AOM refuses what it takes for invalid."""

FAR = {"region": "cn-southwest-2"}
"""The label by which an alarm goes to the target `guiyang`."""

HOSTILE_LABELS = {
    "script": SCRIPT,
    "image": IMAGE,
    "link": LINK,
    "long": LONG,
    "turned": TURNED,
    "emoji": EMOJI,
    "chinese": CHINESE,
    "template": "{{ 7 * 7 }}",
    "<b>\"name's": "a name may be any text, too",
}
HOSTILE_ANNOTATIONS = {
    "summary": f"{SCRIPT} {IMAGE} {EMOJI} {CHINESE} {TURNED}",
    "description": LONG,
    "runbook_url": LINK,
    "dashboard_url": f"https://example.invalid/{IMAGE}",
}
_FAR_TARGET = """
  guiyang:
    endpoint: {url}
    project_id: p2
    auth: {{token: {{value: emulator-token}}}}
"""
_MORE = """
source: production
sources: [staging]
mapping:
  rules:
    - {name: guiyang, match: ['region="cn-southwest-2"'], target: guiyang}
    - {name: disks, match: ['alertname=~"Disk.*"'], set: {resource_type: disk}}
"""


class PagesWorld:
    """A running bridge with its emulated AOM.

    Attributes:
        url: the bridge's address.
        emulator: the emulated AOM of the target `default`.
        emulator_url: its address.
        headers: what each request of the world sends, such as credentials.
        process: the bridge's process, with its `output`.
        ids: the bridge's ids of the alarms that the world began with: `reported`, `cleared`, `rejected` (with AOM's
            trace id), `waiting`, `hostile` (reported), `hostile_rejected` (with AOM's own text hostile, too).
    """

    def __init__(self, process, url, emulator):
        self.process = process
        self.url = url
        self.emulator = emulator
        self.emulator_url = emulator.url
        self.ids = {}
        self.headers = {}

    def address(self, template):
        """Fill in `bridge`, `emulator` and the keys of ``ids``, as in `{bridge}/alarms/{rejected}`."""
        return template.format(bridge=self.url, emulator=self.emulator_url, **self.ids)

    async def post(self, *alerts, source="", **more):
        """Post one webhook, which must be kept; ``more`` are fields of its body, such as `externalURL`."""
        path = f"/webhook/{source}" if source else "/webhook"
        body = json.dumps(payload(*alerts, **more)).encode()
        async with self._session() as session, session.post(self.url + path, data=io.BytesIO(body)) as response:
            assert response.status == 200, await response.text()

    async def alarms(self):
        """Give all alarms as the API shows them, the newest first."""
        async with self._session() as session, session.get(f"{self.url}/api/v1/alarms") as response:
            assert response.status == 200, await response.text()
            return (await response.json())["data"]

    async def id_of(self, name, state, reason=None):
        """Wait until an alarm of the alert with this name is in a state, and has this reason if any; give its id."""

        async def found():
            rows = [row for row in await self.alarms() if row["labels"]["alertname"] == name and row["state"] == state]
            return next((row["id"] for row in rows if reason in (None, row.get("reason"))), None)

        return await until(found)

    async def set_fault(self, *faults):
        """Order faults of the target `default`, such as ``{"on": "report", "status": 503}``."""
        await arm(self.emulator, *faults)

    async def clear_faults(self):
        """Remove all faults of that target, also the one that the world began with."""
        await disarm(self.emulator)

    def _session(self):
        return aiohttp.ClientSession(headers=self.headers)


@asynccontextmanager
async def empty_world(folder, *, arguments=()):
    """Run the bridge and both targets without an alarm; ``arguments`` are more of `aom-bridge serve`."""
    async with cloud() as near, cloud() as far:
        await arm(near, {"on": "report", "poison": POISON})
        await arm(far, {"on": "report", "status": 503})
        others = _FAR_TARGET.format(url=far.url).strip()
        async with serving(folder, near.url, arguments=arguments, others=others, more=_MORE) as (process, url):
            yield PagesWorld(process, url, near)


async def fill(world):
    """Bring about an alarm in each state, and two with hostile values in all that a webhook and AOM's answers hold."""
    cleared, rejected = alert("DiskFull", instance="db-1:9100"), alert("Latency", service=POISON)
    hostile = alert(SCRIPT, annotations=HOSTILE_ANNOTATIONS, **HOSTILE_LABELS)
    hostile["generatorURL"] = LINK
    await world.post(alert("NodeDown", instance="node-1:9100"), cleared, rejected)
    await world.post(alert("PodCrashLooping", **FAR), source="staging")
    await world.post(hostile, externalURL=LINK, groupLabels={"alertname": SCRIPT}, groupKey=f"{{}}:{{{IMAGE}}}")
    await world.id_of("DiskFull", "reported")
    await world.post(resolved(cleared))
    world.ids |= {
        "reported": await world.id_of("NodeDown", "reported"),
        "cleared": await world.id_of("DiskFull", "cleared"),
        "rejected": await world.id_of("Latency", "rejected"),
        "waiting": await world.id_of("PodCrashLooping", "report_due", "unavailable"),
        "hostile": await world.id_of(SCRIPT, "reported"),
    }
    await world.set_fault({"on": "report", "status": 400, "error_msg": f"{SCRIPT} {IMAGE}", "count": 1})
    await world.post(alert(IMAGE, **HOSTILE_LABELS))
    world.ids["hostile_rejected"] = await world.id_of(IMAGE, "rejected")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pages_world(tmp_path_factory):
    """One `PagesWorld` for all tests of a module, filled; the tests after one that changes it see the change."""
    async with empty_world(tmp_path_factory.mktemp("pages")) as world:
        await fill(world)
        yield world
