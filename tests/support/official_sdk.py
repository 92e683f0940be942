"""The official SDK's client, written by others: a second, independent reading of AOM's API."""

import asyncio

SDK_WARNINGS = "ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore"
"""The SDK's signer still asks datetime.utcnow for the time; nothing of ours can change that."""

_DAYS = 16
_MINUTE = 60_000


def sdk_client(url, secret_key="emulator-sk"):  # noqa: S107 - the emulator's published default
    """Build the official client for project p1; importing it takes long, so only its users pay for it."""
    from huaweicloudsdkaom import v2  # noqa: PLC0415 - see the docstring
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - as above

    credentials = BasicCredentials("emulator-ak", secret_key, "p1")
    return v2.AomClient.new_builder().with_credentials(credentials).with_endpoint(url).build()


async def open_by_sdk(url):
    """Give the ids of the alarms that AOM shows open, and how many it counts, both as the official client reads it."""
    from huaweicloudsdkaom import v2  # noqa: PLC0415 - as above

    client = sdk_client(url)
    query = {"time_range": f"-1.-1.{_DAYS * 1_440}", "step": _DAYS * _MINUTE}
    ids, marker = [], "0"
    while marker:
        body = v2.EventQueryParam2(**query)
        request = v2.ListEventsRequest(type="active_alert", limit=1_000, marker=marker, body=body)
        page = await asyncio.to_thread(client.list_events, request)
        ids += [one.id for one in page.events]
        marker = page.page_info.next_marker
    request = v2.CountEventsRequest(type="active_alert", body=v2.EventQueryParam(**query))
    counted = await asyncio.to_thread(client.count_events, request)
    return sorted(ids), sum(counted.summary.values())
