"""`aom-bridge status`: whether AOM is in step, in one sentence, then targets and sources."""

import json

import pytest
from bridge_rig import running, settings_text
from process import bridge_command, run
from waiting import until
from webhooks import alert

from bridge.clock import MINUTE, SECOND
from bridge.ledger import LedgerStatus, TargetStatus
from bridge.ledger.operations.status import SourceStatus, WaitingAlarm
from bridge.web.languages import language
from bridge.web.status import Trouble, in_step, troubles

T0 = 1_800_000_000_000
LATE = Trouble.of_heartbeat("main", {"cluster": "eu"}, "late", 3 * MINUTE)


def target(*, waiting=0, oldest=None, accepted=T0 - 4 * SECOND, **states):
    """Give what the ledger says of a target."""
    return TargetStatus(states, waiting, oldest, accepted, None)


def waits(seconds, *, next_try=20, reason="unavailable", detail="503 busy"):
    """Give an alarm that has waited for so long."""
    return WaitingAlarm("report_due", T0 - seconds * SECOND, T0 + next_try * SECOND, 3, reason, detail)


def said(one, *, source=None, intervals=None, late=()):
    """Give the sentence for one target and one source."""
    sources = {"default": source or SourceStatus(130, None, {})}
    status = LedgerStatus(T0, {"default": one}, sources, [])
    wrong = troubles(status, intervals or {}, late)
    return (wrong[0] if wrong else in_step(status)).text()


def test_in_step_is_one_sentence():
    """With what is open, and how fresh AOM's last acceptance is."""
    assert said(target(reported=130)) == "AOM is in step: 130 alarms open, the last one taken 4 s ago"
    assert said(target(accepted=None), source=SourceStatus(0, None, {})) == "AOM is in step: 0 alarms open"


def test_what_waits_says_since_when_why_and_until_when():
    """An alarm that has just come waits for nothing."""
    text = "12 alarms have waited 3 min for target default: 503 busy; next try in 20 s"
    assert said(target(waiting=12, oldest=waits(180))) == text
    refused = waits(180, detail="the connection is refused. Fix: set proxy_url.")
    assert said(target(waiting=12, oldest=refused)).endswith("is refused. Fix: set proxy_url; next try in 20 s")
    at_once = waits(180, next_try=0, detail="503 busy...")
    assert said(target(waiting=12, oldest=at_once)).endswith("for target default: 503 busy...")
    untried = waits(1, reason=None, detail=None)
    assert said(target(waiting=1, oldest=untried)).startswith("AOM is in step")


@pytest.mark.parametrize(
    ("covered_at", "words"), [(None, "has answered yet"), (T0 - 6 * MINUTE, "has answered for 6 min"), (T0, "in step")]
)
def test_a_peer_that_does_not_answer_is_said(covered_at, words):
    """Nothing is cleared by absence meanwhile."""
    source = SourceStatus(1, covered_at, {})
    assert words in said(target(), source=source, intervals={"default": 30 * SECOND})


def test_the_worst_comes_first():
    """What waits for AOM before what AOM has refused, peers, heartbeats and differences."""
    sources = {"default": SourceStatus(1, None, {"vanished": 2})}
    one = target(waiting=1, oldest=waits(60), rejected=1)
    status = LedgerStatus(T0, {"a": one}, sources, [])
    found = [one.text() for one in troubles(status, {"default": SECOND}, [LATE])]
    words = ["1 alarm has waited", "AOM has refused 1 alarm", "not every Alertmanager", "heartbeat", "2 alarms"]
    assert [any(text.startswith(word) for text in found[index : index + 1]) for index, word in enumerate(words)] == [
        True
    ] * 5


def test_a_heartbeat_is_said_in_each_language():
    """The Chinese page has no English sentence."""
    assert LATE.text() == "heartbeat main/cluster=eu is late: its last sign came 3 min ago"
    assert LATE.text(language("zh")) == "心跳 main/cluster=eu 延迟：最近一次信号在 3 分钟前"
    never = Trouble.of_heartbeat("main", {}, "missing", None)
    assert never.text() == "heartbeat main is missing: no sign of it has ever come"
    assert never.text(language("zh")) == "心跳 main 缺失：从未收到其信号"


@pytest.mark.real
async def test_the_command_reads_the_ledger_beside_the_bridge(tmp_path):
    """The exit code is 0 in step and 1 otherwise; JSON has every figure; that no bridge runs is said first."""
    file = tmp_path / "bridge.yaml"
    async with running(tmp_path / "l.db") as rig:
        file.write_text(settings_text(rig.emulator.url, tmp_path / "l.db"))
        await rig.send(alert("One"))
        await until(lambda: rig.count("reported") == 1)
        code, out, _ = await run(*bridge_command("status", f"--config.file={file}"))
        assert code == 0
        assert out.startswith("AOM is in step: 1 alarm open, the last one taken ")
        assert "1 reported" in out
        await rig.arm({"on": "report", "status": 400})
        await rig.send(alert("Bad"))
        await until(lambda: rig.count("rejected") == 1)
        code, out, _ = await run(*bridge_command("status", f"--config.file={file}", "-o", "json"))
    assert code == 1
    status = json.loads(out)
    assert status["sentence"].startswith("AOM has refused 1 alarm of target default")
    assert status["targets"]["default"]["states"] == {"rejected": 1, "reported": 1}
    code, out, _ = await run(*bridge_command("status", f"--config.file={file}"))
    assert (code, out.partition(":")[0]) == (1, "no bridge runs on this ledger")


IN_STEP = "alertmanagers: [{urls: ['http://127.0.0.1:9']}]"
OWN = "aom-bridge-heartbeats"


@pytest.mark.real
@pytest.mark.parametrize(
    ("more", "names"),
    [
        ("", ["default"]),
        (IN_STEP, ["default"]),
        ("heartbeats: [{name: main, match: [alertname=Watchdog], every: 1s, missing_after: 1s}]", ["default", OWN]),
    ],
    ids=["no heartbeat", "a peer that is silent", "a heartbeat that is missing"],
)
async def test_the_same_sources_are_listed_beside_the_bridge_and_from_afar(tmp_path, more, names):
    """The sources of the bridge's own alarms are there only while one of these is open."""
    file = tmp_path / "bridge.yaml"
    async with running(tmp_path / "l.db", more=more) as rig:
        file.write_text(settings_text(rig.emulator.url, tmp_path / "l.db", more=more))
        await until(lambda: rig.count("reported") == len(names) - 1)
        found = []
        for where in (f"--config.file={file}", f"--url={rig.app.url}"):
            _, out, _ = await run(*bridge_command("status", where, "-o", "json"))
            found.append(json.loads(out)["sources"])
    assert found[0] == found[1]
    assert list(found[0]) == names
    assert found[0]["default"]["is_asked"] == (more == IN_STEP)
