"""A push of unknown outcome is a doubt, and what it may still do is undone: no alarm is left open or closed early."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aom_client import client
from bridge_rig import running
from emulated_aom import cloud
from gateway import gateway, is_list, is_report
from ledger_rows import listing
from process import free_port
from waiting import until
from webhooks import alert, resolved

from bridge.clock import format_rfc3339, system_clock
from bridge.ledger import unpack_ids

pytestmark = pytest.mark.slow


@asynccontextmanager
async def behind(tmp_path, *, clock=system_clock, target="lookup_wait: 1s", **options):
    """Run a bridge whose AOM stands behind a gateway."""
    async with (
        cloud(**options) as aom,
        gateway(aom) as gate,
        running(tmp_path / "l.db", emulator=gate, clock=clock, target=f"rate_limit: 1000\n{target}") as rig,
    ):
        rig.gate = gate
        yield rig


async def alarms_of(rig):
    """Give the ledger's alarms, the newest first."""
    return [view.alarm for view in await rig.app.ledger._core.read(listing)]


def break_first(gate, how, *, is_meant=is_report):
    """Let the first request of a kind break, and AOM have it late."""
    broken = []

    async def meddle(request, body):
        if broken or not is_meant(request):
            return None
        broken.append(request)
        gate.keep_back(request, body)
        if how == "504":
            return web.Response(status=504)
        request.transport.abort()
        return web.Response()

    gate.meddle = meddle


# Of any attempt


@pytest.mark.parametrize("how", ["504", "reset"])
async def test_a_report_that_its_quick_retry_has_overtaken_is_cleared_when_it_comes(tmp_path, how):
    """The first attempt breaks, the retry is accepted, the alert resolves, and then AOM applies the first attempt."""
    async with behind(tmp_path) as rig:
        break_first(rig.gate, how)
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        assert rig.gate.count("push/events") == 2
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["DiskFull"])
        await rig.gate.let_go()
        assert rig.active() == ["DiskFull"]
        await until(lambda: rig.active() == [] and rig.count("cleared") == 1)


async def test_the_doubt_of_an_attempt_outlives_a_renewed_token():
    """The first attempt gets 504, the second 401, and one with a new token is accepted: the push is in doubt."""
    async with client() as it, gateway(it.emulator) as gate:
        answers = [web.Response(status=504), web.Response(status=401)]

        async def meddle(request, _body):
            return answers.pop(0) if answers and is_report(request) else None

        gate.meddle = meddle
        object.__setattr__(it.client._settings, "endpoint", gate.url)
        outcome = await it.push()
        assert (outcome.accepted, outcome.in_doubt, answers) == (True, True, [])
        assert not (await it.push()).in_doubt


async def test_a_connection_that_was_refused_leaves_no_doubt():
    """Nothing has left where no connection was made, so nothing is in doubt."""
    async with client() as it:
        await it.push()
        object.__setattr__(it.client._settings, "endpoint", f"http://127.0.0.1:{free_port()}")
        outcome = await it.push()
        assert (outcome.reason, outcome.in_doubt) == ("connection", False)


async def test_a_broken_connection_is_tried_again_by_our_retries_alone():
    """Of itself aiohttp repeats a PUT on a broken connection, past rate limit and deadline: that is switched off."""
    async with client() as it, gateway(it.emulator) as gate:
        object.__setattr__(it.client._settings, "endpoint", gate.url)
        await it.push()

        async def meddle(request, _body):
            request.transport.abort()
            return web.Response()

        gate.meddle = meddle
        outcome = await it.push()
        assert (outcome.reason, outcome.in_doubt) == ("connection", True)
        assert gate.count("push/events") == 1 + 3


async def test_an_answer_that_breaks_off_is_a_doubt():
    """The status has come and the rest of the answer has not: AOM may have taken what was sent."""
    async with client() as it, gateway(it.emulator) as gate:
        object.__setattr__(it.client._settings, "endpoint", gate.url)

        async def meddle(request, _body):
            if not is_report(request):
                return
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"{")
            request.transport.abort()

        gate.meddle = meddle
        outcome = await it.push()
        assert (outcome.accepted, outcome.in_doubt) == (False, True)


async def test_aiohttps_own_switch_is_still_there():
    """The switch is private to aiohttp: with a version that has lost it, this fails instead of repeating in silence."""
    async with aiohttp.ClientSession() as session:
        assert session._retry_connection is True
    async with client() as it:
        assert it.client._connection.session._retry_connection is False


# A start, an id


async def test_an_equal_start_in_a_list_that_lags_proves_nothing(tmp_path):
    """Fire, clear, fire with the same start and resolve within the lag: what is listed of the first is not believed."""
    async with behind(tmp_path, target="lookup_wait: 1500ms", list_lag_ms=700) as rig:
        one = alert("Flap")
        await rig.send(one)
        await rig.send(resolved(one))
        await until(lambda: rig.aom()["counts"]["events_cleared"] >= 1)
        await until(lambda: rig.count("cleared") == 1)
        assert await rig.send(one) == "1 new"  # the other one of an HA pair
        await until(lambda: rig.aom()["counts"]["events_reported"] >= 2)
        await rig.send(resolved(one, after=50_000))
        await until(lambda: rig.count("cleared") == 2)
        assert rig.active() == []


async def test_a_late_repeat_of_an_older_firing_does_not_keep_a_spare_alarm(tmp_path):
    """AOM holds two of one alert, and a repeat brings the older start: one of them is cleared all the same."""
    async with behind(tmp_path, list_lag_ms=300, same_alarm="id") as rig:
        await rig.arm({"on": "report", "status": 503})
        now = system_clock()
        older, newer = alert("A", starts_at=now - 9_000), alert("A", starts_at=now - 7_000)
        await rig.send(older)
        await rig.send({**older, "status": "resolved", "endsAt": format_rfc3339(now - 8_000)})
        await rig.send(newer)
        await rig.send(older)
        await rig.disarm()
        await until(lambda: rig.count("reported") == 1)
        await until(lambda: rig.active() == ["A"] and rig.cleared() == ["A"])
        (alarm,) = [one for one in await alarms_of(rig) if one.state == "reported"]
        await until(lambda: rig.aom()["counts"]["list"] >= 2)
        assert alarm.first_sent_start is not None


# A doubt ends


async def test_a_doubt_ends_though_the_alert_flaps_faster_than_the_wait(tmp_path):
    """After an outage an alert that flaps costs one look for each clear, and no alarm of it stays in doubt."""
    async with behind(tmp_path, target="lookup_wait: 1s") as rig:
        break_first(rig.gate, "504")
        begun = system_clock()
        number = 0

        async def flap():
            nonlocal number
            number += 1
            one = alert("Flap", starts_at=begun + number)
            await rig.send(one)
            await until(lambda: rig.aom()["counts"]["events_reported"] >= number)
            await rig.send({**one, "status": "resolved", "endsAt": format_rfc3339(system_clock())})

        while system_clock() - begun < 1_500:
            await flap()
        await until(lambda: rig.count("cleared") == number)
        lists = rig.gate.count("type=active_alert")
        for _ in range(5):
            await flap()
            await until(lambda: rig.count("cleared") == number)
        assert rig.gate.count("type=active_alert") - lists == 5
        assert (await alarms_of(rig))[0].doubt_at is None


async def test_a_doubt_that_is_handed_on_keeps_its_time(tmp_path):
    """A successor inherits the doubt of the report, not one of the hand-over, and the id that the clear named."""
    async with behind(tmp_path, target="lookup_wait: 1m") as rig:
        break_first(rig.gate, "504")
        one = alert("A")
        await rig.send(one)
        await until(lambda: rig.count("reported") == 1)
        (first,) = await alarms_of(rig)
        assert first.doubt_at is not None
        await rig.send(resolved(one))
        await rig.send({**one, "startsAt": format_rfc3339(system_clock())})
        await until(lambda: rig.count("reported") == 1 and rig.count("cleared") == 1)
        second, first_cleared = await alarms_of(rig)
        assert second.doubt_at == first.doubt_at
        assert unpack_ids(second.earlier_ids) == unpack_ids(first_cleared.named_ids) != ()


# By id


BY_ID = {"ids": "supplied", "unknown_id": 400}


@pytest.mark.parametrize("may_list", [True, False])
async def test_a_report_that_comes_late_is_cleared_by_id_too(tmp_path, may_list):
    """`clear_by: id`: a clear in doubt goes out again after `lookup_wait`, with or without the right to list."""
    async with behind(tmp_path, target="clear_by: id\nlookup_wait: 1s", **BY_ID) as rig:
        if not may_list:
            await rig.arm({"on": "list", "status": 403})
        break_first(rig.gate, "504")
        one = alert()
        await rig.send(one)
        await until(lambda: rig.count("reported") == 1)
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["DiskFull"])
        await rig.gate.let_go()
        await until(lambda: rig.active() == [] and rig.count("cleared") == 1)
        assert len(rig.cleared()) == 2


@pytest.mark.parametrize("unknown_id", [204, 400])
async def test_an_alarm_that_aom_merged_into_a_late_one_is_cleared_by_id(tmp_path, unknown_id):
    """A late report opens the id of an alarm that was cleared; AOM merges the next one into it: its clear ends both."""
    async with behind(tmp_path, target="clear_by: id\nlookup_wait: 1m", **{**BY_ID, "unknown_id": unknown_id}) as rig:
        break_first(rig.gate, "504")
        one = alert(starts_at=system_clock() - 90_000)
        await rig.send(one)
        await until(lambda: rig.count("reported") == 1)
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["DiskFull"])
        await rig.gate.let_go()
        again = {**one, "startsAt": format_rfc3339(system_clock() - 20_000)}
        await rig.send(again)
        await until(lambda: rig.aom()["counts"]["events_reported"] == 3)
        assert rig.active() == ["DiskFull"]
        await rig.send(resolved(again, after=50_000))
        await until(lambda: rig.active() == [])


async def test_a_refused_id_of_an_alarm_that_aom_took_is_looked_for(tmp_path):
    """By id: AOM refuses the id of an alarm whose report it accepted; its list shows another id, and that ends it."""
    async with behind(tmp_path, target="clear_by: id", ids="assigned", unknown_id=400) as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.send(resolved(one))
        await until(lambda: rig.active() == [] and rig.count("cleared") == 1)


async def test_a_list_that_is_forbidden_pauses_nothing_by_id(tmp_path):
    """`clear_by: id` needs no permission to list: without it a refused clear is finished, and the target goes on."""
    async with behind(tmp_path, target="clear_by: id", **BY_ID) as rig:
        await rig.arm({"on": "list", "status": 403})
        one, two = alert("One"), alert("Two")
        await rig.send(one)
        await until(lambda: rig.active() == ["One"])
        await rig.arm({"on": "clear", "reset": True, "after": True, "count": 3})
        await rig.send(resolved(one))
        await until(lambda: rig.count("cleared") == 1)
        await rig.send(two)
        await until(lambda: rig.active() == ["Two"])


# A list that is cut off, empty or odd


async def cut_off(request, _body):
    """Answer a look with an empty page that names another one."""
    cut = {"events": [], "page_info": {"next_marker": "7"}}
    return web.json_response(cut) if is_list(request) else None


async def test_a_list_that_is_cut_off_decides_nothing(tmp_path):
    """An empty page that names another one is no end: the clear waits, and goes out once the list is whole."""
    async with behind(tmp_path, target="lookup_wait: 1ms") as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])

        rig.gate.meddle = cut_off
        await rig.send(resolved(one))
        await until(lambda: rig.gate.count("type=active_alert") >= 6)
        assert (rig.count("clear_due"), rig.count("cleared")) == (1, 0)
        _, shown = await rig.get("/api/v1/alarms?state=clear_due")
        assert "cut off before its end" in shown
        rig.gate.meddle = None
        await until(lambda: rig.cleared() == ["DiskFull"])


async def test_a_list_that_is_empty_for_a_while_ends_no_alarm(tmp_path, capfd):
    """Neither list shows an alarm that AOM has accepted: its clear waits, loudly and by itself, until one does."""
    async with behind(tmp_path, target="lookup_wait: 200ms") as rig:
        first, second = alert("First"), alert("Second")
        await rig.send(first, second)
        await until(lambda: rig.active() == ["First", "Second"])
        await rig.send(resolved(first))
        await until(lambda: rig.count("cleared") == 1)

        async def meddle(request, _body):
            return web.json_response({"events": [], "page_info": {}}) if is_list(request) else None

        rig.gate.meddle = meddle
        await rig.send(resolved(second))
        await until(
            lambda: "the clear of an alarm waits: AOM shows the alarm in no list" in "".join(capfd.readouterr())
        )
        assert (rig.count("clear_due"), rig.active()) == (1, ["Second"])
        await rig.send(alert("Third"))
        await until(lambda: rig.active() == ["Second", "Third"])
        rig.gate.meddle = None
        await until(lambda: rig.active() == ["Third"])


async def test_a_successor_is_not_held_up_by_a_list_that_is_cut_off(tmp_path):
    """The alert fires again while its clear waits for the list: the clear goes out, and the next report after it."""
    async with behind(tmp_path, target="lookup_wait: 1m", same_alarm="id") as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])

        rig.gate.meddle = cut_off
        await rig.send(resolved(one))
        await until(lambda: rig.gate.count("type=active_alert") >= 4)
        await rig.send({**one, "startsAt": format_rfc3339(system_clock())})
        await until(lambda: rig.aom()["counts"]["events_reported"] == 2)
        newest = (await alarms_of(rig))[0]
        assert newest.doubt_at is not None


@pytest.mark.parametrize(
    "odd",
    [
        {"id": None, "starts_at": 1.5, "metadata": {"alert_fingerprint": "x", "alert_source": "y"}},
        {"id": 7, "starts_at": "soon", "metadata": {"event_name": "theirs"}},
        {"metadata": None},
        ["no object"],
        None,
    ],
    ids=repr,
)
async def test_an_odd_entry_of_others_hides_none_of_ours(tmp_path, odd):
    """Whatever other programs' alarms look like in AOM's list, ours on the same page are read."""
    async with behind(tmp_path) as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])

        async def meddle(request, body):
            if not is_list(request):
                return None
            page = json.loads((await rig.gate.forward(request, body)).body)
            return web.json_response({**page, "events": [odd, *page["events"], odd]})

        rig.gate.meddle = meddle
        await rig.send(resolved(one))
        await until(lambda: rig.active() == [] and rig.count("cleared") == 1)


async def test_an_own_entry_without_an_id_is_not_an_absent_one(tmp_path):
    """AOM's list shows the alarm without an id: it is open, so its clear waits until there is one."""
    async with behind(tmp_path, target="lookup_wait: 1ms") as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])

        async def meddle(request, body):
            if not is_list(request):
                return None
            page = json.loads((await rig.gate.forward(request, body)).body)
            return web.json_response({**page, "events": [{**event, "id": None} for event in page["events"]]})

        rig.gate.meddle = meddle
        await rig.send(resolved(one))
        await until(lambda: rig.gate.count("type=active_alert") >= 4)
        assert (rig.count("clear_due"), rig.active()) == (1, ["DiskFull"])
        rig.gate.meddle = None
        await until(lambda: rig.active() == [])


# Answers of others


@pytest.mark.parametrize("action", ["report", "clear"])
@pytest.mark.parametrize(
    "portal",
    [
        {"status": 200, "text": "<html>Please log in</html>", "content_type": "text/html"},
        {"status": 200, "text": '{"error_code": "AOM.0500", "error_msg": "not now"}'},
        {"status": 206},
    ],
    ids=["a portal", "an error in 200", "a part"],
)
async def test_a_success_that_is_not_aoms_is_none(tmp_path, portal, action):
    """A captive portal's page, an error with status 200, a part of an answer: nothing counts as accepted."""
    async with behind(tmp_path) as rig:
        one = alert()
        if action == "clear":
            await rig.send(one)
            await until(lambda: rig.active() == ["DiskFull"])

        async def meddle(request, _body):
            is_meant = request.method == "PUT" and (("action" in request.query) == (action == "clear"))
            return web.Response(**portal) if is_meant else None

        rig.gate.meddle = meddle
        await rig.send(one if action == "report" else resolved(one))
        await until(lambda: rig.gate.count("push/events") >= 4)
        assert rig.count("reported") + rig.count("cleared") == 0
        rig.gate.meddle = None
        await until(lambda: rig.count("reported" if action == "report" else "cleared") == 1)


@pytest.mark.parametrize("status", [400, 413])
async def test_an_event_that_a_proxy_dislikes_stops_no_other_and_is_kept(tmp_path, status):
    """A proxy's 400 or 413 judges no event: the batch is halved, the others go out, and that one is tried again."""
    async with behind(tmp_path) as rig:

        async def meddle(request, body):
            is_disliked = is_report(request) and b"node-7" in body
            return web.Response(status=status, text="<html>no</html>") if is_disliked else None

        rig.gate.meddle = meddle
        await rig.send(*(alert(instance=f"node-{i}") for i in range(20)))
        await until(lambda: len(rig.active()) == 19 and rig.count("report_due") == 1)
        assert rig.count("rejected") == 0
        rig.gate.meddle = None
        await until(lambda: len(rig.active()) == 20)


async def test_a_proxy_that_refuses_everything_rejects_nothing(tmp_path):
    """Where a proxy refuses every event alone, the target pauses; when it lets them pass, all are delivered."""
    async with behind(tmp_path) as rig:

        async def meddle(request, _body):
            return web.Response(status=400, text="<html>no</html>") if is_report(request) else None

        rig.gate.meddle = meddle
        await rig.send(*(alert(instance=f"node-{i}") for i in range(40)))
        await until(lambda: rig.gate.count("push/events") >= 30)
        assert rig.count("report_due") == 40
        rig.gate.meddle = None
        await until(lambda: len(rig.active()) == 40)
        assert rig.count("rejected") == 0


async def test_an_answer_without_an_end_is_cut_off(monkeypatch):
    """An answer longer than any of AOM is not read to its end, and is no success."""
    monkeypatch.setattr("bridge.aom.answer.MAX_BYTES", 1 << 20)
    async with client() as it, gateway(it.emulator) as gate:
        object.__setattr__(it.client._settings, "endpoint", gate.url)

        async def meddle(request, _body):
            if not is_report(request):
                return
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b" " * 65_536)
                await asyncio.sleep(0)

        gate.meddle = meddle
        outcome = await it.push()
        assert (outcome.reason, outcome.in_doubt) == ("foreign", True)


# The clock


class Clock:
    """The system's clock, moved by so much."""

    def __init__(self):
        self.moved = 0

    def __call__(self):
        return system_clock() + self.moved


@pytest.mark.parametrize("action", ["report", "clear"])
async def test_a_clock_that_steps_back_delays_nothing(tmp_path, action):
    """What waited when the clock stepped back by a day is tried again at once, counted, and its age is seen."""
    clock = Clock()
    clock.moved = 86_400_000
    async with behind(tmp_path, clock=clock, target="lookup_wait: 300ms") as rig:
        one = alert(starts_at=system_clock() - 60_000)
        if action == "clear":
            await rig.send(one)
            await until(lambda: rig.active() == ["DiskFull"])
        await rig.arm({"on": action, "status": 503})
        await rig.send(one if action == "report" else resolved(one))

        async def waits():
            return any(one.attempts > 1 and one.claimed_by is None for one in await alarms_of(rig))

        await until(waits)
        clock.moved = 0
        await rig.disarm()
        await until(lambda: rig.active() == (["DiskFull"] if action == "report" else []))
        assert await rig.metric("aom_bridge_due_times_ahead_total", target="default") >= 1


async def test_a_doubt_that_lies_ahead_is_settled_all_the_same(tmp_path):
    """A report in doubt, then the clock steps back by a day: the alarm that comes late is cleared with its alert."""
    clock = Clock()
    clock.moved = 86_400_000
    async with behind(tmp_path, clock=clock, target="lookup_wait: 500ms") as rig:
        break_first(rig.gate, "504")
        one = alert()
        await rig.send(one)
        await until(lambda: rig.count("reported") == 1)
        clock.moved = 0
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["DiskFull"])
        await rig.gate.let_go()
        await until(lambda: rig.active() == [] and rig.count("cleared") == 1)


# Starts


NO_START = "0001-01-01T00:00:00Z"


async def test_no_start_is_the_time_of_receipt(tmp_path):
    """An alert without a start begins when it came; a repeat without one keeps that and re-reports nothing."""
    async with behind(tmp_path) as rig:
        one = {**alert(), "startsAt": NO_START}
        begun = system_clock()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        (shown,) = rig.aom()["active"]
        assert begun <= shown["starts_at"] <= system_clock()
        assert await rig.send(one) == "1 repeat"
        await rig.send(alert("Other"))
        await until(lambda: rig.active() == ["DiskFull", "Other"])
        assert rig.aom()["counts"]["events_reported"] == 2
        assert await rig.send({**one, "status": "resolved", "endsAt": format_rfc3339(begun)}) == "1 resolved"
        await until(lambda: rig.active() == ["Other"])


@pytest.mark.parametrize("days", [20, 300])
async def test_a_start_of_long_ago_leaves_an_alarm_its_timeout(tmp_path, days):
    """Where AOM counts the timeout from the start, an alert that began long ago is an alarm all the same."""
    async with behind(tmp_path, timeout_from="starts_at") as rig:
        starts_at = system_clock() - days * 86_400_000
        one = alert(starts_at=starts_at)
        await rig.send(one)
        await until(lambda: rig.count("reported") == 1)
        assert rig.active() == ["DiskFull"]
        assert rig.aom()["active"][0]["annotations"]["alert_starts_at"] == one["startsAt"]
        assert await rig.send(one) == "1 repeat"
        await rig.send(resolved(one))
        await until(lambda: rig.active() == [] and rig.count("cleared") == 1)
