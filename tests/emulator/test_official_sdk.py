"""The official SDK's client, written by others, works against the emulator with AK/SK."""

import asyncio
import time

import pytest
from emulator_client import MINUTE, cloud, metadata
from official_sdk import SDK_WARNINGS, sdk_client

pytestmark = pytest.mark.filterwarnings(SDK_WARNINGS)


def system_now():
    """Give the time that the SDK signs with, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


@pytest.fixture
def sdk():
    """The SDK's package; importing it takes long, so only these tests pay for it."""
    from huaweicloudsdkaom import v2  # noqa: PLC0415 - see the docstring

    return v2


def push(sdk, event, action=None):
    """Make a push of one event."""
    body = sdk.EventList(events=[event])
    return sdk.PushEventsRequest(action=action, enterprise_project_id="e1", body=body)


def active(sdk):
    """Make a list request that finds the test alarm by its metadata."""
    relation = sdk.RelationModel(key="event_name", value=["\u544a\u8b66 1/2"], relation="AND")
    sort = sdk.EventQueryParam2Sort(order_by=["starts_at"], order="desc")
    body = sdk.EventQueryParam2(time_range="-1.-1.60", step=MINUTE, sort=sort, metadata_relation=[relation])
    return sdk.ListEventsRequest(type="active_alert", enterprise_project_id="e1", limit=10, marker="0", body=body)


async def test_the_sdk_reports_lists_and_clears(sdk):
    """The SDK's client reports an alarm, finds it with its AOM id, and clears it by that id."""
    async with cloud(clock=system_now) as it:
        client, now = sdk_client(it.emulator.url), system_now()
        names = metadata("\u544a\u8b66 1/2")
        event = sdk.EventModel(starts_at=now, timeout=MINUTE, metadata=names, annotations={"message": "hot"})
        response = await asyncio.to_thread(client.push_events, push(sdk, event))
        assert response.status_code == 204
        listed = await asyncio.to_thread(client.list_events, active(sdk))
        (found,) = listed.events
        assert (found.starts_at, found.ends_at, found.metadata) == (now, 0, names)
        assert (found.enterprise_project_id, found.annotations) == ("e1", {"message": "hot"})
        assert (listed.page_info.current_count, listed.page_info.next_marker) == (1, None)
        end = sdk.EventModel(ends_at=now + 1, id=found.id, metadata=names)
        await asyncio.to_thread(client.push_events, push(sdk, end, "clear"))
        assert (await asyncio.to_thread(client.list_events, active(sdk))).events == []
        assert it.state()["history"][0]["ends_at"] == now + 1
        assert it.state()["violations_total"] == 0


async def test_the_sdk_counts_as_many_as_it_lists(sdk):
    """The SDK's client reads the statistic, by severity and in all, and it agrees with the client's own list."""
    async with cloud(clock=system_now) as it:
        client, now = sdk_client(it.emulator.url), system_now()
        events = [
            sdk.EventModel(starts_at=now - age, metadata=metadata(f"n{age}", event_severity=severity))
            for age, severity in ((1, "Critical"), (2, "Minor"), (3 * MINUTE, "Minor"))
        ]
        await asyncio.to_thread(client.push_events, sdk.PushEventsRequest(body=sdk.EventList(events=events)))
        query = {"time_range": "-1.-1.5", "step": MINUTE}
        request = sdk.CountEventsRequest(type="active_alert", body=sdk.EventQueryParam(**query))
        counted = await asyncio.to_thread(client.count_events, request)
        request = sdk.ListEventsRequest(type="active_alert", body=sdk.EventQueryParam2(**query))
        listed = (await asyncio.to_thread(client.list_events, request)).events
        assert counted.summary == {"Critical": 1, "Minor": 2}
        assert sum(counted.summary.values()) == len(listed)
        values = {series.event_severity: series.values for series in counted.series}
        assert {severity: sum(numbers) for severity, numbers in values.items()} == counted.summary
        assert {len(numbers) for numbers in values.values()} == {len(counted.timestamps)}
        assert counted.step == MINUTE


async def test_the_sdk_reads_a_statistic_without_a_summary(sdk):
    """The SDK's client has no summary where AOM sends none, and the series still count."""
    async with cloud(clock=system_now, statistic_summary=False) as it:
        client = sdk_client(it.emulator.url)
        event = sdk.EventModel(starts_at=system_now(), metadata=metadata())
        await asyncio.to_thread(client.push_events, sdk.PushEventsRequest(body=sdk.EventList(events=[event])))
        request = sdk.CountEventsRequest(type="active_alert", body=sdk.EventQueryParam(time_range="-1.-1.5"))
        counted = await asyncio.to_thread(client.count_events, request)
        assert counted.summary is None
        assert [(series.event_severity, sum(series.values)) for series in counted.series] == [("Major", 1)]


async def test_a_wrong_secret_key_is_refused(sdk):
    """The SDK's client with a wrong secret key gets the gateway's 401, and nothing is stored."""
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException  # noqa: PLC0415 - as the fixture

    async with cloud(clock=system_now) as it:
        event = sdk.EventModel(starts_at=system_now(), metadata=metadata())
        with pytest.raises(ClientRequestException) as caught:
            await asyncio.to_thread(sdk_client(it.emulator.url, "wrong").push_events, push(sdk, event))
        assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")
        assert it.state()["active"] == []


async def test_the_sdk_understands_a_refusal(sdk):
    """The SDK's client reads AOM's error code and text out of a refusal."""
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException  # noqa: PLC0415 - as the fixture

    async with cloud(clock=system_now) as it:
        event = sdk.EventModel(starts_at=system_now(), metadata=metadata(extra=""))
        with pytest.raises(ClientRequestException) as caught:
            await asyncio.to_thread(sdk_client(it.emulator.url).push_events, push(sdk, event))
        assert (caught.value.error_code, caught.value.error_msg) == ("AOM.0400", "parse eventParam failed")
