"""What a reader of the emulated list must survive: pages that shift, odd markers and ids, alarms of others."""

import aiohttp
import pytest
from emulated_aom import clear_by_hand, put_in
from emulator_client import MINUTE, T0, alarm, cleared, cloud
from waiting import until

FIRST = "type=active_alert&limit=2&marker=0"
SECOND = "type=active_alert&limit=2&marker=2"


async def five(it):
    """Report a, b, c, d and e, of which the list shows the newest first: e, d, c, b, a."""
    await it.report(*(alarm(name, starts_at=T0 - (5 - number) * MINUTE) for number, name in enumerate("abcde")))


async def test_an_alarm_that_goes_between_two_pages_moves_the_next_page():
    """The marker counts entries of the list as it is now: after a clear the next page leaves one out."""
    async with cloud() as it:
        await five(it)
        assert await it.names(FIRST) == ["e", "d"]
        await it.clear_by_hand(event_name="e")
        assert await it.names(SECOND) == ["b", "a"]


async def test_an_alarm_that_comes_between_two_pages_moves_the_next_page():
    """After a report the next page shows an entry of the page before once more."""
    async with cloud() as it:
        await five(it)
        assert await it.names(FIRST) == ["e", "d"]
        await it.report(alarm("f"))
        assert await it.names(SECOND) == ["d", "c"]


async def test_a_marker_may_repeat():
    """With repeat_marker each page, also the last and an empty one, names its own marker as the next."""
    async with cloud() as it:
        await five(it)
        await it.arm({"repeat_marker": True, "count": 3})
        pages = [await it.list(query) for query in (FIRST, SECOND, "type=active_alert&marker=9")]
        assert [page["page_info"]["next_marker"] for page in pages] == ["0", "2", "9"]
        assert [len(page["events"]) for page in pages] == [2, 2, 0]
        assert (await it.list(FIRST))["page_info"]["next_marker"] == "2"


async def test_ids_may_be_null_or_long():
    """With listed_ids a list has null or 300 characters for ids, each its own, while what AOM holds stays."""
    async with cloud(ids="supplied") as it:
        await it.report(alarm("a", event_id="one"), alarm("b", event_id="two"))
        await it.arm({"on": "list", "listed_ids": "null", "count": 1})
        assert [event["id"] for event in (await it.list())["events"]] == [None, None]
        await it.arm({"on": "list", "listed_ids": "long", "count": 1})
        ids = [event["id"] for event in (await it.list())["events"]]
        assert [(len(long), long[:3]) for long in ids] == [(300, "two"), (300, "one")]
        assert [event["id"] for event in (await it.list())["events"]] == ["two", "one"]
        assert [row["id"] for row in it.state()["active"]] == ["one", "two"]


async def test_one_entry_alone_may_have_no_id():
    """With holding only the entries that hold its text have another id."""
    async with cloud() as it:
        await it.report(alarm("a"), alarm("b"))
        await it.arm({"listed_ids": "null", "holding": '"event_name":"b"'})
        ids = {event["metadata"]["event_name"]: event["id"] for event in (await it.list())["events"]}
        assert ids["b"] is None
        assert ids["a"] == it.state()["active"][0]["id"]


async def test_faults_within_lists_leave_other_operations_alone():
    """Neither a report nor the statistic counts as a hit of what changes a list's answer."""
    async with cloud() as it:
        await it.arm({"repeat_marker": True}, {"listed_ids": "null"})
        await it.report(alarm())
        await it.count()
        assert [fault["hits"] for fault in (await it.json("GET", "/emulator/faults"))[1]] == [0, 0]


async def test_alarms_of_others_stand_in_the_same_list():
    """What is put in is listed and counted beside the reported, past faults, credentials and counts of the API."""
    async with cloud() as it:
        await it.report(alarm("ours", alert_source="s", alert_fingerprint="f"))
        await it.arm({"on": "report", "outage": True})
        (program,) = await put_in(it.emulator, alarm("program"))
        await put_in(it.emulator, alarm("twin", alert_source="s", alert_fingerprint="g"))
        await it.put_in(alarm("other", alert_source="t"), headers={"enterprise-project-id": "e1"})
        assert sorted(await it.names()) == ["ours", "program", "twin"]
        assert await it.names(headers={"enterprise-project-id": "e1"}) == ["other"]
        assert (await it.count())["summary"] == {"Major": 3}
        assert program["id"] in {row["id"] for row in it.state()["active"]}
        relation = [{"key": "alert_source", "value": ["s"], "relation": "AND"}]
        assert sorted(await it.names(metadata_relation=relation)) == ["ours", "twin"]
        assert (it.state()["counts"]["report"], it.state()["violations_total"]) == (1, 0)


async def test_what_is_put_in_must_be_an_alarm():
    """A wrong alarm is a 400 that names the field, and no violation of the client that is tested."""
    async with cloud() as it:
        status, answer = await it.json("POST", "/emulator/alarms/p1", json={"events": [{"starts_at": 1}]})
        assert (status, answer) == (400, {"error": "events[0].metadata: must be an object"})
        assert it.state()["violations_total"] == 0


async def test_a_clear_by_hand_moves_the_alarm_to_history():
    """An alarm cleared as in the console ends now, and a clear with its id finds it no more."""
    async with cloud(ids="supplied", list_lag_ms=1_000) as it:
        await it.report(alarm("a", event_id="one"), alarm("b", zone="east"), alarm("c", zone="east"))
        it.clock.advance(MINUTE)
        assert await clear_by_hand(it.emulator, id="one") == 1
        assert await it.names() == ["c", "b", "a"]
        it.clock.advance(1_000)
        assert await it.names("type=history_alert") == ["a"]
        assert it.state()["history"][0]["ends_at"] == T0 + MINUTE
        await it.clear(cleared("one", "a"))
        assert it.state()["counts"]["unknown_ids"] == 1
        assert await it.clear_by_hand(zone="east", event_name="c") == 1
        assert await it.clear_by_hand(project="p2", zone="east") == await it.clear_by_hand(zone="west") == 0
        assert [row["metadata"]["event_name"] for row in it.state()["active"]] == ["b"]


async def test_a_report_after_a_clear_by_hand_opens_a_new_alarm():
    """The same metadata is another alarm with another id, once people have cleared the first."""
    async with cloud() as it:
        await it.report(alarm("a"))
        first = it.state()["active"][0]["id"]
        await it.clear_by_hand(event_name="a")
        await it.report(alarm("a"))
        assert it.state()["active"][0]["id"] != first


async def test_a_clear_by_hand_names_its_alarms():
    """Without a condition nothing is cleared, since it would be all."""
    async with cloud() as it:
        await it.report(alarm("a"))
        assert (await it.send("DELETE", "/emulator/alarms/p1"))[0] == 400
        assert await it.names() == ["a"]


@pytest.mark.parametrize("fault", [{"latency_ms": 3_600_000}, {"latency_ms": 100}])
async def test_a_report_may_land_after_its_client_has_gone(fault):
    """A delayed report of a client that gave up is applied after the delay, or when the faults are removed."""
    async with cloud() as it:
        await it.arm({"on": "report", "count": 1, **fault})
        with pytest.raises(TimeoutError):
            await it.report(alarm("late"), timeout=aiohttp.ClientTimeout(total=0.05))
        if fault["latency_ms"] > 1_000:
            assert await it.names() == []
            await it.send("DELETE", "/emulator/faults")
        await until(lambda: it.state()["active"])
        assert await it.names() == ["late"]
