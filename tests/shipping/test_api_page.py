"""docs/api.md has each address for programs, and its commands work against a running bridge, as they stand."""

import json
import os
import re

import aiohttp
import pytest
from emulated_aom import arm, cloud
from paths import ROOT
from process import run, serving
from programs import need
from waiting import until

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SETTING, *BLOCKS = re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE)
WEBHOOK = json.loads(re.search(r"(?ms)webhook\.json <<'END'\n(.*?)^END$", PAGE)[1])
ID = WEBHOOK["alerts"][0]["fingerprint"]
FOR_PROGRAMS = re.compile(r"/(api/|-/|webhook|metrics)")


async def test_each_address_for_programs_has_its_part(rig):
    """Every method and path of a route that is no web page is a heading, and so is no other."""
    application = rig.app._web._main._socket.runner.app
    routes = {(route.method, route.resource.canonical) for route in application.router.routes()}
    served = {f"{method} {path}" for method, path in routes if method != "HEAD" and FOR_PROGRAMS.match(path)}
    slashes = {f"POST {path}/" for path in ("/webhook", "/webhook/{source}")}
    heads = re.findall(r"(?m)^### `(.+)`$", PAGE)
    assert len(heads) == len(set(heads))
    assert set(heads) == served - slashes


def test_each_part_has_a_command_for_its_address():
    """The code block below a heading asks for the path of that heading."""
    for method, path, part in re.findall(r"(?ms)^### `(\w+) (\S+)`$(.*?)(?=^##|\Z)", PAGE):
        command = part.partition("```sh\n")[2].partition("```")[0]
        asked = path.replace("{id}", "$ID").replace("{source}", "default")
        assert re.search(rf'"\$BRIDGE{re.escape(asked)}["?]', command), (method, path)
        assert ("-X POST" in command or "--data" in command) == (method == "POST") or "--get" in command, path


@pytest.mark.real
async def test_the_commands_of_the_page_work(tmp_path):
    """Each block runs in a shell without an error, from top to bottom, and changes what it says."""
    need("curl")
    assert f"ID={ID}" in SETTING
    async with cloud() as aom, serving(tmp_path, aom.url, delivery="delivery: {retry_min: 5m}") as (_, url):
        await arm(aom, {"on": "report", "status": 503})
        alarm = await waiting_alarm(url)
        env = os.environ | {"BRIDGE": url, "TOKEN": "0123456789abcdef", "ID": ID}
        for block in BLOCKS:
            code, out, err = await run("bash", "-euo", "pipefail", "-c", block, env=env, cwd=tmp_path)
            assert (code, err) == (0, ""), block + err
            assert ('"status":"error"' in out) == ("no-such-alarm" in block), out
        exported = json.loads((tmp_path / "alarms.json").read_text())["data"]
        assert [row["id"] for row in exported] == [alarm["id"]]
        assert alarm["id"] in (tmp_path / "alarms.csv").read_text()
        steps = (await shown(url))["steps"]
        assert [step["kind"] for step in steps if step["kind"] != "failed"] == ["retry", "clear", "discard"]


async def waiting_alarm(url):
    """Post the page's webhook; give its alarm once its report has failed and waits for the next try."""
    async with aiohttp.ClientSession() as session, session.post(f"{url}/webhook", json=WEBHOOK) as response:
        assert response.status == 200, await response.text()

    async def waits():
        alarm = await shown(url)
        return alarm if alarm["timeline"][-1]["kind"] == "next_try" and alarm.get("reason") else None

    return await until(waits)


async def shown(url):
    """Give the alarm as the API shows it."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/alarms/{ID}") as response:
        assert response.status == 200, await response.text()
        return (await response.json())["data"]
