"""The emulated statistic counts what the emulated list shows."""

import pytest
from emulator_client import MINUTE, T0, alarm, cleared, cloud


async def four(it):
    """Report four alarms of two severities, and clear one."""
    await it.report(
        alarm("cpu", starts_at=T0 - 3 * MINUTE, zone="east", event_severity="Critical", event_id="c"),
        alarm("disk", starts_at=T0 - 2 * MINUTE, zone="east", event_severity="Minor"),
        alarm("mem", starts_at=T0 - 2 * MINUTE - 1, zone="west", event_severity="Minor"),
        alarm("net", starts_at=T0 - MINUTE, zone="west", event_severity="Minor"),
    )
    await it.clear(cleared("c", "cpu"))


async def test_the_statistic_has_the_form_of_the_documented_example():
    """Five minutes have six points in time, and each alarm counts once, where it starts."""
    async with cloud(ids="supplied") as it:
        await four(it)
        assert await it.count("", time_range="-1.-1.5", step=MINUTE) == {
            "step": MINUTE,
            "timestamps": [T0 - minutes * MINUTE for minutes in (5, 4, 3, 2, 1, 0)],
            "series": [
                {"event_severity": "Critical", "values": [0, 0, 1, 0, 0, 0]},
                {"event_severity": "Minor", "values": [0, 0, 1, 1, 1, 0]},
            ],
            "summary": {"Critical": 1, "Minor": 3},
        }
        assert it.state()["counts"]["statistic"] == 1


async def test_points_in_time_are_multiples_of_the_step():
    """A range that starts between two points has the point before its start, and the step is that of the request."""
    async with cloud() as it:
        await four(it)
        answer = await it.count(time_range=f"{T0 - 3 * MINUTE + 1}.{T0}.3", step=2 * MINUTE)
        assert answer["step"] == 2 * MINUTE
        assert answer["timestamps"] == [T0 - 4 * MINUTE, T0 - 2 * MINUTE, T0]
        assert answer["series"] == [{"event_severity": "Minor", "values": [1, 2, 0]}]


QUESTIONS = {
    "active": ("type=active_alert", {}),
    "history": ("type=history_alert", {}),
    "everything": ("", {}),
    "and": ("type=active_alert", {"metadata_relation": [{"key": "zone", "value": ["west"], "relation": "AND"}]}),
    "values": ("type=active_alert", {"metadata_relation": [{"key": "zone", "value": ["west", "east"]}]}),
    "not": ("type=active_alert", {"metadata_relation": [{"key": "zone", "value": ["west"], "relation": "NOT"}]}),
    "search": ("", {"search": "EAS"}),
    "range": ("", {"time_range": f"{T0 - 3 * MINUTE}.{T0 - 2 * MINUTE}.1"}),
    "of the future": ("", {"time_range": f"{T0 + MINUTE}.{T0 + 2 * MINUTE}.1"}),
    "another enterprise project": ("", {"headers": {"enterprise-project-id": "e1"}}),
    "another project": ("", {"project": "p2"}),
}


@pytest.mark.parametrize("switches", [{}, {"relation_values": "one"}, {"list_lag_ms": 1}, {"statistic_summary": False}])
@pytest.mark.parametrize(("query", "request_"), QUESTIONS.values(), ids=QUESTIONS.keys())
async def test_the_statistic_agrees_with_the_list(query, request_, switches):
    """The same question has as many alarms in the statistic as in the list, with each switch of the list."""
    async with cloud(ids="supplied", **switches) as it:
        await four(it)
        await it.report(alarm("mine"), headers={"enterprise-project-id": "e1"})
        listed = (await it.list(query, **request_))["events"]
        answer = await it.count(query, **request_)
        assert sum(sum(series["values"]) for series in answer["series"]) == len(listed)
        assert ("summary" in answer) == switches.get("statistic_summary", True)
        assert sum(answer.get("summary", {}).values()) == (len(listed) if "summary" in answer else 0)


async def test_the_statistic_may_count_the_whole_project():
    """With statistic_scope=project the header of the enterprise project decides nothing, as no page names it."""
    async with cloud(statistic_scope="project") as it:
        await it.report(alarm("one"))
        await it.report(alarm("two"), headers={"enterprise-project-id": "e1"})
        assert (await it.count())["summary"] == {"Major": 2}
        assert (await it.count(headers={"enterprise-project-id": "e1"}))["summary"] == {"Major": 2}
        assert len((await it.list())["events"]) == 1


BAD = {
    "no range": ({}, "statistic: time_range: must be"),
    "short step": ({"time_range": "-1.-1.1", "step": 1_000}, "statistic: step: must be an integer of at least"),
    "too many steps": ({"time_range": "-1.-1.1441"}, "statistic: time_range: 1441 minutes are more than 1440"),
}


@pytest.mark.parametrize(("body", "text"), BAD.values(), ids=BAD.keys())
async def test_a_bad_question_to_the_statistic_is_refused_and_noted(body, text):
    """What the list refuses, the statistic refuses too, and the state names the field."""
    async with cloud() as it:
        status, answer = await it.json("POST", "/v2/p1/events/statistic", json=body)
        assert (status, answer["error_code"]) == (400, "AOM.0400")
        assert it.violations()[0].startswith(text)


async def test_the_statistic_asks_for_credentials_and_project():
    """A wrong token is a 401 and another project a 404, as for the list."""
    async with cloud(project_id="p1") as it:
        body = {"time_range": "-1.-1.5"}
        wrong = {"X-Auth-Token": "wrong"}
        assert (await it.send("POST", "/v2/p1/events/statistic", json=body, headers=wrong))[0] == 401
        assert (await it.send("POST", "/v2/p2/events/statistic", json=body))[0] == 404


async def test_faults_of_the_statistic_spare_the_list():
    """A fault may hit the statistic alone, or with all other operations."""
    async with cloud() as it:
        body = {"time_range": "-1.-1.5"}
        await it.arm({"on": "statistic", "status": 403, "count": 1})
        assert (await it.list())["events"] == []
        assert (await it.send("POST", "/v2/p1/events/statistic", json=body))[0] == 403
        await it.arm({"status": 503, "count": 1})
        assert (await it.send("POST", "/v2/p1/events/statistic", json=body))[0] == 503
        assert (await it.count())["summary"] == {}
