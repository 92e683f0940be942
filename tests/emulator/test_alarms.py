"""The emulated AOM keeps, renews, clears and forgets alarms as documented, on either side of each switch."""

import aiohttp
import pytest
from emulator_client import DAY, MINUTE, T0, TIMEOUT, alarm, cleared, cloud, metadata

from bridge.emulator import Emulator, Options


async def test_a_report_is_listed_with_every_documented_field():
    """A reported alarm is answered with 204 and no body, and listed as the list API documents it."""
    async with cloud() as it:
        status, body = await it.send("PUT", "/v2/p1/push/events", json={"events": [alarm()]})
        assert (status, body) == (204, b"")
        (listed,) = (await it.list())["events"]
        assert listed == {
            "id": listed["id"],
            "event_sn": listed["event_sn"],
            "starts_at": T0,
            "ends_at": 0,
            "arrives_at": T0,
            "timeout": TIMEOUT,
            "enterprise_project_id": "0",
            "metadata": metadata(),
            "annotations": {"message": "it is high"},
            "attach_rule": {},
            "policy": {},
        }
        assert it.state()["violations_total"] == 0


async def test_post_reports_as_put_does():
    """POST on the same path reports too, as the older documentation has it."""
    async with cloud() as it:
        status, _ = await it.send("POST", "/v2/p1/push/events?action=other", json={"events": [alarm()]})
        assert status == 204
        assert await it.names() == ["CPU high"]


async def test_a_clear_by_the_listed_id_moves_the_alarm_to_history():
    """A clear with the id that the list shows ends the alarm with the given time."""
    async with cloud() as it:
        await it.report(alarm())
        (listed,) = (await it.list())["events"]
        assert await it.clear(cleared(listed["id"])) == 204
        assert await it.names() == []
        (past,) = (await it.list("type=history_alert"))["events"]
        assert (past["id"], past["ends_at"]) == (listed["id"], T0 + MINUTE)
        assert it.state()["counts"]["cleared"] == 1


async def test_an_assigned_id_is_never_the_supplied_one():
    """By default AOM makes the id itself, and a clear with the reporter's own changes nothing."""
    async with cloud() as it:
        await it.report(alarm(event_id="mine"))
        assert (await it.list())["events"][0]["id"] != "mine"
        assert it.state()["active"][0]["supplied_id"] == "mine"
        assert await it.clear(cleared("mine")) == 204
        assert await it.names() == ["CPU high"]
        assert it.state()["counts"]["unknown_ids"] == 1


async def test_a_supplied_id_is_kept():
    """With ids=supplied the reporter's id names the alarm, and a report without one is given one."""
    async with cloud(ids="supplied") as it:
        await it.report(alarm(event_id="mine"), alarm("other"))
        ids = {event["metadata"]["event_name"]: event["id"] for event in (await it.list())["events"]}
        assert ids["CPU high"] == "mine"
        assert ids["other"]
        await it.clear(cleared("mine"))
        assert await it.names() == ["other"]


@pytest.mark.parametrize("ids", ["assigned", "supplied"])
async def test_equal_metadata_is_one_alarm(ids):
    """Equal metadata renews the active alarm: first start and first id stay, annotations are new."""
    async with cloud(ids=ids) as it:
        await it.report(alarm(event_id="first"))
        before = it.state()["active"][0]["id"]
        it.clock.advance(MINUTE)
        await it.report(alarm(starts_at=T0 + MINUTE, event_id="second", annotations={"message": "new"}))
        (listed,) = (await it.list())["events"]
        assert (listed["id"], listed["starts_at"], listed["arrives_at"]) == (before, T0, T0 + MINUTE)
        assert listed["annotations"] == {"message": "new"}


async def test_equal_metadata_elsewhere_is_another_alarm():
    """Projects and enterprise projects never share an alarm, and a clear reaches only its own."""
    async with cloud(ids="supplied") as it:
        other = {"enterprise-project-id": "e2"}
        await it.report(alarm(event_id="a"))
        await it.report(alarm(event_id="a"), project="p2")
        await it.report(alarm(event_id="a"), headers=other)
        assert it.state()["counts"]["active"] == 3
        await it.clear(cleared("a"), headers=other)
        assert it.state()["counts"]["active"] == 2
        assert await it.names(headers=other) == []
        assert await it.names() == await it.names(project="p2") == ["CPU high"]


async def test_a_report_after_the_clear_opens_a_new_alarm():
    """After a clear the same metadata is a new alarm with an id of its own."""
    async with cloud() as it:
        await it.report(alarm())
        first = it.state()["active"][0]["id"]
        await it.clear(cleared(first))
        await it.report(alarm())
        assert it.state()["active"][0]["id"] != first
        assert it.state()["counts"]["cleared"] == 1


async def test_the_supplied_id_may_decide_what_is_the_same_alarm():
    """With same_alarm=id the id alone decides, metadata may change, and a cleared id opens anew."""
    async with cloud(ids="supplied", same_alarm="id") as it:
        await it.report(alarm(event_id="a"), alarm(event_id="b"), alarm("renamed", event_id="a"))
        assert sorted(await it.names()) == ["CPU high", "renamed"]
        relation = [{"key": "event_name", "value": ["renamed"], "relation": "AND"}]
        assert await it.names(metadata_relation=relation) == ["renamed"]
        await it.clear(cleared("a"))
        await it.report(alarm(event_id="a"))
        assert (it.state()["counts"]["active"], it.state()["counts"]["cleared"]) == (2, 1)


async def test_without_ids_every_report_is_an_alarm_of_its_own_when_ids_decide():
    """With same_alarm=id a report without an id renews nothing."""
    async with cloud(same_alarm="id") as it:
        await it.report(alarm(), alarm())
        assert it.state()["counts"]["active"] == 2


async def test_two_alarms_with_one_id_are_cleared_together():
    """When metadata decides and ids are kept, one id may name two alarms, and a clear takes both."""
    async with cloud(ids="supplied") as it:
        await it.report(alarm("one", event_id="a"), alarm("two", event_id="a"))
        assert it.state()["counts"]["active"] == 2
        await it.clear(cleared("a"))
        assert it.state()["counts"]["active"] == 0


@pytest.mark.parametrize("status", [204, 400])
async def test_a_clear_with_an_unknown_id_is_answered_as_the_switch_says(status):
    """An id that is not held, or held no more, is answered with 204 or 400; 400 clears nothing at all."""
    async with cloud(ids="supplied", unknown_id=status) as it:
        await it.report(alarm(event_id="a"), alarm("b", event_id="b"))
        assert await it.clear(cleared("a")) == 204
        assert await it.clear(cleared("a"), cleared("b")) == status
        assert it.state()["counts"]["active"] == (1 if status == 400 else 0)
        assert it.state()["violations_total"] == 0


async def test_the_timeout_clears_by_itself():
    """An alarm is cleared by age exactly at its deadline, which it shows as its end."""
    async with cloud() as it:
        await it.report(alarm(starts_at=T0 - 10 * MINUTE, timeout=MINUTE))
        it.clock.advance(MINUTE - 1)
        assert await it.names() == ["CPU high"]
        it.clock.advance(1)
        assert await it.names() == []
        assert (await it.list("type=history_alert"))["events"][0]["ends_at"] == T0 + MINUTE
        assert it.state()["counts"]["by_timeout"] == 1


async def test_the_default_timeout_is_five_days():
    """Without a timeout an alarm is cleared by age after five days."""
    async with cloud() as it:
        event = alarm()
        del event["timeout"]
        await it.report(event)
        it.clock.advance(5 * DAY - 1)
        assert it.state()["counts"]["active"] == 1
        it.clock.advance(1)
        assert it.state()["counts"]["active"] == 0


async def test_the_timeout_may_run_from_the_start():
    """With timeout_from=starts_at an old alarm is cleared by the age it came with."""
    async with cloud(timeout_from="starts_at") as it:
        await it.report(
            alarm(starts_at=T0 - MINUTE, timeout=3 * MINUTE), alarm("old", starts_at=T0 - DAY, timeout=MINUTE)
        )
        assert await it.names() == ["CPU high"]
        it.clock.advance(2 * MINUTE)
        assert await it.names() == []


@pytest.mark.parametrize("restarts", [True, False])
async def test_a_repeat_restarts_the_timeout_as_the_switch_says(restarts):
    """A repeated report postpones the clearing by age, or leaves it where it was."""
    async with cloud(repeat_restarts_timeout=restarts) as it:
        await it.report(alarm(timeout=2 * MINUTE))
        it.clock.advance(MINUTE)
        await it.report(alarm(timeout=2 * MINUTE))
        it.clock.advance(MINUTE)
        assert it.state()["counts"]["active"] == (1 if restarts else 0)
        it.clock.advance(MINUTE)
        assert it.state()["counts"]["active"] == 0


async def test_an_event_is_neither_active_nor_history():
    """An event_type event is listed only when everything is asked for, and each report is one more."""
    async with cloud() as it:
        event = alarm("reboot", event_type="event")
        await it.report(event, event)
        assert await it.names() == await it.names("type=history_alert") == []
        assert await it.names("") == ["reboot", "reboot"]
        assert len(it.state()["events"]) == 2


async def test_the_list_lags_as_it_is_told():
    """A reported alarm appears, and a cleared one moves to history, only after the lag."""
    async with cloud(ids="supplied", list_lag_ms=5_000) as it:
        await it.report(alarm(event_id="a"))
        assert await it.names("") == []
        it.clock.advance(5_000)
        assert await it.names() == ["CPU high"]
        await it.clear(cleared("a"))
        (listed,) = (await it.list())["events"]
        assert listed["ends_at"] == 0
        it.clock.advance(4_999)
        assert await it.names("type=history_alert") == []
        it.clock.advance(1)
        assert (await it.names(), await it.names("type=history_alert")) == ([], ["CPU high"])


async def test_the_state_is_the_snapshot():
    """GET /emulator/state gives what snapshot() gives, and its limit keeps the newest."""
    async with cloud() as it:
        await it.report(alarm("one"), alarm("two"))
        status, state = await it.json("GET", "/emulator/state")
        assert (status, state) == (200, it.state())
        assert state["options"]["ids"] == "assigned"
        assert state["requests"][0] | {"time": 0} == {
            "time": 0,
            "method": "PUT",
            "path_qs": "/v2/p1/push/events",
            "status": 204,
            "events": 2,
        }
        _, short = await it.json("GET", "/emulator/state?limit=1")
        assert [row["metadata"]["event_name"] for row in short["active"]] == ["two"]
        assert (await it.json("GET", "/emulator/state?limit=all"))[0] == 400


async def test_a_reset_forgets_everything():
    """A reset forgets alarms, tokens, faults, violations and counts, and the emulator goes on."""
    async with cloud() as it:
        await it.report(alarm())
        await it.report({})
        await it.arm({"on": "report", "status": 503})
        assert (await it.send("POST", "/emulator/reset"))[0] == 204
        state = it.state()
        assert (state["active"], state["violations_total"], state["requests"]) == ([], 0, [])
        assert set(state["counts"].values()) == {0}
        assert (await it.json("GET", "/emulator/faults")) == (200, [])
        assert await it.report(alarm()) == 204


async def test_it_comes_back_where_it_was():
    """After a stop and a start the address and the alarms are the same, as after an outage."""
    async with cloud() as it:
        await it.report(alarm())
        url = it.emulator.url
        await it.emulator.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await it.report(alarm())
        await it.emulator.start()
        assert it.emulator.url == url
        assert await it.names() == ["CPU high"]
        assert await it.send("GET", "/emulator/healthy") == (200, b"healthy\n")


async def test_a_taken_port_is_said_at_once():
    """Starting on a port in use raises and leaves nothing behind."""
    async with cloud() as it:
        port = int(it.emulator.url.rsplit(":", 1)[1])
        second = Emulator(Options(port=port))
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        await second.stop()


async def test_unknown_routes_are_the_gateways_404():
    """A path or method that does not exist is answered in the gateway's words and shape."""
    async with cloud() as it:
        for method, path in (("GET", "/v2/p1/push/events"), ("POST", "/v2/p1/other"), ("GET", "/favicon.ico")):
            status, answer = await it.json(method, path)
            assert (status, answer["error_code"]) == (404, "APIGW.0101")
            assert set(answer) == {"error_code", "error_msg", "error_type", "trace_id"}


async def test_another_project_is_refused():
    """With a project id set every other project is a 404 of the gateway."""
    async with cloud(project_id="p1") as it:
        assert await it.report(alarm()) == 204
        assert await it.report(alarm(), project="p2") == 404


def test_a_misspelt_switch_is_refused():
    """A switch with an unknown value raises and names the choices."""
    with pytest.raises(ValueError, match="ids must be 'assigned' or 'supplied', not 'suplied'"):
        Options(ids="suplied")


def test_the_options_show_no_secret():
    """Neither password, secret key nor tokens appear in the options' representation."""
    shown = repr(Options(password="hush", secret_key="quiet", tokens=("silent",)))
    assert not any(secret in shown for secret in ("hush", "quiet", "silent"))


async def test_it_stays_fast_with_many_alarms():
    """Twenty thousand alarms are reported, found one by one and shown before the test's own limit."""
    async with cloud() as it:
        for batch in range(40):
            events = [alarm(f"a{batch * 500 + number}", resource_id=f"r{number}") for number in range(500)]
            assert await it.report(*events) == 204
        for number in range(0, 20_000, 200):
            relation = [{"key": "event_name", "value": [f"a{number}"], "relation": "AND"}]
            assert await it.names(metadata_relation=relation) == [f"a{number}"]
        _, state = await it.json("GET", "/emulator/state")
        assert len(state["active"]) == 20_000
