"""Each fault does to a request what it says, as often as it says, and nothing to the others."""

import asyncio
import errno
import json
import time

import aiohttp
import pytest
from emulator_client import T0, alarm, cleared, cloud
from waiting import PATIENCE, until

from bridge.emulator.faults import read_faults
from bridge.emulator.orders import EXAMPLES, KINDS


async def test_a_status_is_answered_with_its_headers_and_body():
    """A status fault answers in AOM's shape, with the headers ordered, and processes nothing."""
    async with cloud() as it:
        await it.arm({"on": "report", "status": 503, "headers": {"Retry-After": "7"}, "count": 1})
        url = f"{it.emulator.url}/v2/p1/push/events"
        async with it.session.put(url, json={"events": [alarm()]}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "7")
            assert (await response.json())["error_code"] == "AOM.0503"
        assert await it.names() == []
        assert await it.report(alarm()) == 204


async def test_a_status_may_bring_its_own_code():
    """A status fault may set code and text, and IAM's operation gets IAM's shape."""
    async with cloud() as it:
        await it.arm({"on": "list", "status": 403, "error_code": "APIGW.0302", "error_msg": "no"})
        await it.arm({"on": "token", "status": 429})
        status, answer = await it.json("POST", "/v2/p1/events", json={})
        assert (status, answer["error_code"], answer["error_msg"]) == (403, "APIGW.0302", "no")
        status, answer = await it.json("POST", "/v3/auth/tokens", json={})
        assert (status, answer["error"]["code"]) == (429, 429)


async def test_a_fault_hits_its_operation_as_often_as_ordered():
    """A fault spares other operations, counts its hits, and is gone after the last one."""
    async with cloud(ids="supplied") as it:
        await it.arm({"on": "clear", "status": 500, "count": 2})
        assert await it.report(alarm(event_id="a")) == 204
        assert await it.clear(cleared("a")) == 500
        _, armed = await it.json("GET", "/emulator/faults")
        assert armed == [{"on": "clear", "status": 500, "count": 2, "hits": 1, "left": 1}]
        assert [await it.clear(cleared("a")) for _ in range(2)] == [500, 204]
        assert (await it.json("GET", "/emulator/faults"))[1] == []


async def test_a_fault_without_a_count_stays_until_removed():
    """A fault without a count hits every operation until all faults are removed."""
    async with cloud() as it:
        await it.arm({"status": 502})
        assert [await it.report(alarm()) for _ in range(3)] == [502] * 3
        assert (await it.json("GET", "/emulator/faults"))[1] == [{"status": 502, "hits": 3, "left": None}]
        assert (await it.send("DELETE", "/emulator/faults"))[0] == 204
        assert await it.report(alarm()) == 204


async def test_a_latency_delays_and_goes_on():
    """A latency delays the answer, the request is processed, and further faults still hit."""
    async with cloud() as it:
        await it.arm({"latency_ms": 200, "count": 2}, {"status": 500, "count": 1})
        started = time.monotonic()
        assert await it.report(alarm()) == 500
        assert await it.report(alarm()) == 204
        assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize("kind", ["outage", "reset", "half"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_broken_connection_leaves_the_outcome_open(kind, after):
    """An outage, a reset or half an answer breaks the request before or after it was processed."""
    async with cloud() as it:
        await it.arm({"on": "report", kind: True, "count": 1} | ({"after": True} if after else {}))
        # aiohttp's client resends a PUT once by itself when its connection breaks, but never a POST.
        with pytest.raises(aiohttp.ClientError) as caught:
            await it.send("POST", "/v2/p1/push/events", json={"events": [alarm()]})
        expected = {
            "outage": aiohttp.ServerDisconnectedError,
            "reset": aiohttp.ClientOSError,
            "half": aiohttp.ClientPayloadError,
        }
        assert isinstance(caught.value, expected[kind])
        if kind == "reset":
            assert caught.value.errno == errno.ECONNRESET
        assert await it.names() == (["CPU high"] if after else [])
        assert it.state()["requests"][0]["status"] == 0


async def test_a_hang_ends_when_it_is_removed():
    """A hanging request gets no answer until the faults are removed, and then its own."""
    async with cloud() as it:
        await it.arm({"hang": True, "count": 1})
        hanging = asyncio.create_task(it.report(alarm()))
        await until(lambda: it.state()["requests"])
        assert await it.names() == []
        assert not hanging.done()
        await it.send("DELETE", "/emulator/faults")
        assert await hanging == 204


async def test_a_hang_ends_when_the_client_leaves():
    """A hanging request whose client gave up does not stay behind."""
    async with cloud() as it:
        await it.arm({"on": "report", "hang": True})
        with pytest.raises(TimeoutError):
            await it.report(alarm(), timeout=aiohttp.ClientTimeout(total=0.1))
        await until(lambda: not any("interfered" in repr(task.get_stack()) for task in asyncio.all_tasks()))


async def test_a_stop_does_not_wait_for_who_hangs():
    """Stopping the emulator ends hanging and delayed requests at once."""
    async with cloud() as it:
        await it.arm({"on": "report", "hang": True}, {"on": "list", "latency_ms": 3_600_000})
        tasks = [asyncio.create_task(it.report(alarm())), asyncio.create_task(it.names())]
        await until(lambda: len(it.state()["requests"]) == 2)
        async with asyncio.timeout(PATIENCE):
            await it.emulator.stop()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_poison_refuses_every_request_that_holds_it():
    """A push with a poisoned event is refused as a whole, is no violation, and the rest passes."""
    async with cloud() as it:
        await it.arm({"poison": "bad-\u00e9-one"})
        assert await it.report(alarm("good"), alarm("bad-\u00e9-one")) == 400
        assert await it.report(alarm("good")) == 204
        assert await it.report(alarm(annotations={"message": "a bad-\u00e9-one"})) == 400
        assert await it.names() == ["good"]
        assert (await it.json("GET", "/emulator/faults"))[1][0]["hits"] == 2
        assert it.state()["violations_total"] == 0


async def test_a_counted_poison_wears_off():
    """A poison with a count refuses so many requests and no more."""
    async with cloud() as it:
        await it.arm({"poison": "CPU", "count": 1, "on": "report"})
        assert [await it.report(alarm()) for _ in range(2)] == [400, 204]


async def test_one_order_or_a_list_is_taken():
    """Faults are armed one by one or as a list, and keep their order."""
    async with cloud() as it:
        assert (await it.json("POST", "/emulator/faults", json={"status": 500}))[0] == 200
        armed = await it.arm({"status": 501}, {"status": 502})
        assert [fault["status"] for fault in armed] == [500, 501, 502]


BAD_ORDERS = {
    "no object": (5, "A fault must be a JSON object."),
    "no kind": ({"on": "any"}, "A fault must have exactly one of status, latency_ms, outage"),
    "two kinds": ({"status": 500, "hang": True}, "A fault must have exactly one of status"),
    "on": ({"on": "push", "status": 500}, "on must be one of any, token, report, clear, list, statistic."),
    "count": ({"count": 0, "status": 500}, "count must be a whole number from 1"),
    "status": ({"status": "503"}, "status must be a whole number from 200 to 599."),
    "low status": ({"status": 100}, "status must be a whole number from 200 to 599."),
    "headers": ({"status": 500, "headers": {"A": "b\r\nc"}}, "headers must be an object of header names"),
    "header name": ({"status": 500, "headers": {"A b:": "c"}}, "headers must be an object of header names"),
    "error_code": ({"status": 500, "error_code": 1}, "error_code must be a text."),
    "latency": ({"latency_ms": -1}, "latency_ms must be a whole number from 0"),
    "outage": ({"outage": False}, "outage must be true."),
    "hang": ({"hang": 1}, "hang must be true or false."),
    "after": ({"reset": True, "after": 1}, "after must be true or false."),
    "after status": ({"status": 500, "after": True}, "after is unknown with status; the choices are count"),
    "misspelt": ({"status": 500, "times": 3}, "times is unknown with status; the choices are count, error"),
    "poison": ({"poison": ""}, "poison must be a text that is not empty."),
    "marker": ({"repeat_marker": False}, "repeat_marker must be true."),
    "marker on": ({"repeat_marker": True, "on": "report"}, "on must be one of any, list."),
    "ids": ({"listed_ids": "none"}, "listed_ids must be one of null, long."),
    "null ids": ({"listed_ids": None}, "listed_ids must be one of null, long."),
    "holding": ({"listed_ids": "long", "holding": 1}, "holding must be a text."),
    "holding alone": ({"repeat_marker": True, "holding": "a"}, "holding is unknown with repeat_marker"),
}


@pytest.mark.parametrize(("order", "sentence"), BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
async def test_a_wrong_order_is_explained(order, sentence):
    """A wrong order is a 400 whose sentence names the field, and nothing of its list is armed."""
    async with cloud() as it:
        status, answer = await it.json("POST", "/emulator/faults", json=[{"status": 500}, order])
        assert status == 400
        assert answer["error"].startswith(sentence)
        assert (await it.json("GET", "/emulator/faults"))[1] == []


async def test_an_order_that_is_no_json_is_explained():
    """An order that is no JSON is a 400 too."""
    async with cloud() as it:
        for body in (b"{", b'{"poison": "\\ud800"}', b'{"status": 1' + b"0" * 40 + b"}"):
            status, answer = await it.json("POST", "/emulator/faults", data=body)
            assert status == 400
            assert answer["error"]


async def test_the_own_routes_are_never_hit():
    """State, page and orders answer whatever is armed."""
    async with cloud() as it:
        await it.arm({"outage": True})
        assert it.clock.now == T0
        for path in ("/", "/emulator/state", "/emulator/faults", "/emulator/healthy"):
            assert (await it.send("GET", path))[0] == 200


def test_each_kind_has_an_example_that_is_taken():
    """The help of the emulator shows an order of each kind, and each of them can be sent as it is."""
    assert EXAMPLES.keys() == KINDS.keys()
    for kind, order in EXAMPLES.items():
        (fault,) = read_faults(json.loads(order))
        assert fault.kind == kind
