"""The ledger is deleted, or an old copy is put back: with two real peers, a real bridge and the emulated AOM."""

import asyncio
import shutil

import pytest
from cluster import CONFIG
from emulated_aom import arm
from in_step import LIMIT, in_step_with
from waiting import until

pytestmark = pytest.mark.real

ADOPTS = "audit: 1s\naudit_adopt: true"


class Watch:
    """Looks at AOM again and again: what must stay open is never closed."""

    def __init__(self, held, *names):
        self.held, self.names, self.missed = held, set(names), []
        self.task = asyncio.create_task(self._run())

    async def _run(self):
        while True:
            self.missed += self.names - set(self.held.active())
            await asyncio.sleep(0.05)

    async def end(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        assert self.missed == []


async def start(held, target=ADOPTS):
    """Start the bridge, and let the cluster post to it."""
    await held.serve_with(f"alertmanagers: [{in_step_with(held.cluster.urls)}]", target)
    held.cluster.configure(held.url, CONFIG)


async def restart(held, target=ADOPTS):
    """Start the bridge on what is there now; the one before was killed."""
    await start(held, target)
    await held.cluster.reload()


def ledger_files(held):
    """Give the files of the ledger."""
    return sorted(held.folder.glob("ledger.db*"))


async def test_a_deleted_ledger_heals_and_nothing_blinks(held):
    """What fires is neither cleared nor reported again; what has resolved is cleared; what is new is raised."""
    await start(held)
    await held.cluster.start()
    for name in ("Stays", "Over"):
        await held.cluster.fire(name)
    await held.is_active("Over", "Stays")
    ids = {event["metadata"]["event_name"]: event["id"] for event in held.aom.snapshot()["active"]}
    held.bridge.kill()
    for file in ledger_files(held):
        file.unlink()
    await held.cluster.resolve("Over")
    await held.cluster.fire("New")
    watch = Watch(held, "Stays")
    reported = held.aom.snapshot()["counts"]["events_reported"]
    await restart(held)
    await held.shows("New", "Stays")
    await watch.end()
    assert {e["id"] for e in held.aom.snapshot()["active"] if e["metadata"]["event_name"] == "Stays"} == {ids["Stays"]}
    await until(lambda: held.has_row("Stays", state="reported", opened_by="adopted"), LIMIT)
    assert held.aom.snapshot()["counts"]["events_reported"] == reported + 1
    await held.cluster.resolve("Stays")
    await held.shows("New")


async def test_an_old_copy_of_the_ledger_that_is_put_back_heals(held):
    """Nothing is taken over: what it holds and is over ends, what it lacks is raised into the same alarm."""
    await start(held, "audit: 1s")
    await held.cluster.start()
    for name in ("Stays", "Over"):
        await held.cluster.fire(name)
    await held.is_active("Over", "Stays")
    assert held.bridge.terminate() == 0
    copies = [(file, held.folder / f"copy-{file.name}") for file in ledger_files(held)]
    for file, copy in copies:
        shutil.copy(file, copy)
    await restart(held, "audit: 1s")
    await held.cluster.resolve("Over")
    await held.cluster.fire("New")
    await held.is_active("New", "Stays")
    held.bridge.kill()
    for file in ledger_files(held):
        file.unlink()
    for file, copy in copies:
        shutil.copy(copy, file)
    watch = Watch(held, "New", "Stays")
    await restart(held, "audit: 1s")
    await until(lambda: held.has_row("New", state="reported"), LIMIT)
    await until(lambda: held.has_row("Over", state="cleared"), LIMIT)
    await watch.end()
    assert held.active() == ["New", "Stays"]


async def test_a_report_that_aom_applies_after_its_bridge_was_killed_is_cleared(held):
    """The bridge that sent it is dead, its alert resolves, and only AOM knows of the alarm."""
    await start(held, "audit: 1s")
    await held.cluster.start()
    await held.cluster.fire("Held")
    await held.is_active("Held")
    await arm(held.aom, {"on": "report", "latency_ms": 4_000, "count": 1})
    before = held.aom.snapshot()["counts"]
    await held.cluster.fire("Late")
    await until(lambda: held.aom.snapshot()["counts"]["report"] > before["report"], LIMIT)
    held.bridge.kill()
    await held.cluster.resolve("Late")
    await restart(held, "audit: 1s")
    await until(lambda: held.aom.snapshot()["counts"]["events_reported"] == before["events_reported"] + 2, LIMIT)
    await until(lambda: held.cleared().count("Late") >= 1 and held.active() == ["Held"], LIMIT)
    held.cluster.resolves["Late"] = held.cleared().count("Late")  # AOM opens it anew where the late report comes last
    await held.stays_active("Held", seconds=8)
