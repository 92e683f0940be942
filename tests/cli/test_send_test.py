"""`send-test` says, step by step, what works on a target and what to do about what does not."""

import re

import proxies
import pytest
from bridge_rig import settings_text
from emulated_aom import arm, cloud
from http_server import serving_routes
from plain_words import is_chinese
from process import bridge_command, run
from stand_in_peer import StandInPeer

from bridge.cli.target_trial import SendTest
from bridge.clock import MINUTE, SECOND, system_clock
from bridge.config import load

pytestmark = pytest.mark.real

ALL = ["address", "connection", "credentials", "report", "list", "clear", "cleared"]


async def tried(aom, *, wait=3 * SECOND, target="", **config):
    """Try a target; give its steps by name."""
    settings = load("t.yaml", {}, raw=settings_text(aom, "x.db", target=target, **config).encode()).settings
    test = SendTest("default", settings.targets["default"], wait, system_clock)
    return {step.name: step async for step in test.run()}


def outcomes(steps):
    """Give the steps that went well, and the one that did not."""
    return [s.name for s in steps.values() if s.outcome == "ok"], [
        s.name for s in steps.values() if s.outcome == "FAIL"
    ]


@pytest.mark.parametrize(("ids", "words"), [("assigned", "makes its own ids"), ("supplied", "keeps our ids")])
async def test_where_all_works_each_step_says_so(ids, words):
    """Address, connection, credentials, report, list and clear are tried, and AOM is left as it was."""
    async with cloud(ids=ids, list_lag_ms=700) as emulator:
        steps = await tried(emulator.url)
        assert outcomes(steps) == (ALL, [])
        assert words in steps["list"].text
        assert steps["list"].took >= 600
        state = emulator.snapshot()
        assert (len(state["active"]), len(state["history"]), state["violations"]) == (0, 1, [])
        assert is_chinese(state["history"][0]["annotations"]["alarm_probableCause_zh_cn"])


FAULTS = {
    "no permission to report": ({"on": "report", "status": 403}, "report", "aom:alarm:put"),
    "no permission to list": ({"on": "list", "status": 403}, "list", "aom:alarm:list"),
    "wrong project": ({"on": "report", "status": 404}, "report", "My Credentials"),
    "dead token": ({"on": "report", "status": 401}, "report", "the program that renews it"),
    "trouble": ({"on": "report", "status": 500}, "report", "try again later"),
    "too many requests": ({"on": "report", "status": 429}, "report", "rate_limit"),
    "no clear": ({"on": "clear", "status": 403}, "clear", "aom:alarm:put"),
}


@pytest.mark.parametrize(("fault", "name", "fix"), FAULTS.values(), ids=FAULTS.keys())
async def test_what_fails_says_what_to_do(fault, name, fix):
    """Each failure names AOM's words and its fix; what is left is not tried, but an alarm is not left open for it."""
    async with cloud() as emulator:
        await arm(emulator, fault)
        steps = await tried(emulator.url)
        assert outcomes(steps)[1] == [name]
        assert fix in steps[name].fix
        assert (str(fault["status"]) in steps[name].text) or name == "report"
        assert steps["the rest"].outcome == "skip"
        assert ("clear" in steps) == (name in ("list", "clear"))


async def test_a_report_in_doubt_is_cleared_all_the_same():
    """Where AOM may have taken the alarm without saying so, it is looked for and cleared."""
    async with cloud() as emulator:
        await arm(emulator, {"on": "report", "half": True, "after": True})
        steps = await tried(emulator.url)
        assert outcomes(steps)[1] == ["report"]
        assert emulator.snapshot()["active"] == []


async def test_a_list_that_never_shows_the_alarm_is_said():
    """Where the list shows nothing within the wait, the enterprise project is the first suspect."""
    async with cloud(list_lag_ms=3_600_000) as emulator:
        steps = await tried(emulator.url, wait=SECOND)
    assert "did not show the alarm within 1s" in steps["list"].text
    assert "enterprise_project_id" in steps["list"].fix
    assert "clears the alarm by age in 10m" in steps["clear"].text


async def test_ids_that_are_not_kept_rule_out_clear_by_id():
    """A target with `clear_by: id` on an AOM that makes ids of its own is told to use look-ups."""
    async with cloud() as emulator:
        steps = await tried(emulator.url, target="clear_by: id")
        assert (outcomes(steps)[1], steps["list"].fix) == (["list"], "set clear_by: lookup")
        assert emulator.snapshot()["active"] == []


@pytest.mark.parametrize(
    ("aom", "name", "fix"),
    [
        ("http://no-such-host.invalid", "address", "name server"),
        ("http://127.0.0.1:1", "connection", "proxy_url"),
    ],
)
async def test_an_address_that_leads_nowhere_is_said(aom, name, fix):
    """A wrong name and a closed port are told apart, before anything is sent."""
    steps = await tried(aom)
    assert outcomes(steps)[1] == [name]
    assert fix in steps[name].fix


@pytest.mark.parametrize(
    ("auth", "fix"),
    [
        ("{password: {domain: emulator, user: emulator, password: hunter2, iam_endpoint: '%s'}}", "account's name"),
        ("{token: {file: /no/such/file}}", "mount it"),
        ("{password: {domain: d, user: u, password: hunter2, iam_endpoint: 'http://127.0.0.1:1'}}", "iam_endpoint"),
    ],
)
async def test_credentials_that_cannot_be_had_are_said(auth, fix):
    """Wrong credentials fail at their own step, with the fix for their kind and without the secret."""
    async with cloud() as emulator:
        steps = await tried(emulator.url, auth=auth.replace("%s", emulator.url))
    assert outcomes(steps)[1] == ["credentials"]
    assert fix in steps["credentials"].fix
    assert "hunter2" not in repr(steps)


async def test_a_ca_of_ones_own_and_a_proxy(tmp_path):
    """Everything goes through the proxy, with its password, and trusts the CA of `ca_file` and no other."""
    async with cloud() as emulator, proxies.proxy() as proxy:
        port = int(emulator.url.rpartition(":")[2])
        async with proxies.tls_in_front_of(port, tmp_path) as (secured, ca):
            aom = f"https://localhost:{secured}"
            auth = f"{{password: {{domain: emulator, user: emulator, password: emulator, iam_endpoint: '{aom}'}}}}"
            through = f"proxy_url: http://u:p@127.0.0.1:{proxy.port}"
            steps = await tried(aom, target=f"ca_file: {ca}\n{through}", auth=auth)
            assert outcomes(steps) == (ALL, [])
            assert "the proxy 127.0.0.1" in steps["address"].text
            assert set(proxy.asked) == {("CONNECT", f"localhost:{secured}")}
            steps = await tried(aom, target=f"ca_file: {ca}")
            assert "TLSv1.3, certificate trusted" in steps["connection"].text
            steps = await tried(aom)
            assert outcomes(steps)[1] == ["connection"]
            assert "ca_file" in steps["connection"].fix
            wrong = through.replace("u:p", "u:hunter2")
            steps = await tried(aom, target=f"ca_file: {ca}\n{wrong}", auth=auth)
            assert outcomes(steps)[1] == ["credentials"]
            assert "407" in steps["credentials"].text
            assert "hunter2" not in repr(steps)


async def test_the_command_prints_each_step_and_ends_with_the_answer(tmp_path):
    """`aom-bridge send-test` exits 0 where all works, 1 where something fails, 2 for a target that is not there."""
    file = tmp_path / "bridge.yaml"
    async with cloud() as emulator:
        file.write_text(settings_text(emulator.url, "x.db"))
        code, out, err = await run(*bridge_command("send-test", f"--config.file={file}"))
        assert (code, err) == (0, "")
        assert out.startswith(f"target default: {emulator.url}, project p1\n  ok    address")
        assert out.endswith("alarms can be reported, found and cleared\n")
        await arm(emulator, {"on": "report", "status": 403})
        code, out, err = await run(*bridge_command("send-test", f"--config.file={file}", "--wait=1s"))
        assert (code, err) == (1, "")
        assert "  FAIL  report" in out
        assert "Fix: give the user the IAM action aom:alarm:put" in out
        code, _, err = await run(*bridge_command("send-test", f"--config.file={file}", "--target=other"))
        assert code == 2
        assert "no target is called 'other'. Fix: one of default." in err


async def test_each_peer_of_alertmanager_is_asked(tmp_path):
    """Its version, cluster, clock, receivers and what loses alerts are shown; no answer is a failure with its fix."""
    peer = StandInPeer("A", version="0.25.0")
    peer.ahead = 10 * MINUTE
    file = tmp_path / "bridge.yaml"
    async with cloud() as emulator, serving_routes(*peer.routes()) as url:
        file.write_text(settings_text(emulator.url, tmp_path / "l.db", more=f"alertmanagers: [{{urls: ['{url}']}}]"))
        code, out, _ = await run(*bridge_command("send-test", f"--config.file={file}"))
        assert code == 0
        clock = r"clock (10m|9m59s) ahead"  # a peer tells its time in whole seconds
        asked = rf"Alertmanager 0\.25\.0, a cluster of 1, ready, {clock}, 1 alerts; receivers with a webhook: aom"
        assert re.search(f"{re.escape(url)}: {asked}", out)
        assert "alarms can be reported, found and cleared, and Alertmanager can be asked" in out
        assert "Fix: set both clocks by NTP." in out
        peer.config = peer.config.replace("url: <secret>", "url: <secret>, send_resolved: false")
        code, out, _ = await run(*bridge_command("send-test", f"--config.file={file}"))
        assert code == 0
        assert "warn  peer" in out
        assert "Fix: send_resolved: true." in out
        file.write_text(file.read_text().replace(f"'{url}'", f"'{url}', 'http://127.0.0.1:9'"))
        code, out, _ = await run(*bridge_command("send-test", f"--config.file={file}"))
        assert code == 1
        assert "FAIL  peer" in out
