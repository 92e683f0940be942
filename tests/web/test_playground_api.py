"""`POST /api/v1/playground`: rules are tried beside a running bridge, which keeps and sends nothing of it."""

import asyncio
import io
import json

import pytest
from bridge_rig import running
from reloading import reloading
from trial_requests import pasted
from waiting import until
from webhooks import alert, resolved

from bridge.app import trials
from bridge.web.handlers import playground

pytestmark = pytest.mark.real

PODS = "rules:\n  - {name: pods, match: ['pod!=\"\"'], set: {resource_type: pod}}\n"
IN_USE = "mapping: {rules: [{name: old, match: ['pod!=\"\"'], set: {resource_type: old}}]}"


async def ask(rig, body=None, **fields):
    """Ask; give the status and the answer's data or error."""
    data = json.dumps(fields).encode() if body is None else body
    async with rig.session.post(rig.app.admin_url + "/api/v1/playground", data=io.BytesIO(data)) as response:
        answer = await response.json()
        return response.status, answer.get("data", answer.get("error"))


async def test_rules_are_tried_and_nothing_is_kept_or_sent(tmp_path):
    """The answer tells rule by rule what alerts become; neither the ledger nor AOM has seen them."""
    async with running(tmp_path / "l.db", more=IN_USE) as rig:
        status, told = await ask(rig, webhook=pasted(alert("A", pod="p"), resolved(alert("B"))), mapping=PODS)
        assert (status, told["error"], told["problems"], told["alerts"]) == (200, None, [], 2)
        first, second = told["explanations"]
        assert first["rules"] == [{"name": "pods", "failing": None}]
        assert {"name": "resource_type", "value": "pod", "origin": "pods: pod"} in first["fields"]
        assert (second["status"], second["rule"]) == ("resolved", "defaults")
        assert rig.app.ledger.counts() == {}
        assert rig.aom()["active"] == []


async def test_the_newest_alarms_tell_what_would_change(tmp_path):
    """With `last` the rules are compared with those in use, for as many of the ledger's newest alarms."""
    async with running(tmp_path / "l.db", more=IN_USE) as rig:
        await rig.send(alert("A", pod="p"), alert("B"))
        _, told = await ask(rig, mapping=PODS, last=1_000)
        assert (told["compared"], told["changed"]) == (2, 1)
        assert {"key": "resource_type", "old": "old", "new": "pod"} in told["changes"][0]["changes"]
        assert (await ask(rig, mapping=PODS, last=1))[1]["compared"] == 1


async def test_a_reload_changes_what_is_compared_with(tmp_path):
    """After a reload the trials run beside the new configuration: its rules, targets and sources."""
    async with reloading(tmp_path) as rig:
        asked = {"mapping": "rules: [{name: far, target: far}]", "webhook": pasted(alert()), "source": "eu"}
        _, told = await ask(rig, **asked)
        assert (told["problems"][0]["text"], told["webhook_error"]) == (
            "no target is called 'far'.",
            "no source is called 'eu'. Fix: use one of default.",
        )
        far = f"far: {{endpoint: {rig.emulator.url}, project_id: p2, auth: {{token: {{value: emulator-token}}}}}}"
        rig.write(others=far, more="sources: [eu]")
        assert (await rig.reload())[0] == 200
        _, told = await ask(rig, **asked)
        assert (told["problems"], told["webhook_error"], told["explanations"][0]["target"]) == ([], None, "far")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"webhok": ""}',
        b'{"last": 1001}',
        b'{"last": -1}',
        b'{"mapping": 7}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_question_is_a_400(rig, body):
    """A body that is not the described JSON is refused with the reason."""
    status, text = await ask(rig, body)
    assert (status, text.startswith("the body is not JSON with webhook, mapping, source and last: ")) == (400, True)


async def test_a_body_that_is_too_long_is_a_413(rig):
    """More than 4 MiB are not read; a field that is too long for a trial is an answer with its reason."""
    assert (await ask(rig, b" " * (5 << 20)))[0] == 413
    status, told = await ask(rig, webhook="x" * (2 << 20))
    assert (status, told["error"]) == (200, "the alerts may take at most 1024 KiB here. Fix: paste a part.")


async def test_webhooks_are_answered_while_trials_run(tmp_path, monkeypatch):
    """While as many trials as may run compute without end, webhooks are kept; further trials are told to wait."""
    monkeypatch.setattr(trials, "_COMMAND", ("-c", "while True: pass"))
    async with running(tmp_path / "l.db") as rig:
        asked = [asyncio.create_task(ask(rig, mapping=PODS)) for _ in range(playground._MAX_REQUESTS)]
        await until(lambda: len(rig.app._trials._processes) == 2)
        await rig.send(alert("A"), alert("B"))
        await until(lambda: rig.active() == ["A", "B"])
        assert not any(task.done() for task in asked)
        await until(lambda: rig.app._trials._waiting == playground._MAX_REQUESTS - 2)
        assert await ask(rig) == (503, "too many trials are in progress. Fix: try again in some seconds")
        pids = [process.pid for process in rig.app._trials._processes]
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await until(lambda: not rig.app._trials._processes)
        assert len(pids) == 2


async def test_a_stop_of_the_bridge_ends_trials(tmp_path, monkeypatch):
    """No process of a trial outlives the bridge."""
    monkeypatch.setattr(trials, "_COMMAND", ("-c", "while True: pass"))
    async with running(tmp_path / "l.db") as rig:
        task = asyncio.create_task(ask(rig, mapping=PODS))
        (process,) = await until(lambda: list(rig.app._trials._processes))
    assert process.returncode is not None
    await asyncio.gather(task, return_exceptions=True)


async def test_no_secret_of_the_configuration_is_in_an_answer(tmp_path):
    """Neither the target's token nor the address of the ledger shows, whatever the rules ask for."""
    async with running(tmp_path / "l.db", auth="{token: {value: hunter2hunter2}}") as rig:
        for mapping in (PODS, "vars: {a: '${HOME} ${AOM_TOKEN}'}", "rules: [{name: a, target: t}]", "{"):
            _, told = await ask(rig, webhook=pasted(alert()), mapping=mapping)
            assert "hunter2" not in json.dumps(told)
            assert str(tmp_path) not in json.dumps(told)
