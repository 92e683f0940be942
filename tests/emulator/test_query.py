"""The emulated list answers as the official SDK's models document it."""

import pytest
from emulator_client import DAY, MINUTE, T0, alarm, cloud


def relation(key, *values, how="AND"):
    """Make one metadata_relation entry."""
    return {"key": key, "value": list(values), "relation": how}


async def three(it):
    """Report three alarms, the oldest first."""
    await it.report(
        alarm("cpu", starts_at=T0 - 3 * MINUTE, zone="east", tier="web"),
        alarm("disk", starts_at=T0 - 2 * MINUTE, zone="east", tier="db"),
        alarm("mem", starts_at=T0 - MINUTE, zone="west", tier="web"),
    )


RELATIONS = {
    "one": ([relation("zone", "east")], ["disk", "cpu"]),
    "any of the values": ([relation("zone", "east", "west")], ["mem", "disk", "cpu"]),
    "repeated value": ([relation("zone", "west", "west")], ["mem"]),
    "and": ([relation("zone", "east"), relation("tier", "web")], ["cpu"]),
    "or": ([relation("zone", "west", how="OR"), relation("tier", "db", how="OR")], ["mem", "disk"]),
    "not": ([relation("zone", "east", how="NOT")], ["mem"]),
    "all three": (
        [relation("zone", "east"), relation("tier", "db", how="OR"), relation("tier", "web", how="NOT")],
        ["disk"],
    ),
    "no value": ([{"key": "zone"}], ["mem", "disk", "cpu"]),
    "no such key": ([{"key": "other"}], []),
    "no such value": ([relation("zone", "north")], []),
}


@pytest.mark.parametrize(("relations", "names"), RELATIONS.values(), ids=RELATIONS.keys())
async def test_metadata_relations_combine(relations, names):
    """AND needs all conditions, OR one of them, NOT none of them; several values are any of them."""
    async with cloud() as it:
        await three(it)
        assert await it.names(metadata_relation=relations) == names


async def test_only_the_first_value_may_be_honoured():
    """With relation_values=one the second value of an entry is as if it were not there."""
    async with cloud(relation_values="one") as it:
        await three(it)
        assert await it.names(metadata_relation=[relation("zone", "west", "east")]) == ["mem"]


async def test_search_is_fuzzy():
    """A search finds a part of any metadata key or value, in any case."""
    async with cloud() as it:
        await three(it)
        assert await it.names(search="WES") == ["mem"]
        assert await it.names(search="") == ["mem", "disk", "cpu"]
        assert await it.names(search="nothing") == []


async def test_sort_orders_by_fields_and_metadata():
    """The list sorts by times or metadata, in the order of the fields given."""
    async with cloud() as it:
        await three(it)
        assert await it.names(sort={"order_by": ["starts_at"], "order": "asc"}) == ["cpu", "disk", "mem"]
        order = {"order_by": ["zone", "event_name"], "order": "desc"}
        assert await it.names(sort=order) == ["mem", "disk", "cpu"]


async def test_pages_follow_the_marker():
    """Each page names the next one by its marker, and the last one names none."""
    async with cloud() as it:
        await three(it)
        first = await it.list("type=active_alert&limit=2&marker=0")
        assert first["page_info"] == {"current_count": 2, "next_marker": "2"}
        last = await it.list("type=active_alert&limit=2&marker=2")
        assert last["page_info"] == {"current_count": 1, "previous_marker": "0"}
        names = [event["metadata"]["event_name"] for event in first["events"] + last["events"]]
        assert names == ["mem", "disk", "cpu"]
        assert (await it.list("marker=9"))["page_info"] == {"current_count": 0, "previous_marker": "0"}


async def test_the_default_limit_is_a_thousand():
    """Without a limit a page has a thousand rows."""
    async with cloud() as it:
        await it.report(*(alarm(f"a{number}") for number in range(1_001)))
        page = await it.list()
        assert (len(page["events"]), page["page_info"]["next_marker"]) == (1_000, "1000")


RANGES = {
    "last minutes": ("-1.-1.2", ["mem", "disk"]),
    "start and minutes": (f"{T0 - 3 * MINUTE}.-1.1", ["disk", "cpu"]),
    "end and minutes": (f"-1.{T0 - 2 * MINUTE}.1", ["disk", "cpu"]),
    "start and end": (f"{T0 - 2 * MINUTE}.{T0 - 2 * MINUTE}.1", ["disk"]),
    "end in the future": (f"{T0 - MINUTE}.{T0 + 9 * MINUTE}.10", ["mem"]),
}


@pytest.mark.parametrize(("time_range", "names"), RANGES.values(), ids=RANGES.keys())
async def test_the_time_range_is_computed(time_range, names):
    """A bound of -1 is computed from the other one and the minutes, and the start of an alarm decides."""
    async with cloud() as it:
        await three(it)
        assert await it.names(time_range=time_range) == names


async def test_an_end_in_the_future_is_cut_to_now():
    """An alarm that starts after now is not listed yet, wherever the range ends."""
    async with cloud() as it:
        await it.report(alarm(starts_at=T0 + 1_000))
        assert await it.names(time_range=f"{T0}.{T0 + MINUTE}.1") == []
        it.clock.advance(1_000)
        assert await it.names(time_range=f"{T0}.{T0 + MINUTE}.1") == ["CPU high"]


async def test_a_long_range_needs_a_longer_step():
    """More than 1,440 steps are refused, and a step that is long enough makes the same range valid."""
    async with cloud() as it:
        await it.report(alarm(starts_at=T0 - 14 * DAY))
        body = {"time_range": "-1.-1.21600", "step": 14 * MINUTE}
        assert (await it.send("POST", "/v2/p1/events", json=body))[0] == 400
        assert await it.names(time_range="-1.-1.21600", step=15 * MINUTE) == ["CPU high"]


async def test_enterprise_projects_are_listed_apart_or_all_at_once():
    """The header chooses one enterprise project, 0 without it, or all of them."""
    async with cloud() as it:
        await it.report(alarm("default"))
        await it.report(alarm("mine"), headers={"Enterprise-Project-Id": "e1"})
        assert await it.names() == ["default"]
        assert await it.names(headers={"enterprise-project-id": "e1"}) == ["mine"]
        granted = await it.names(headers={"Enterprise-Project-Id": "all_granted_eps"})
        assert sorted(granted) == ["default", "mine"]


BAD_QUERIES = {
    "no range": ("", {}, "time_range: must be"),
    "odd range": ("", {"time_range": "-1.-1"}, "time_range: must be"),
    "range of numbers": ("", {"time_range": 5}, "time_range: must be"),
    "no minutes": ("", {"time_range": "-1.-1.0"}, "time_range: the minutes must be above 0"),
    "few minutes": ("", {"time_range": f"{T0 - 5 * MINUTE}.{T0}.3"}, "time_range: the minutes must be at"),
    "backwards": ("", {"time_range": f"{T0}.{T0 - 1}.3"}, "time_range: the minutes must be at least"),
    "too many steps": ("", {"time_range": "-1.-1.1441"}, "time_range: 1441 minutes are more than 1440"),
    "short step": ("", {"time_range": "-1.-1.1", "step": 1_000}, "step: must be an integer of at least"),
    "text step": ("", {"time_range": "-1.-1.1", "step": "60000"}, "step: must be an integer of at least"),
    "limit": ("?limit=0", {"time_range": "-1.-1.1"}, "limit: must be a whole number of at least 1"),
    "marker": ("?marker=x", {"time_range": "-1.-1.1"}, "marker: must be a whole number of at least 0"),
    "search": ("", {"time_range": "-1.-1.1", "search": 1}, "search: must be a string"),
    "sort": ("", {"time_range": "-1.-1.1", "sort": {}}, "sort.order_by: must be a list"),
    "order": ("", {"time_range": "-1.-1.1", "sort": {"order_by": ["a"], "order": "up"}}, "sort.order: must"),
    "relations": ("", {"time_range": "-1.-1.1", "metadata_relation": {}}, "metadata_relation: must be a"),
    "key": ("", {"time_range": "-1.-1.1", "metadata_relation": [{}]}, "metadata_relation[0].key: must"),
    "value": (
        "",
        {"time_range": "-1.-1.1", "metadata_relation": [{"key": "a", "value": "b"}]},
        "metadata_relation[0].value: must be a list of strings",
    ),
    "relation": (
        "",
        {"time_range": "-1.-1.1", "metadata_relation": [relation("a", "b", how="XOR")]},
        "metadata_relation[0].relation: must be AND, OR or NOT",
    ),
    "a list": ("", [], "body: must be a JSON object"),
}


@pytest.mark.parametrize(("query", "body", "text"), BAD_QUERIES.values(), ids=BAD_QUERIES.keys())
async def test_a_bad_question_is_refused_and_noted(query, body, text):
    """A list request that breaks a rule is a 400, and the state names the field."""
    async with cloud() as it:
        status, answer = await it.json("POST", f"/v2/p1/events{query}", json=body)
        assert (status, answer["error_code"]) == (400, "AOM.0400")
        assert it.violations()[0].startswith(f"list: {text}")
