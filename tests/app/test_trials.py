"""Trials run in a process of their own: bounded in time and memory, without secrets, and webhooks go on meanwhile."""

import asyncio
import json
import random
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from trial_requests import pasted, request, running
from waiting import until
from webhooks import alert

from bridge.app import trials
from bridge.app.trials import MAX_MAPPING_BYTES, MAX_WEBHOOK_BYTES, Trials
from bridge.clock import system_clock
from bridge.mapping.playground import process
from bridge.mapping.playground.messages import MAX_KEPT_BYTES, read_result, write_result
from bridge.mapping.playground.trial import TrialRequest, tried

pytestmark = pytest.mark.real

PODS = "rules:\n  - {name: pods, match: ['pod!=\"\"'], set: {resource_type: pod}}\n"
ENDLESS = TrialRequest(
    "", "rules:\n" + "".join(f"  - {{name: r{i}, match: [a=b{i}], drop: true}}\n" for i in range(4_000))
)
"""Valid, and reading it takes some seconds of computing."""


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Give a trial, whose process has a low priority, longer than a busy machine can make it wait."""
    monkeypatch.setattr(trials, "_MAX_SECONDS", 120.0)
    monkeypatch.setattr(trials, "_MAX_WAIT_SECONDS", 120.0)


@asynccontextmanager
async def running_trials(use=None):
    """Run trials beside these rules."""
    runner = Trials(running() if use is None else use, system_clock)
    try:
        yield runner
    finally:
        await runner.stop()


def children(runner):
    """Give the process ids of the trials in progress."""
    return [child.pid for child in runner._processes]


def is_there(pid):
    """Say whether a process runs."""
    return Path(f"/proc/{pid}").exists()


async def test_the_process_finds_what_the_function_finds():
    """Rules in use, variables, heartbeats and alerts of the ledger cross over, and so does the whole result."""
    use = running("mapping: {vars: {zone: '${ZONE}'}}", {"ZONE": "cn-north-4"}, has_alertmanagers=True)
    asked = request(PODS, alert("A", pod="ü\x00"), alert("Watchdog"), kept=[alert("B", pod="p"), alert("C")])
    async with running_trials(use) as runner:
        told = await runner.run(asked)
        wrong = await runner.run(request("rules: [{name: a, target: nowhere}]"))
    expected = tried(asked, use, 0)
    assert [(e.rule, e.heartbeat, e.fields, e.rules) for e in told.explanations] == [
        (e.rule, e.heartbeat, e.fields, e.rules) for e in expected.explanations
    ]
    assert (told.changes, told.compared, told.changed) == (expected.changes, 2, 1)
    assert wrong.problems[0].text == "no target is called 'nowhere'."
    assert read_result(write_result(told)) == told


async def test_other_rules_count_from_the_next_trial_on():
    """After a reload of the bridge the trials compare with the new rules."""
    asked = request(PODS, kept=[alert("A", pod="p")])
    async with running_trials() as runner:
        assert (await runner.run(asked)).changed == 1
        runner.reconfigure(running(PODS))
        assert (await runner.run(asked)).changed == 0


MAD = {
    "an endless loop": "{% for i in range(10 ** 9) %}{% for j in range(10 ** 9) %}x{% endfor %}{% endfor %}",
    "a memory bomb": "{{ 'x' * 10 ** 9 }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "a format": "{{ '%999999999d' | format(1) }}",
    "a way to Python": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a recursion": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "an include": "{% include '/etc/passwd' %}",
    "deep braces": "{{" + "(" * 2_000 + "1" + ")" * 2_000 + "}}",
}


@pytest.mark.parametrize("template", MAD.values(), ids=MAD)
async def test_a_mad_template_is_a_message(template):
    """What the sandbox does not allow is a message of the loader at its line; nothing hangs."""
    async with running_trials() as runner:
        told = await runner.run(TrialRequest(pasted(alert()), f"vars:\n  a: >-\n    {template}\n"))
    assert told.error is None
    assert [each.path for each in told.problems] == ["mapping.vars.a"]


async def test_a_template_that_is_allowed_and_heavy_ends():
    """The largest templates on the largest labels that the sandbox allows give a result."""
    loop = "{% for k, v in labels | items %}{{ v | reReplaceAll('(a*)*b', 'x') | upper }}{% endfor %}"
    mapping = "annotations:\n" + "".join(f'  a{i}: "{loop}"\n' for i in range(30))
    labels = {f"l{i}": "a" * 4_000 for i in range(200)}
    async with running_trials() as runner:
        told = await runner.run(TrialRequest(pasted(alert("A", **labels)), mapping))
    assert (told.error, told.problems, told.alerts) == (None, (), 1)


async def test_too_much_computing_is_ended(monkeypatch):
    """A process that computes for longer than it may is ended by the system, and the result says so."""
    started_with(monkeypatch, "import bridge.mapping.playground.process as p; p.MAX_CPU_SECONDS = 1; p.main()")
    async with running_trials() as runner:
        told = await runner.run(ENDLESS)
    assert (
        told.error == "the trial took more than 10 s of computing. Fix: fewer alerts, or simpler rules and templates."
    )


def started_with(monkeypatch, code):
    """Start other code in the place of the process of a trial, with all else as it is."""
    monkeypatch.setattr(trials, "_COMMAND", ("-P", "-c", code))


async def test_too_much_memory_is_told(monkeypatch):
    """A process that needs more memory than it may is told as such, whether Python or the system notices it."""
    async with running_trials() as runner:
        for code in (
            "import bridge.mapping.playground.process as p; p.tried = lambda *_: b'x' * (1 << 30); p.main()",
            "import os; os.abort()",
        ):
            started_with(monkeypatch, code)
            told = await runner.run(TrialRequest(pasted(alert()), PODS))
            assert told.error == process.too_much_memory(), code


async def test_a_process_that_does_not_end_is_killed(monkeypatch):
    """After the time for one trial its process is killed by its id, though it computes nothing."""
    monkeypatch.setattr(trials, "_MAX_SECONDS", 0.5)
    started_with(monkeypatch, "import time; time.sleep(600)")
    async with running_trials() as runner:
        trial = asyncio.create_task(runner.run(TrialRequest()))
        (pid,) = await until(lambda: children(runner))
        assert (await trial).error.startswith("the trial took too long.")
        assert (children(runner), is_there(pid)) == ([], False)


async def test_output_without_end_is_cut_off(monkeypatch):
    """A process that writes without end is killed; the bridge holds only so much of it."""
    started_with(monkeypatch, "while True: print('x' * 65536)")
    async with running_trials() as runner:
        assert (await runner.run(TrialRequest())).error is not None
        assert children(runner) == []


async def test_whatever_the_process_writes_is_a_result_or_an_error(monkeypatch):
    """Output that is no result, or none at all, is an error of the bridge, and no exception."""
    async with running_trials() as runner:
        for code in ("print('{')", "pass", "import sys; sys.exit(3)"):
            started_with(monkeypatch, code)
            assert "by an error of the bridge" in (await runner.run(TrialRequest())).error, code


async def test_large_inputs_are_refused_at_once():
    """More than the pages allow is refused without a process; characters count as their bytes."""
    async with running_trials() as runner:
        alerts = await runner.run(TrialRequest("ü" * (MAX_WEBHOOK_BYTES // 2 + 1)))
        mapping = await runner.run(TrialRequest("", "#" * (MAX_MAPPING_BYTES + 1)))
    assert alerts.error == "the alerts may take at most 1024 KiB here. Fix: paste a part."
    assert mapping.error == "the mapping may take at most 256 KiB here. Fix: paste a part."


async def test_the_largest_inputs_have_a_result():
    """A whole MiB of alerts and as many alerts of the ledger as are sent fit into time and memory."""
    many = [alert(f"A{number}", pod="p") for number in range(2_500)]
    large = [alert(f"A{number}", annotations={f"a{i}": "x" * 30_000 for i in range(30)}) for number in range(20)]
    asked = request(PODS, *many, kept=large)
    assert len(asked.webhook) < MAX_WEBHOOK_BYTES
    async with running_trials() as runner:
        told = await runner.run(asked)
    assert (told.error, told.alerts, len(told.explanations)) == (None, 2_500, 200)
    assert 0 < told.compared < len(large)
    assert told.compared * 900_000 < MAX_KEPT_BYTES


async def test_few_run_at_once_and_the_others_wait_or_are_refused(monkeypatch):
    """Two processes at a time; some wait for a place; more are refused at once, and all of them end."""
    monkeypatch.setattr(trials, "_MAX_SECONDS", 1.0)
    started_with(monkeypatch, "import time; time.sleep(600)")
    async with running_trials() as runner:
        asked = [asyncio.create_task(runner.run(TrialRequest())) for _ in range(12)]
        await until(lambda: len(children(runner)) == 2)
        refused = [task for task in asked if task.done()]
        assert {task.result().error for task in refused} == {trials._BUSY}
        assert len(refused) == 2
        for task in asked:
            assert (await task).error is not None
        assert children(runner) == []


async def test_a_client_that_leaves_ends_its_trial(monkeypatch):
    """When the request is cancelled, its process is killed and its place is free."""
    started_with(monkeypatch, "import time; time.sleep(600)")
    async with running_trials() as runner:
        task = asyncio.create_task(runner.run(TrialRequest()))
        (pid,) = await until(lambda: children(runner))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (children(runner), is_there(pid)) == ([], False)


async def test_a_stop_ends_trials(monkeypatch):
    """When the bridge stops, trials in progress end with a sentence, and no process is left."""
    started_with(monkeypatch, "import time; time.sleep(600)")
    async with running_trials() as runner:
        task = asyncio.create_task(runner.run(TrialRequest()))
        (pid,) = await until(lambda: children(runner))
        await runner.stop()
        assert (await task).error == "the bridge stops. Fix: try again when it runs."
        assert not is_there(pid)
        assert (await runner.run(TrialRequest())).error == "the bridge stops. Fix: try again when it runs."


async def test_no_secret_is_given_to_the_process(monkeypatch):
    """Neither the environment nor the arguments nor the input hold anything of the bridge's environment."""
    monkeypatch.setenv("AOM_PASSWORD", "hunter2")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@proxy")
    dump = """import json, sys, msgspec
from bridge.mapping.playground.trial import TrialResult
environment, arguments = (open(f"/proc/self/{name}").read() for name in ("environ", "cmdline"))
names = [each.partition("=")[0] for each in environment.split("\\0") if each]
seen = json.dumps([names, environment + arguments + sys.stdin.read()])
print(msgspec.json.encode(TrialResult(error=seen)).decode())"""
    started_with(monkeypatch, dump)
    async with running_trials(running(variables={"ZONE": "z1"})) as runner:
        told = (await runner.run(TrialRequest("", 'vars: {a: "${AOM_PASSWORD}"}'))).error
    names, everything = json.loads(told)
    assert set(names) <= {"PYTHONPATH", "LD_LIBRARY_PATH"}
    assert ("z1" in everything, "hunter2" in everything) == (True, False)


async def test_the_process_can_neither_write_files_nor_start_others(monkeypatch):
    """Within its limits there are no files, no core dumps, little memory and a low priority."""
    told = await limits_of(monkeypatch)
    assert told["RLIMIT_FSIZE"] == told["RLIMIT_CORE"] == told["RLIMIT_NPROC"] == 0
    assert told["RLIMIT_AS"] == process.MAX_MEMORY_BYTES
    assert told["RLIMIT_CPU"] == process.MAX_CPU_SECONDS
    assert (told["nice"], told["oom"]) == (10, 1000)


async def limits_of(monkeypatch):
    """Give the limits that the process of a trial has set."""
    names = ("RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_NPROC", "RLIMIT_AS", "RLIMIT_CPU")
    code = f"""import json, os, resource
from bridge.mapping.playground.trial import TrialResult
import bridge.mapping.playground.process as p
def tried(*_):
    limits = {{name: resource.getrlimit(getattr(resource, name))[0] for name in {names!r}}}
    with open("/proc/self/oom_score_adj") as score:
        return TrialResult(error=json.dumps(limits | {{"nice": os.nice(0), "oom": int(score.read())}}))
p.tried = tried
p.main()"""
    started_with(monkeypatch, code)
    async with running_trials() as runner:
        return json.loads((await runner.run(TrialRequest())).error)


async def test_random_bytes_are_never_an_exception():
    """Whatever is pasted into both fields: there is a result."""
    chance = random.Random(7)  # noqa: S311 - the same texts each time
    async with running_trials() as runner:
        for _ in range(5):
            webhook, mapping = ("".join(map(chr, chance.choices(range(0xD000), k=300))) for _ in range(2))
            told = await runner.run(TrialRequest(webhook, mapping))
            assert told.webhook_error or told.problems
