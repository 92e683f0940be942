"""The history of an alarm through the whole bridge: refused by AOM, retried over the API, cleared by a command."""

import json
import re
import socket

import aiohttp
import pytest
from emulated_aom import arm, cloud, disarm
from process import bridge_command, run, serving
from waiting import until
from webhooks import alert, post

pytestmark = pytest.mark.real
HOST = socket.gethostname()


async def ask(url, method="GET"):
    """Ask the API; give the data of its answer."""
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        assert response.status == 200, await response.text()
        return (await response.json())["data"]


async def test_an_alarm_shows_who_did_what_and_what_aom_answered(tmp_path):
    """AOM's refusal with its trace id, a retry over the API, a clear by the command line: each with who and where."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (_, url):
        await arm(aom, {"on": "report", "status": 400, "error_code": "AOM.0400", "error_msg": "no such thing"})
        assert await post(url, alert("A")) == 200
        await until_state(url, "rejected")
        await disarm(aom)
        (own_id,) = [one["id"] for one in await ask(f"{url}/api/v1/alarms")]
        await ask(f"{url}/api/v1/alarms/{own_id}/retry", "POST")
        await until_state(url, "reported")
        show = bridge_command("alarms", "show", f"--config.file={tmp_path / 'bridge.yaml'}", own_id)
        clear = bridge_command("alarms", "clear", f"--config.file={tmp_path / 'bridge.yaml'}", own_id)
        assert (await run(*clear))[0] == 0
        await until_state(url, "cleared")
        shown = await ask(f"{url}/api/v1/alarms/{own_id}")
        refused, retried, cleared = shown["steps"]
        assert re.fullmatch(
            r"AOM refused the report for good: 400 AOM\.0400 no such thing \(trace [0-9a-f]{32}\)", refused["text"]
        )
        assert "who" not in refused
        assert (retried["kind"], retried["who"], retried["origin"]) == ("retry", "anybody", "api 127.0.0.1")
        assert (cleared["kind"], cleared["origin"]) == ("clear", f"command line on {HOST}")
        assert cleared["who"].endswith(f"@{HOST}")
        assert [entry["kind"] for entry in shown["timeline"]] == [
            *("fired", "received", "refused", "retry", "accepted", "clear", "resolved", "cleared")
        ]
        code, out, _ = await run(*show, "-o", "json")
        assert (code, json.loads(out)) == (0, shown)
        code, out, _ = await run(*show)
        (line,) = [one for one in out.splitlines() if "retried by hand" in one]
        assert "(anybody, api 127.0.0.1): mapped anew by rule" in line
        assert all("steps" not in one for one in await ask(f"{url}/api/v1/alarms"))


async def until_state(url, state):
    """Wait until the one alarm is in a state."""

    async def is_so():
        return [one["state"] for one in await ask(f"{url}/api/v1/alarms")] == [state]

    await until(is_so)
