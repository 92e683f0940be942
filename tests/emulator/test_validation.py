"""Every documented limit of a push refuses the whole request, and the emulator notes which one it was."""

import io
import json

import pytest
from emulator_client import DAY, MINUTE, T0, alarm, cleared, cloud, metadata


def without(key):
    """Give metadata that lacks a key."""
    return {name: value for name, value in metadata().items() if name != key}


def with_keys(count):
    """Give metadata with so many keys."""
    return metadata() | {f"k{number}": "v" for number in range(count - 6)}


BAD_REPORTS = {
    "not an object": ("text", "events[0]: must be an object"),
    "no metadata": ({"starts_at": T0}, "events[0].metadata: must be an object"),
    "list as metadata": (alarm() | {"metadata": []}, "events[0].metadata: must be an object"),
    "number in metadata": (alarm(extra=1), "events[0].metadata.extra: must be a string"),
    "empty value": (alarm(extra=""), "events[0].metadata.extra: has 0 characters"),
    "long value": (alarm(extra="x" * 2049), "events[0].metadata.extra: has 2049 characters"),
    "long in UTF-16": (alarm(extra="\U0001f525" * 1025), "events[0].metadata.extra: has 2050 characters"),
    "31 keys": (alarm() | {"metadata": with_keys(31)}, "events[0].metadata: has 31 keys"),
    "empty key": (alarm(**{"": "x"}), "events[0].metadata: has an empty key"),
    "line break": (alarm(extra="a\nb"), "events[0].metadata.extra: must not hold control"),
    "C1 control": (alarm(extra="a\x85b"), "events[0].metadata.extra: must not hold control"),
    "control in key": (alarm(**{"a\tb": "x"}), "must not hold control"),
    "severity": (alarm(event_severity="critical"), "events[0].metadata.event_severity: must be one of"),
    "type": (alarm(event_type="Alarm"), "events[0].metadata.event_type: must be one of event, alarm"),
    "unhashable type": (alarm(event_type=[]), "events[0].metadata.event_type: must be"),
    "provider": (alarm(resource_provider="p" * 65), "events[0].metadata.resource_provider: is longer"),
    "annotations": (alarm() | {"annotations": "x"}, "events[0].annotations: must be an object"),
    "31 annotations": (alarm(annotations={str(n): n for n in range(31)}), "events[0].annotations: has 31"),
    "attach_rule": (alarm() | {"attach_rule": []}, "events[0].attach_rule: must be an object"),
    "no start": ({"metadata": metadata()}, "events[0].starts_at: must be an integer above 0"),
    "start 0": (alarm(starts_at=0), "events[0].starts_at: must be an integer above 0"),
    "start true": (alarm(starts_at=True), "events[0].starts_at: must be an integer above 0"),
    "start text": (alarm(starts_at=str(T0)), "events[0].starts_at: must be an integer above 0"),
    "start float": (alarm(starts_at=T0 + 0.5), "events[0].starts_at: must be an integer above 0"),
    "future start": (alarm(starts_at=T0 + 1001), "events[0].starts_at: is 1001 ms in the future"),
    "end": (alarm() | {"ends_at": T0}, "events[0].ends_at: must be 0 or absent when reporting"),
    "end false": (alarm() | {"ends_at": False}, "events[0].ends_at: must be 0 or absent when reporting"),
    "number as id": (alarm(event_id=7), "events[0].id: must be a string"),
    "timeout short": (alarm(timeout=MINUTE - 1), "events[0].timeout: must be an integer from 60000"),
    "timeout long": (alarm(timeout=15 * DAY + 1), "events[0].timeout: must be an integer from 60000"),
    "timeout true": (alarm(timeout=True), "events[0].timeout: must be an integer from 60000"),
    "surrogate": (alarm(extra="\ud800"), "events[0]: must not hold half of a surrogate pair"),
    "surrogate key": (alarm(**{"\ud800": ""}), "events[0]: must not hold half of a surrogate pair"),
    "deep": (alarm(annotations={"n": json.loads("[" * 80 + "]" * 80)}), "events[0]: is nested too deeply"),
    "surrogate note": (alarm(annotations={"message": "\udfff"}), "events[0]: must not hold half"),
} | {f"no {key}": (alarm() | {"metadata": without(key)}, f"events[0].metadata.{key}: is missing") for key in metadata()}

BAD_CLEARS = {
    "no id": ({"ends_at": T0, "metadata": metadata()}, "events[0].id: must be a string that is not empty"),
    "empty id": (cleared(""), "events[0].id: must be a string that is not empty"),
    "no end": ({"id": "a", "metadata": metadata()}, "events[0].ends_at: must be an integer above 0"),
    "end 0": (cleared("a", ends_at=0), "events[0].ends_at: must be an integer above 0"),
    "end beyond a long": (cleared("a", ends_at=2**63), "events[0].ends_at: must be an integer above 0"),
    "start 0": (cleared("a") | {"starts_at": 0}, "events[0].starts_at: must be an integer above 0 or absent"),
    "event": (cleared("a", event_type="event"), "events[0].metadata.event_type: an event cannot be cleared"),
    "no metadata": ({"id": "a", "ends_at": T0}, "events[0].metadata: must be an object"),
}

BAD_BODIES = {
    "nothing": (b"", "body: not JSON"),
    "not JSON": (b"{", "body: not JSON"),
    "NaN": (b'{"events": [NaN]}', "body: not JSON: NaN is not JSON"),
    "not UTF-8": (b'{"events": ["\xff"]}', "body: not JSON"),
    "too deep": (b"[" * 100_000, "body: not JSON"),
    "a list": (b"[]", "body: must be a JSON object"),
    "no events": (b"{}", "events: must be a list with at least one event"),
    "empty events": (b'{"events": []}', "events: must be a list with at least one event"),
    "events no list": (b'{"events": {}}', "events: must be a list with at least one event"),
}


@pytest.mark.parametrize(("event", "text"), BAD_REPORTS.values(), ids=BAD_REPORTS.keys())
async def test_a_bad_report_is_refused_and_noted(event, text):
    """Each rule of a report refuses it with AOM's one text, and the state names event and field."""
    async with cloud() as it:
        status, answer = await it.json("PUT", "/v2/p1/push/events", json={"events": [event]})
        assert (status, answer["error_code"]) == (400, "AOM.0400")
        assert answer["error_msg"] == "parse eventParam failed"
        assert any(violation.startswith("report: ") and text in violation for violation in it.violations())
        assert it.state()["violations"][0]["project"] == "p1"
        assert it.state()["active"] == []
        assert (await it.send("GET", "/emulator/state"))[0] == 200


@pytest.mark.parametrize(("event", "text"), BAD_CLEARS.values(), ids=BAD_CLEARS.keys())
async def test_a_bad_clear_is_refused_and_noted(event, text):
    """Each rule of a clear refuses it with AOM's one text, and the state names event and field."""
    async with cloud() as it:
        assert await it.clear(event) == 400
        assert any(violation.startswith("clear: ") and text in violation for violation in it.violations())


@pytest.mark.parametrize(("body", "text"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_refused_and_noted(body, text):
    """A body that is no JSON object with events is refused as a whole."""
    async with cloud() as it:
        headers = {"Content-Type": "application/json"}
        status, _ = await it.send("PUT", "/v2/p1/push/events", data=body, headers=headers)
        assert status == 400
        assert [text in violation for violation in it.violations()] == [True]


async def test_one_bad_event_refuses_all_and_stores_nothing():
    """One bad event among good ones refuses the request, and the note names its position."""
    async with cloud() as it:
        assert await it.report(alarm("a"), alarm("b", extra=""), alarm("c")) == 400
        assert it.state()["active"] == []
        assert it.violations() == ["report: events[1].metadata.extra: has 0 characters, 1 to 2048 are allowed"]


async def test_the_limits_themselves_are_allowed():
    """An event at every limit, with undocumented keys, is accepted without a violation."""
    async with cloud() as it:
        event = alarm(starts_at=T0 + 1_000, timeout=15 * DAY, resource_provider="p" * 64)
        event["metadata"] |= with_keys(30) | {"k0": "x" * 2048, "k1": "\U0001f525" * 1024, "k2": "\u00a0"}
        event["metadata"]["resource_provider"] = "p" * 64
        event |= {
            "annotations": {str(n): "a\nb" for n in range(29)} | {"n": 10**30},
            "ends_at": 0,
            "id": "",
            "surprise": 1,
        }
        assert await it.report(event, alarm("short", timeout=MINUTE)) == 204
        assert it.violations() == []


async def test_the_content_type_is_mandatory():
    """A push without the JSON content type is refused and noted."""
    async with cloud() as it:
        status, _ = await it.send("PUT", "/v2/p1/push/events", data=b'{"events": []}')
        assert status == 400
        assert "report: Content-Type: must be application/json" in it.violations()


@pytest.mark.parametrize("mebibytes", [13, 65])
async def test_a_body_over_12_mb_is_the_gateways_413(mebibytes):
    """The emulated gateway itself refuses a body over 12 MB, however far over it is."""
    async with cloud() as it:
        body = io.BytesIO(b" " * (mebibytes * 1024 * 1024))
        status, answer = await it.json("PUT", "/v2/p1/push/events", data=body)
        assert (status, answer["error_code"]) == (413, "APIGW.0201")
        assert it.state()["requests"][-1]["status"] == 413


async def test_the_violations_are_bounded_and_their_count_is_not():
    """The newest thousand violations are kept, and all of them are counted."""
    async with cloud() as it:
        await it.report(*({} for _ in range(600)))
        state = it.state()
        assert (len(state["violations"]), state["violations_total"]) == (1_000, 1_200)
