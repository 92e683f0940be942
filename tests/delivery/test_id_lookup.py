"""A clear finds the alarm it is for: whatever AOM's list is like, and when it is the wrong list, that is said."""

import asyncio
import contextlib
import itertools
import os
import re

import msgspec
import pytest
from aiohttp import web
from aom_client import EVENT
from bridge_rig import running, settings_text
from waiting import until
from webhooks import alert, resolved

from bridge.aom import AomClient, Query
from bridge.clock import DAY, SECOND, format_rfc3339, system_clock
from bridge.config import load
from bridge.emulator import CHOICES
from bridge.event import report

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"
QUICK = "lookup_wait: 300ms\nrate_limit: 1000"
NEVER = 3_600_000


def list_now(emulator):
    """Let the emulator's list show everything from now on."""
    object.__setattr__(emulator._options, "list_lag_ms", 0)


async def cleared_elsewhere(rig):
    """Clear every alarm in AOM by hand, as an operator does in its console."""
    events = [
        {key: one[key] for key in ("id", "starts_at", "metadata")} | {"ends_at": system_clock()}
        for one in rig.aom()["active"]
    ]
    url = f"{rig.emulator.url}/v2/p1/push/events?action=clear"
    headers = {"X-Auth-Token": "emulator-token"}
    async with rig.session.put(url, json={"events": events}, headers=headers) as response:
        assert response.status == 204


# The wrong list


async def test_a_list_that_shows_nothing_of_ours_pauses_the_clears(tmp_path, capfd):
    """Where AOM's lists never show what AOM has accepted, clears wait loudly instead of passing for done."""
    async with running(tmp_path / "l.db", options={"list_lag_ms": NEVER}, target=QUICK) as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.send(resolved(one))
        await until(lambda: "clears wait: AOM's lists show no alarm of this bridge" in "".join(capfd.readouterr()))
        await until(lambda: rig.aom()["counts"]["list"] >= 8)
        assert (rig.count("clear_due"), rig.count("cleared")) == (1, 0)
        shown = await until(lambda: _paused_clear(rig))
        assert "enterprise_project_id" in shown
        list_now(rig.emulator)
        await until(lambda: rig.cleared() == ["DiskFull"])


async def _paused_clear(rig):
    """Give the clears as the API shows them, once one of them is paused."""
    _, shown = await rig.get("/api/v1/alarms?state=clear_due")
    return shown if '"paused"' in shown else None


async def test_a_re_fire_is_reported_although_its_clear_cannot_be_found(tmp_path):
    """A pause of clears holds up no report: the alert fires again, and AOM is told."""
    async with running(tmp_path / "l.db", options={"list_lag_ms": NEVER, "same_alarm": "id"}, target=QUICK) as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.send(resolved(one))
        await until(lambda: rig.aom()["counts"]["list"] >= 4)
        await rig.send({**one, "startsAt": format_rfc3339(system_clock())})
        await until(lambda: rig.aom()["counts"]["events_reported"] == 2)


async def test_an_alarm_cleared_by_hand_is_finished(tmp_path):
    """AOM's history shows what somebody has cleared in its console: the clear finishes, and nothing pauses."""
    async with running(tmp_path / "l.db", target=QUICK) as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await cleared_elsewhere(rig)
        await rig.send(resolved(one))
        await until(lambda: rig.count("cleared") == 1)


async def test_an_orphan_that_aom_does_not_hold_pauses_nothing(tmp_path):
    """A resolve of which AOM was never told says nothing about its lists."""
    async with running(tmp_path / "l.db", target=QUICK) as rig:
        await rig.send(resolved(alert("Ghost")))
        await until(lambda: rig.count("cleared") == 1)


# Every AOM that there may be


def aoms():
    """Give combinations of the emulator's switches: every one in the full size, else eight that hold every pair."""
    every = itertools.product((0, 1), repeat=len(CHOICES))
    chosen = [c for c in every if IS_FULL or (c[3], c[4], c[5]) == (c[0] ^ c[1], c[0] ^ c[2], c[1] ^ c[2])]
    return [{name: CHOICES[name][i] for name, i in zip(CHOICES, c, strict=True)} for c in chosen]


async def story(rig):
    """Fire five, resolve two, repeat one with a later start, fire one again, resolve what never fired."""
    names = ("Stays", "Goes", "Later", "Again", "Ends")
    fired = {name: alert(name, starts_at=system_clock() - 90 * SECOND) for name in names}
    await rig.send(*fired.values())
    await until(lambda: rig.active() == sorted(names))
    later = {**fired["Later"], "startsAt": alert(starts_at=system_clock() - 20 * SECOND)["startsAt"]}
    await rig.send(resolved(fired["Goes"]), resolved(fired["Again"]), later, resolved(alert("Ghost")))
    await until(lambda: rig.count("cleared") == 3)
    await rig.send({**fired["Again"], "startsAt": alert(starts_at=system_clock() - 10 * SECOND)["startsAt"]})
    await until(lambda: rig.active() == ["Again", "Ends", "Later", "Stays"])
    ends = resolved(fired["Again"], after=58_000)
    await rig.send(resolved(fired["Ends"]), resolved(later, after=58_000), {**ends, "startsAt": later["startsAt"]})
    await until(lambda: rig.active() == ["Stays"])
    assert rig.aom()["violations"] == []
    assert rig.count("rejected") == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("lag_ms", [0, 400])
async def test_every_aom_that_there_may_be_ends_with_the_right_alarms(tmp_path, lag_ms):
    """With each combination of what AOM's documentation leaves open, AOM's open alarms are the firing alerts."""
    await all_stories(tmp_path, [{**aom, "list_lag_ms": lag_ms} for aom in aoms()], "lookup_wait: 1s")


async def test_every_aom_that_keeps_our_ids_can_be_cleared_by_id(tmp_path):
    """With `clear_by: id`, where AOM keeps our ids, the same holds without a single look-up."""
    await all_stories(tmp_path, [aom for aom in aoms() if aom["ids"] == "supplied"], "clear_by: id")


async def all_stories(folder, chosen, target):
    """Tell the story to several AOMs at a time."""
    for first in range(0, len(chosen), 8):
        async with contextlib.AsyncExitStack() as stack:
            rigs = [  # one after the other: Alembic migrates one ledger at a time
                await stack.enter_async_context(
                    running(folder / f"{i}.db", options=aom, target=f"{target}\nrate_limit: 1000")
                )
                for i, aom in enumerate(chosen[first : first + 8], first)
            ]
            await asyncio.gather(*map(story, rigs))


# More than one ledger


@pytest.mark.parametrize("moved", [0, -40 * SECOND, 20 * SECOND], ids=["same", "earlier", "later"])
async def test_a_lost_ledger_does_not_leave_an_alarm_open(tmp_path, moved):
    """Fire, lose the ledger, resolve: the alarm is found and cleared, also when the resolve carries another start."""
    async with running(tmp_path / "a.db", target=QUICK) as rig:
        one = alert(starts_at=system_clock() - 90 * SECOND)
        await rig.send(one, alert("Other"))
        await until(lambda: rig.active() == ["DiskFull", "Other"])
        async with running(tmp_path / "b.db", emulator=rig.emulator, target=QUICK) as fresh:
            start = format_rfc3339(system_clock() - 90 * SECOND + moved)
            await fresh.send({**resolved(one, after=50_000), "startsAt": start})
            await until(lambda: rig.active() == ["Other"])


@pytest.mark.parametrize("is_later", [True, False], ids=["another start", "the same start"])
async def test_two_bridges_with_a_ledger_each_keep_aom_right(tmp_path, is_later):
    """Behind a pair of Alertmanagers, each with a bridge of its own: fire, resolve and fire again through either."""
    target = f"reassert_after: 0s\n{QUICK}"
    async with (
        running(tmp_path / "a.db", target=target) as a,
        running(tmp_path / "b.db", target=target, emulator=a.emulator) as b,
    ):
        one = alert(starts_at=system_clock() - 90 * SECOND)
        await a.send(one)
        await until(lambda: a.active() == ["DiskFull"])
        await b.send(resolved(one))
        await until(lambda: a.cleared() == ["DiskFull"])
        again = {**one, "startsAt": format_rfc3339(system_clock() - 20 * SECOND)} if is_later else one
        await a.send(again)
        await until(lambda: a.active() == ["DiskFull"])
        await b.send(again)
        await a.send(resolved(again, after=58_000))
        await until(lambda: a.active() == [] and a.count("cleared") == 1)
        assert b.count("reported") + b.count("report_due") == 1


# Against the official client


class Recorder:
    """A server that answers as AOM does, and keeps what it was sent."""

    def __init__(self):
        self.requests = []

    async def take(self, request):
        signed = re.search(r"SignedHeaders=([^,]+)", request.headers["Authorization"])[1].split(";")
        headers = {name: request.headers[name] for name in ("Content-Type", "Enterprise-Project-Id")}
        dated = {"authorization", "x-sdk-date", "host"} <= {name.lower() for name in request.headers}
        body = await request.json()
        self.requests.append(
            (request.method, request.path, sorted(request.query.items()), headers, dated, "x-sdk-date" in signed, body)
        )
        if request.path.endswith("/push/events"):
            return web.Response(status=204)
        return web.json_response({"events": [], "page_info": {}})


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore")
async def test_our_requests_are_those_of_the_official_client():
    """For the same event the official AomClient sends what we send: method, path, query, headers and body."""
    theirs, ours = Recorder(), Recorder()
    now = system_clock()
    entry = report(EVENT, alarm_id="x", starts_at=now, now=now)
    query = Query(source="s", fingerprints=("f", "g"), since=now - DAY, until=now)
    async with recording(theirs) as url:
        await asyncio.to_thread(official, url, entry, query)
    async with recording(ours) as url:
        text = settings_text(url, "x.db", auth="{aksk: {access_key: emulator-ak, secret_key: emulator-sk}}")
        client = AomClient(
            "default", load("t.yaml", {}, raw=text.encode()).settings.targets["default"], system_clock, 5 * SECOND
        )
        await client.start()
        encoded, deadline = client.encode(entry), now + 60 * SECOND
        assert (await client.push([encoded], "report", deadline)).accepted
        assert (await client.push([encoded], "clear", deadline)).accepted
        for kind in ("active_alert", "history_alert"):
            assert (await client.find(query, deadline, kind)).outcome.accepted
        await client.stop()
    assert len(theirs.requests) == 4
    assert theirs.requests == ours.requests


@contextlib.asynccontextmanager
async def recording(recorder):
    """Run a recorder on loopback; give its address."""
    application = web.Application()
    application.add_routes([web.route("*", "/{path:.*}", recorder.take)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def official(url, entry, query):
    """Send the same with the SDK's own client, by its own models."""
    from huaweicloudsdkaom import v2  # noqa: PLC0415 - it takes a second, and only this test pays for it
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415

    keys = BasicCredentials("emulator-ak", "emulator-sk", "p1")
    client = v2.AomClient.new_builder().with_credentials(keys).with_endpoint(url).build()
    event = v2.EventModel(**msgspec.to_builtins(entry))
    for action in (None, "clear"):
        body = v2.EventList(events=[event])
        client.push_events(v2.PushEventsRequest(action=action, enterprise_project_id="0", body=body))
    asked = query.body()
    relations = [v2.RelationModel(**relation) for relation in asked["metadata_relation"]]
    for kind in ("active_alert", "history_alert"):
        body = v2.EventQueryParam2(time_range=asked["time_range"], step=asked["step"], metadata_relation=relations)
        request = v2.ListEventsRequest(type=kind, enterprise_project_id="0", limit=1000, marker="0", body=body)
        client.list_events(request)
