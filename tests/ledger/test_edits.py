"""What an operator changes by hand: retry, clear, discard; in the ledger, on the command line and over HTTP."""

import re
import socket
from functools import partial

import pytest
from emulated_aom import arm, cloud, disarm
from ledger_driver import BY, T0, LedgerDriver
from process import bridge_command, run, serving
from waiting import until
from webhooks import alert, post

from bridge.event import Event, Mapped
from bridge.ledger import Edited, trace
from bridge.notification import fingerprint


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
async def driver(request, tmp_path):
    """A fresh ledger on each database."""
    place = tmp_path / "ledger.db" if request.param == "sqlite" else request.getfixturevalue("database")
    async with LedgerDriver(place) as made:
        yield made


def mapped(event_name="anew", target="default", *, dropped=False):
    """Give a mapping that knows one answer."""
    event = Event({"event_name": event_name, "event_severity": "Info", "event_type": "alarm"}, {}, 60_000)
    return lambda _source, _context: Mapped(None if dropped else event, target, "new-rule")


async def rejected(driver, name="a"):
    """Give an alarm that AOM refused."""
    await driver.fire(name)
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    return claim.alarm.id


async def edit(driver, what, own_id, map_anew=None):
    """Do one edit; give whether it was done, and the sentence."""
    (result,) = await driver.ledger.records.edit(what, [own_id], map_anew or mapped(), BY)
    return result.done, result.text


async def test_the_retry_of_a_rejected_report_is_mapped_anew(driver):
    """Retry of a rejected report maps the kept alert by today's rules and reports it."""
    own_id = await rejected(driver)
    assert await edit(driver, "retry", own_id[:9]) == (
        True,
        "mapped anew by rule 'new-rule' for target 'default', and its report is tried again",
    )
    (claim,) = await driver.claim()
    assert (claim.action, claim.event.metadata["event_name"], claim.alarm.severity) == ("report", "anew", "Info")
    await driver.accept(claim)
    assert await driver.states() == ["reported"]


async def test_the_retry_of_a_report_that_has_resolved_since_reports_and_then_clears(driver):
    """Retry of a rejected report whose alert has resolved: report, then clear, so that AOM's history is complete."""
    own_id = await rejected(driver)
    await driver.resolve(end=T0 + 5)
    assert (await edit(driver, "retry", own_id))[0]
    assert [await driver.deliver() for _ in range(3)] == [["report"], ["clear"], []]
    assert await driver.states() == ["cleared"]


async def test_the_retry_of_a_rejected_clear_sends_the_stored_event(driver):
    """Retry of a clear never asks the rules: the event goes out as it was reported."""
    await driver.fire()
    await driver.deliver()
    await driver.resolve(end=T0 + 5)
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    assert await edit(driver, "retry", claim.alarm.id) == (True, "its clear is tried again")
    (again,) = await driver.claim()
    assert (again.action, again.event) == ("clear", claim.event)


async def test_the_retry_of_a_rejected_orphan_clears(driver):
    """An orphan's clear that AOM refused is a clear again, not a report of an alert that has ended."""
    await driver.resolve()
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    assert (await edit(driver, "retry", claim.alarm.id))[0]
    assert await driver.deliver() == ["clear"]


async def test_a_retry_says_why_it_cannot_be(driver):
    """A retry of what is reported, dropped by the rules now, unknown, or has fired again since is refused, with why."""
    own_id = await rejected(driver)
    done, text = await edit(driver, "retry", own_id, mapped(dropped=True))
    assert (done, text) == (False, "rule 'new-rule' drops its alert now. Fix: discard it, or change the rule")
    assert await edit(driver, "retry", "nothing") == (False, "no alarm has this id or fingerprint")
    await driver.resolve(end=T0 + 5)
    await driver.fire(start=T0 + 9)
    done, text = await edit(driver, "retry", own_id)
    assert not done
    assert "has fired again since" in text
    await driver.deliver()
    done, text = await edit(driver, "retry", (await driver.rows())[1].id)
    assert (done, text) == (False, "it is reported, and only a rejected or waiting alarm can be tried again")


async def test_a_retry_of_what_waits_is_tried_now(driver):
    """Retry of an alarm in its backoff makes it due at once."""
    await driver.fire()
    (claim,) = await driver.claim()
    await driver.release(claim, after=300_000)
    assert await driver.claim() == []
    assert await edit(driver, "retry", claim.alarm.id) == (True, "it was waiting, and is tried now")
    assert len(await driver.claim()) == 1
    assert await edit(driver, "retry", claim.alarm.id) == (False, "it is being sent right now")


async def test_clear_ends_an_open_alarm_behind_its_report(driver):
    """Clear of an open alarm is a resolve by hand: after its report, and once."""
    await driver.fire("a")
    await driver.fire("b")
    (first, _) = await driver.claim(limit=2)
    await driver.accept(first)
    ids = [row.id for row in await driver.rows()]
    then = "; if its alert still fires, Alertmanager's next notification raises it again"
    assert await edit(driver, "clear", ids[0]) == (True, f"its clear is due{then}")
    assert await edit(driver, "clear", ids[0]) == (True, "its clear is due")
    assert await edit(driver, "clear", ids[1]) == (True, f"its clear follows its report{then}")
    driver.now += 60_000
    assert [await driver.deliver() for _ in range(2)] == [["report", "clear"], ["clear"]]
    assert await driver.states() == ["cleared", "cleared"]
    assert await driver.fire("a") == "new"


async def test_discard_finishes_without_a_push_and_warns_if_aom_may_hold_it(driver):
    """Discard gives an alarm up, also one in a worker's hands, and says when AOM may still hold it."""
    assert await edit(driver, "discard", await rejected(driver, "poison")) == (
        True,
        "discarded; nothing is sent to AOM",
    )
    await driver.fire("held")
    await driver.deliver()
    done, text = await edit(driver, "discard", (await driver.rows())[1].id)
    assert done
    assert "AOM may still hold it" in text
    await driver.fire("flying")
    (claim,) = await driver.claim()
    assert (await edit(driver, "discard", claim.alarm.id))[0]
    assert await driver.accept(claim) == set()
    assert await driver.states() == ["discarded"] * 3
    assert await edit(driver, "discard", claim.alarm.id) == (False, "it is discarded already")
    assert await driver.claim() == []


async def test_an_edit_takes_a_fingerprint(driver):
    """Retry, clear and discard name an alarm by its alert's fingerprint, too: its newest one is meant."""
    await driver.fire("a")
    await driver.deliver()
    await driver.resolve("a", end=T0 + 5)
    await driver.deliver()
    await driver.fire("a", start=T0 + 9)
    (old, new) = await driver.rows()
    (result,) = await driver.ledger.records.edit("clear", [old.fingerprint], mapped(), BY)
    assert (result.id, result.done) == (new.id, True)
    await driver.fire("a", source="other")
    done, text = await edit(driver, "discard", old.fingerprint)
    assert not done
    assert text.startswith("more than one alarm has this name: ")


async def test_counts_follow_an_edit(driver):
    """After retry and discard the kept counts equal the rows."""
    first, second = await rejected(driver, "a"), await rejected(driver, "b")
    await edit(driver, "retry", first)
    await edit(driver, "discard", second)
    assert {state: n for (state, _), n in driver.ledger.counts().items() if n} == {"report_due": 1, "discarded": 1}


async def test_retry_all_takes_every_rejected_alarm(driver):
    """`retry --all` sends every rejected alarm again, in several transactions."""
    for number in range(230):
        await driver.fire(f"a{number}")
    for claim in await driver.claim(limit=1000):
        await driver.refuse(claim)
    results = await driver.ledger.records.retry_all(None, None, mapped(), BY)
    assert [result.done for result in results] == [True] * 230
    assert driver.ledger.counts()["report_due", "default"] == 230


@pytest.mark.real
async def test_the_command_line_edits_beside_a_running_bridge(tmp_path):
    """`aom-bridge alarms retry|clear|discard` change the ledger; the running bridge notices within a second or so."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (bridge, url):
        await arm(aom, {"on": "report", "status": 400, "count": 3})
        for name in ("A", "B", "C"):
            assert await post(url, alert(name)) == 200
            await until(lambda name=name: f"event_name={name}" in bridge.output)
        await disarm(aom)
        command = [*bridge_command("alarms"), "", f"--config.file={tmp_path / 'bridge.yaml'}"]

        async def alarms(what, *arguments):
            command[command.index("alarms") + 1] = what
            return await run(*command, *arguments)

        code, out, _ = await alarms("list", "--state=rejected", "-o", "json")
        assert (code, out.count('"state": "rejected"')) == (0, 3)
        code, out, err = await alarms("retry", "--all")
        assert (code, out.count("its report is tried again")) == (0, 3), err
        await until(lambda: len(aom.snapshot()["active"]) == 3)
        await until(lambda: bridge.output.count('command line" edit=retry') == 3)
        ids = [line.partition(":")[0] for line in out.splitlines()]
        code, out, _ = await alarms("clear", ids[0], ids[1])
        assert (code, out.count("its clear is due")) == (0, 2)
        await until(lambda: len(aom.snapshot()["active"]) == 1)
        code, out, _ = await alarms("show", fingerprint(alert("A")["labels"]))
        assert (code, f"id: {ids[2]}" in out) == (0, True)
        code, _, err = await alarms("show", "nonsense")
        assert (code, err) == (1, "aom-bridge: nonsense: no alarm has this id or fingerprint\n")
        code, out, _ = await alarms("discard", ids[2])
        assert (code, "AOM may still hold it" in out) == (0, True)
        code, _, err = await alarms("discard", ids[2], "nonsense")
        assert (code, "it is discarded already" in err, "no alarm has this id" in err) == (1, True, True)
        code, out, _ = await alarms("retry", "--all")
        assert (code, out) == (0, "no rejected or waiting alarm fits; --all-states looks at the others\n")
        code, _, err = await alarms("retry")
        assert (code, "Fix: give ids" in err) == (2, True)


@pytest.mark.real
async def test_the_command_line_leaves_a_trace_in_the_log(tmp_path):
    """What the command line changes is a line in the running bridge's log, once, with who; else in that of the next."""
    command = [*bridge_command("alarms", "discard"), f"--config.file={tmp_path / 'bridge.yaml'}"]

    def told(bridge):
        return [line for line in bridge.output.splitlines() if 'msg="alarm edited by the command line"' in line]

    async with cloud() as aom:
        async with serving(tmp_path, aom.url) as (bridge, url):
            assert await post(url, alert("A"), alert("B")) == 200
            await until(lambda: len(aom.snapshot()["active"]) == 2)
            code, _, err = await run(*command, fingerprint(alert("A")["labels"]), "nonsense")
            assert (code, "no alarm has this id" in err) == (1, True)
            await until(lambda: told(bridge))
        (line,) = told(bridge)
        shown = r' edit=discard id=[0-9a-f]{32} text="discarded; .*" who="?\S.*@' + re.escape(socket.gethostname())
        assert re.search(shown, line)
        assert (await run(*command, fingerprint(alert("B")["labels"])))[0] == 0
        async with serving(tmp_path, aom.url) as (bridge, _):
            await until(lambda: told(bridge))
        (later,) = told(bridge)
        assert re.search(shown, later)
        assert later.partition(" id=")[2][:32] != line.partition(" id=")[2][:32]


async def test_a_trace_is_told_once_and_in_its_order(driver, monkeypatch, capsys):
    """However many changes wait for a log, each is one line, the oldest first, some in each transaction."""
    monkeypatch.setattr(trace, "_MAX_LOGGED_AT_ONCE", 2)
    results = [Edited(f"id{number}", done=number != 1, text="t") for number in range(4)]
    keep = partial(trace.keep, edit="clear", by=BY, now=T0, is_of_all=False)
    await driver.ledger._core.write(lambda connection: keep(connection, results=results))
    await driver.ledger._core.write(lambda connection: keep(connection, results=results, is_of_all=True))
    while await driver.ledger._core.read(trace.is_unlogged):
        await driver.ledger._core.write(trace.log_changes)
    lines = [line for line in capsys.readouterr().out.splitlines() if "by the command line" in line]
    assert [(re.findall(r"\bid=(\S+)", line), "text=t" in line) for line in lines] == [
        (["id0"], True),
        (["id2"], True),
        (["id3"], True),
        ([], False),
    ]
    assert "3 alarm(s)" in lines[-1]


async def test_http_lists_shows_and_edits(rig):
    """`/api/v1/alarms` does the same over HTTP: list, show, retry, clear, discard, with Prometheus's envelope."""
    await rig.arm({"on": "report", "status": 400, "count": 1})
    await rig.send(alert("A"))
    await until(lambda: rig.count("rejected"))

    async def call(method, path, **more):
        async with rig.session.request(method, rig.app.url + "/api/v1/alarms" + path, **more) as response:
            return response.status, await response.json()

    status, body = await call("GET", "?state=rejected&target=default")
    assert (status, body["status"], len(body["data"])) == (200, "success", 1)
    own_id = body["data"][0]["id"]
    assert await call("GET", "/" + own_id[:8]) == await call("GET", "/" + body["data"][0]["fingerprint"])
    shown = (await call("GET", "/" + own_id[:8]))[1]["data"]
    assert (shown["labels"]["alertname"], shown["timeout"]) == ("A", "5d")
    assert (await call("POST", f"/{own_id}/retry"))[0] == 200
    await until(lambda: rig.active() == ["A"])
    assert (await call("POST", f"/{own_id}/retry"))[0] == 409
    assert (await call("POST", f"/{own_id}/clear"))[0] == 200
    await until(lambda: rig.active() == [])
    assert (await call("POST", f"/{own_id}/discard"))[1]["error"] == "it is cleared already"
    assert (await call("POST", "/nothing/discard"))[0] == 404
    assert (await call("GET", "/nothing"))[0] == 404
    assert (await call("GET", "?state=nonsense"))[0] == 400
    assert (await call("GET", "?limit=0"))[0] == 400
    assert (await call("POST", "/retry")) == (200, {"status": "success", "data": []})


async def test_http_edits_only_from_near_and_from_its_own_pages(rig):
    """A page of another site cannot make an operator's browser clear alarms."""
    await rig.send(alert("A"))
    await until(lambda: rig.active() == ["A"])
    (own_id,) = [event["metadata"]["alert_fingerprint"] for event in rig.aom()["active"]]
    url = f"{rig.app.url}/api/v1/alarms/{own_id}/clear"
    async with rig.session.post(url, headers={"Origin": "http://evil.example"}) as response:
        assert (response.status, "another site" in await response.text()) == (403, True)
