"""The description of `/api/v1`: it says what the code does, and an independent client finds nothing else."""

import os
import sys
from typing import get_args

import aiohttp
import pytest
import yaml
from bridge_rig import running
from paths import ROOT
from process import run, serving
from waiting import until
from webhooks import alert, payload

from bridge.emulator import Emulator, Options
from bridge.ledger import STATES, Cause, Step, StepKind, TimelineEntry, TimelineKind

DESCRIPTION = yaml.safe_load((ROOT / "bridge/web/handlers/openapi.yaml").read_text())
EXAMPLES = 1_000 if os.environ.get("AOM_BRIDGE_REHEARSAL") == "full" else 10
OF_SEARCHES = """
[[operations]]
include-path-regex = '^/api/v1/alarms(\\.csv|\\.json)?$'
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "503"]
"""
"""No schema says which text is a matcher, or the cursor of this search: a 400 with the reason is described, too."""

LIMIT = 20 * EXAMPLES
"""Seconds for all of them, on a busy machine."""


async def test_the_description_lists_each_route_and_each_state(rig):
    """Every route under /api/v1 is described by its method, and nothing else; so are the states."""
    application = rig.app._web._main._socket.runner.app
    routes = {(route.method.lower(), route.resource.canonical) for route in application.router.routes()}
    served = {(method, path) for method, path in routes if path.startswith("/api/") and method != "head"}
    described = {(method, path) for path, methods in DESCRIPTION["paths"].items() for method in methods}
    assert described == served
    assert tuple(DESCRIPTION["components"]["schemas"]["State"]["enum"]) == tuple(STATES)


def test_the_description_has_each_cause():
    """Whatever opens or ends an alarm is a word that the description names."""
    alarm = DESCRIPTION["components"]["schemas"]["Alarm"]["properties"]
    assert {*alarm["opened_by"]["enum"], *alarm["ended_by"]["enum"]} == set(get_args(Cause))


def test_the_description_has_each_kind_of_the_history():
    """Whatever is in the history of an alarm has a kind that the description names, and values that it names."""
    schemas = DESCRIPTION["components"]["schemas"]
    assert schemas["Step"]["properties"]["kind"]["enum"] == list(get_args(StepKind))
    assert set(schemas["Step"]["properties"]) == set(Step.__struct_fields__)
    kinds = [kind for part in get_args(TimelineKind) for kind in get_args(part)]
    assert schemas["TimelineEntry"]["properties"]["kind"]["enum"] == kinds
    assert set(schemas["TimelineEntry"]["properties"]) == set(TimelineEntry.__struct_fields__)


async def test_the_description_is_served(tmp_path):
    """Programs find it where they find the API."""
    async with (
        running(tmp_path / "l.db") as rig,
        rig.session.get(rig.app.url + "/api/v1/openapi.json") as response,
    ):
        assert await response.json() == DESCRIPTION


@pytest.mark.real
async def test_schemathesis_finds_no_answer_that_is_not_described(tmp_path):
    """Whatever parameters, methods and headers come: the described codes and bodies, and never a 500."""
    emulator = Emulator(Options(port=0))
    await emulator.start()
    try:
        async with serving(tmp_path, emulator.url) as (process, url):
            await fill(url)
            (tmp_path / "schemathesis.toml").write_text(OF_SEARCHES)
            command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/v1/openapi.json"]
            options = [f"--max-examples={EXAMPLES}", "--seed=7", "--no-color", "--continue-on-failure"]
            left_out = "allow_header_conformance"  # the path of all rejected alarms is also one of an alarm, to read
            code, out, err = await run(*command, *options, f"--exclude-checks={left_out}", cwd=tmp_path, limit=LIMIT)
            assert code == 0, out + err
            assert "Traceback" not in process.output
    finally:
        await emulator.stop()


async def fill(url):
    """Give the API some alarms to speak of."""
    async with aiohttp.ClientSession() as session:
        many = payload(*(alert(f"A{i}") for i in range(5)))
        async with session.post(f"{url}/webhook", json=many) as response:
            assert response.status == 200

        async def are_reported():
            async with session.get(f"{url}/api/v1/alarms", params={"state": "reported"}) as found:
                return len((await found.json())["data"]) == 5

        await until(are_reported)
