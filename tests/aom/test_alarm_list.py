"""What the client reads of AOM's list: whole sources over many pages, counts, and what the answers tell by the way."""

from contextlib import asynccontextmanager
from wsgiref.handlers import format_date_time

import pytest
from aiohttp import web
from aom_client import T0, client
from emulated_aom import put_in
from emulator_client import alarm
from http_server import serving_routes

from bridge.aom import Query
from bridge.aom.alarm_list import read_count, read_page
from bridge.clock import DAY, HOUR, MINUTE, SECOND


def query(source="s", *fingerprints, with_metadata=False):
    """Ask for the alarms of a source of the last day."""
    return Query(source, fingerprints, T0 - DAY, T0, with_metadata)


def soon(it):
    """Give a deadline that leaves time."""
    return it.clients_clock() + MINUTE


def of(source, count, **more):
    """Give so many alarms of a source."""
    return [
        alarm(f"{source}{number}", alert_source=source, alert_fingerprint=f"{source}{number}", **more)
        for number in range(count)
    ]


@asynccontextmanager
async def answering(answer, *, kind="application/json", headers=None):
    """Run a client of an AOM that answers everything alike."""

    async def handler(_request):
        return web.Response(text=answer, content_type=kind, headers=headers)

    async with serving_routes(web.route("*", "/{path:.*}", handler)) as url, client(aom=url) as it:
        yield it


@pytest.mark.parametrize("has_summary", [True, False])
async def test_a_count_is_of_every_severity_of_one_source(has_summary):
    """AOM's own sums where it has them, else those of its series."""
    async with client(statistic_summary=has_summary) as it:
        await put_in(it.emulator, *of("s", 3), *of("t", 2))
        await put_in(it.emulator, alarm("minor", alert_source="s", alert_fingerprint="x", event_severity="Minor"))
        outcome, count = await it.client.count(query("s"), soon(it))
        assert (outcome.accepted, count) == (True, 4)
        assert (await it.client.count(query("s", "s0", "t0"), soon(it)))[1] == 1
        assert (await it.client.count(query("s"), soon(it), "history_alert"))[1] == 0
        assert (await it.client.count(query("nobody"), soon(it)))[1] == 0


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (b'{"summary": {"Critical": 2, "Minor": 3}, "series": [{"values": [9]}]}', 5),
        (b'{"summary": {}}', 0),
        (b'{"summary": null, "series": [{"values": [1, 2]}, {"values": []}, {"event_severity": "Info"}]}', 3),
        (b'{"series": []}', 0),
    ],
)
def test_sums_come_before_series(answer, count):
    """Where AOM answers with both; older pages know no summary."""
    assert read_count(answer) == count


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"series": null}', b'{"summary": {"Major": "two"}}', b'{"series": [7]}', b"\xff"]
)
def test_what_is_no_count_is_refused(answer):
    """As a count of none it would hide every difference."""
    with pytest.raises(ValueError, match="not a count of alarms"):
        read_count(answer)


async def test_a_count_that_is_refused_counts_nothing():
    """Its outcome says why."""
    async with client() as it:
        await put_in(it.emulator, *of("s", 3))
        await it.arm({"on": "statistic", "status": 403})
        outcome, count = await it.client.count(query(), soon(it))
        assert (outcome.reason, count) == ("forbidden", 0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("<html>Please log in</html>", "foreign"), ("{}", "unavailable"), ('{"summary": 7}', "unavailable")],
)
async def test_an_answer_that_is_no_count_is_no_acceptance(answer, reason):
    """A proxy's page, or another program's JSON."""
    async with answering(answer) as it:
        outcome, count = await it.client.count(query(), soon(it))
        assert (outcome.reason, count) == (reason, 0)


async def test_a_whole_source_is_found_over_many_pages():
    """More than a page has, each alarm once, none of another source; metadata only where they are wanted."""
    async with client() as it:
        await put_in(it.emulator, *of("s", 2_100), *of("t", 5))
        listing = await it.client.find(query(with_metadata=True), soon(it))
        assert listing.outcome.accepted
        assert listing.is_complete
        found = {one.fingerprint: one for one in listing.alarms}
        assert found.keys() == {f"s{number}" for number in range(2_100)}
        assert len(listing.alarms) == len({one.id for one in listing.alarms}) == 2_100
        assert found["s7"].metadata == alarm("s7", alert_source="s", alert_fingerprint="s7")["metadata"]
        assert (found["s7"].starts_at, found["s7"].arrives_at) == (T0, T0)
        plain = await it.client.find(query(), soon(it))
        assert {len(one.metadata) for one in plain.alarms} == {0}
        assert it.emulator.snapshot()["violations"] == []


async def test_a_whole_source_is_found_where_aom_ignores_the_filter():
    """Alarms of other sources are left out here, and each of this one is wanted."""
    page = '{"events": [%s], "page_info": {"next_marker": null}}'
    entry = '{"id": "%s", "starts_at": 1, "metadata": {"alert_source": "%s", "alert_fingerprint": "f"}}'
    entries = ",".join(entry % (number, source) for number, source in enumerate("sts"))
    async with answering(page % entries) as it:
        listing = await it.client.find(query(), soon(it))
        assert [one.id for one in listing.alarms] == ["0", "2"]


async def test_a_list_that_is_longer_than_the_pages_that_may_be_read_is_incomplete():
    """It proves nothing about alarms that were not shown."""
    async with client() as it:
        await put_in(it.emulator, *of("s", 1_500))
        listing = await it.client.find(query(), soon(it), max_pages=1)
        assert (listing.outcome.accepted, listing.is_complete, len(listing.alarms)) == (True, False, 1_000)


async def test_a_marker_that_repeats_ends_an_incomplete_list():
    """Instead of the same page again and again."""
    async with client() as it:
        await put_in(it.emulator, *of("s", 1_500))
        await it.arm({"repeat_marker": True})
        before = it.emulator.snapshot()["counts"]["list"]
        listing = await it.client.find(query(), soon(it))
        assert (listing.outcome.accepted, listing.is_complete) == (True, False)
        assert it.emulator.snapshot()["counts"]["list"] == before + 1


async def test_a_page_that_fails_makes_the_list_incomplete():
    """What the pages before have shown is kept."""
    entry = {"id": "1", "starts_at": 1, "metadata": {"alert_source": "s", "alert_fingerprint": "f"}}

    async def handler(request):
        if request.query["marker"] == "0":
            return web.json_response({"events": [entry], "page_info": {"next_marker": "1"}})
        return web.json_response({"error_code": "AOM.0500"}, status=500)

    async with serving_routes(web.post("/{path:.*}", handler)) as url, client(aom=url) as it:
        listing = await it.client.find(query(), soon(it))
        assert (listing.outcome.reason, listing.is_complete) == ("unavailable", False)
        assert [one.id for one in listing.alarms] == ["1"]


async def test_an_id_that_is_null_is_empty():
    """The entry counts: AOM holds the alarm, whatever its id."""
    async with client() as it:
        await put_in(it.emulator, *of("s", 2))
        await it.arm({"listed_ids": "null", "holding": '"alert_fingerprint":"s1"'})
        ids = {one.fingerprint: one.id for one in (await it.client.find(query(), soon(it))).alarms}
        assert ids["s1"] == ""
        assert ids["s0"] != ""


def test_values_of_metadata_that_are_no_texts_are_read_as_texts():
    """And times that are missing as none."""
    page = b'{"events": [{"id": 7, "metadata": {"alert_source": "s", "alert_fingerprint": "f", "n": 1}}]}'
    (one,) = read_page(page, with_metadata=True).alarms
    assert (one.id, one.starts_at, one.arrives_at) == ("7", 0, 0)
    assert one.metadata == {"alert_source": "s", "alert_fingerprint": "f", "n": "1"}


def test_a_question_for_a_whole_source_names_no_fingerprints():
    """And a range of many days has no more steps than AOM allows."""
    body = Query("s", (), T0 - 17 * DAY, T0).body()
    assert body["metadata_relation"] == [{"key": "alert_source", "value": ["s"], "relation": "AND"}]
    assert body["time_range"] == f"{T0 - 17 * DAY}.{T0}.{17 * 24 * 60}"
    assert body["step"] % MINUTE == 0
    assert 17 * DAY / body["step"] <= 1_440


async def test_what_is_listed_is_noted_and_what_is_pushed_is_not():
    """Only an answer to a look-up or a count shows that the list may be read."""
    async with client() as it:
        assert it.client.sight.listed_at is None
        assert (await it.push()).accepted
        await it.arm({"on": "statistic", "status": 403}, {"on": "list", "status": 403})
        await it.client.count(query(), soon(it))
        await it.find()
        assert it.client.sight.listed_at is None
        await it.disarm()
        assert (await it.find()).outcome.accepted
        assert it.client.sight.listed_at == T0
        it.now += SECOND
        assert (await it.client.count(query(), soon(it)))[0].accepted
        assert it.client.sight.listed_at == T0 + SECOND


@pytest.mark.parametrize("ahead", [-HOUR, 0, HOUR])
async def test_the_skew_is_how_far_our_clock_is_ahead_of_an_answers_date(ahead):
    """By AOM's own Date, in whole seconds."""
    date = format_date_time((T0 - ahead) / 1000)
    async with answering('{"series": []}', headers={"Date": date}) as it:
        await it.client.count(query(), soon(it))
        assert it.client.sight.skew == ahead


async def test_an_answer_with_a_date_that_cannot_be_read_keeps_the_skew():
    """A proxy's fault says nothing about clocks."""
    async with answering('{"series": []}', headers={"Date": "today"}) as it:
        it.client.sight.skew = 7
        await it.client.count(query(), soon(it))
        assert it.client.sight.skew == 7
