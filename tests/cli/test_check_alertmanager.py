"""`aom-bridge check-alertmanager`: what loses alerts in a file, or at a running Alertmanager."""

import json

import pytest
from bridge_rig import settings_text
from config_reading import TARGETS
from http_server import serving_routes
from plain_words import is_plain
from process import alertmanager, bridge_command, run
from stand_in_peer import StandInPeer

from bridge.cli.main import main

GOOD = """\
route:
  receiver: mail
  routes:
  - receiver: aom
    continue: true
  - receiver: pager
    matchers: [severity="critical"]
receivers:
- name: mail
  email_configs: [{to: a@example.org}]
- name: pager
  webhook_configs: [{url: https://pager.example/v2/alerts, send_resolved: false}]
- name: aom
  webhook_configs: [{url: http://aom-bridge:9876/webhook, max_alerts: 0}]
"""
BAD = GOOD.replace("max_alerts: 0", "max_alerts: 9").replace("    continue: true\n", "    group_interval: 5s\n")


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Check a text; give the exit code, and the lines on both outputs; other files by their names and texts."""
    monkeypatch.chdir(tmp_path)

    def checked(text, *options, **files):
        (tmp_path / "am.yml").write_text(text)
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        code = main(["check-alertmanager", "am.yml", *options])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return checked


def test_a_good_file_is_told_with_what_was_judged(check):
    """Without a name it is the receiver whose webhook may be to the bridge."""
    assert check(GOOD) == (0, ["am.yml: SUCCESS: nothing is found that loses alerts; receivers judged: aom"], [])


def test_each_finding_is_a_line_with_its_place_and_fix(check):
    """The exit code is 1; other receivers are judged where they are named."""
    code, out, err = check(BAD)
    assert (code, out) == (1, [])
    assert err[0].startswith("am.yml:14: the webhook of aom leaves out all but 9 alerts")
    assert err[1:] == ["am.yml: FAILED: 1 finding(s); receivers judged: aom"]
    code, _, err = check(GOOD, "--receiver=pager", "--receiver", "pagr")
    assert code == 1
    assert [line.split(": ")[0] for line in err] == ["am.yml:8", "am.yml:12", "am.yml:12", "am.yml"]
    assert "there is no receiver pagr. Fix: " in err[0]
    assert "receivers judged: pager, pagr" in err[3]


def test_a_misspelled_path_is_told_though_the_receiver_is_not_named(check):
    """And a source that the bridge's configuration does not list."""
    code, _, err = check(GOOD.replace("9876/webhook", "9876/webhok"))
    assert (code, len(err)) == (1, 2)
    assert err[0].startswith("am.yml:14: the url of the webhook of aom does not end in /webhook or /webhook/SOURCE, so")
    source = GOOD.replace("9876/webhook", "9876/webhook/prd")
    assert check(source)[0] == 0
    code, _, err = check(source, "--config.file=bridge.yaml", **{"bridge.yaml": f"sources: [prod]\n{TARGETS}"})
    assert code == 1
    assert "the url of the webhook of aom ends in a source that the bridge's configuration does not list" in err[0]


def test_programs_get_json(check):
    """The same, with the kinds."""
    code, out, err = check(BAD, "--format=json")
    assert (code, err) == (1, [])
    told = json.loads("\n".join(out))
    assert (told["name"], told["receivers"]) == ("am.yml", ["aom"])
    assert [(one["kind"], one["receiver"], one["line"]) for one in told["findings"]] == [("truncates", "aom", 14)]
    assert is_plain(told["findings"][0]["text"])


def test_the_bridges_configuration_names_receivers_peers_and_timeout(check):
    """With two peers the group_interval counts, and with a shorter alarm_timeout the repeats."""
    bridge = TARGETS.replace("auth:", "alarm_timeout: 6h, auth:")
    bridge += "alertmanagers: [{urls: ['http://one:9093', 'http://two:9093'], receivers: [aom]}]"
    _, _, err = check(BAD, "--config.file=bridge.yaml", **{"bridge.yaml": bridge})
    assert [line.split(": ")[0] for line in err[:-1]] == ["am.yml:1", "am.yml:5", "am.yml:14"]
    assert "AOM clears an alarm that is not reported for 6h (alarm_timeout); while Alertmanager's API" in err[0]
    _, _, err = check(BAD, "--config.file=bridge.yaml", **{"bridge.yaml": bridge.replace("receivers: [aom]", "")})
    assert err[-1].endswith("receivers judged: aom")
    _, _, err = check(BAD, "--config.file=bridge.yaml", **{"bridge.yaml": TARGETS})
    assert [line.split(": ")[0] for line in err[:-1]] == ["am.yml:14"]


UNREADABLE = {
    "no YAML": ("route:\n  a: [\nb: c\n", "am.yml:"),
    "empty": ("", "am.yml:1: it has no sections"),
    "another file": ("scrape_configs: []\n", "am.yml:1: there is no route at the top"),
    "a manifest": ("kind: Secret\nstringData: {alertmanager.yaml: 'route: {}'}\n", "am.yml:1: there is no route"),
    "a wrong duration": (
        "route:\n  receiver: a\n  group_wait: soon\n",
        "am.yml:3: group_wait: 'soon' is not a duration",
    ),
    "a wrong matcher": ("route:\n  receiver: a\n  matchers: ['b c']\n", "am.yml:3: 'b c' is not a matcher"),
    "a wrong expression": ("route:\n  match_re:\n    a: '('\n", "am.yml:3: '(' is not a regular expression"),
}


@pytest.mark.parametrize(("text", "told"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_configuration_of_alertmanager_is_told_with_its_place(check, text, told):
    """The exit code is 2, so that no script takes it for a finding."""
    code, out, err = check(text)
    assert (code, out, len(err)) == (2, [], 1)
    assert err[0].startswith(told)
    assert is_plain(err[0])


def test_a_file_without_webhooks_sends_nothing(check):
    """That is a finding of its own."""
    code, _, err = check("route: {receiver: mail}\nreceivers: [{name: mail}]")
    assert code == 1
    assert err[0].startswith("am.yml:2: no receiver has a webhook, so nothing is sent to the bridge. Fix: ")


def test_files_that_cannot_be_read_are_told(check, capsys):
    """Alertmanager's and the bridge's."""
    assert check(GOOD, "--config.file=none.yaml")[0] == 2
    assert check(GOOD, "--config.file=bad.yaml", **{"bad.yaml": "targets: []"})[0] == 2
    assert main(["check-alertmanager", "none.yml"]) == 2
    assert "none.yml:1:1: the file cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1:9", "http://alert manager", "http://a/api/v2/status", "http://u:p@a"]
)
def test_an_address_that_gives_no_status_is_told(name, capsys):
    """Nothing answers there, or it is no base URL."""
    assert main(["check-alertmanager", name]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"{name.replace('u:p@', '')}: ")
    assert is_plain(err)


@pytest.mark.real
async def test_a_running_alertmanager_is_asked_for_its_status_alone(tmp_path):
    """Its cluster tells the number of peers; credentials of the configuration go to its address, and to no other."""
    asked = []
    peer = StandInPeer(config=BAD)
    peer.peers = ["one", "two"]
    async with serving_routes(*peer.routes(seen=asked)) as url:
        code, _, err = await run(*bridge_command("check-alertmanager", url))
        assert code == 1
        assert f"{url}:5: the group_interval of aom is 5s, and with 2 peers" in err
        assert f"{url}: FAILED: 2 finding(s); receivers judged: aom" in err
        file = tmp_path / "bridge.yaml"
        for place, receiver in [(url, "aom"), ("http://other.example:9093", "pager")]:
            more = f"alertmanagers: [{{urls: ['{place}'], authorization: {{credentials: t}}, receivers: [{receiver}]}}]"
            file.write_text(settings_text("http://aom.example", tmp_path / "l.db", more=more))
            _, _, err = await run(*bridge_command("check-alertmanager", url, f"--config.file={file}"))
            assert f"receivers judged: {receiver}" in err
    assert asked == [("/api/v2/status", None), ("/api/v2/status", "Bearer t"), ("/api/v2/status", None)]


@pytest.mark.real
async def test_the_real_alertmanager_is_judged(tmp_path):
    """Its status shows the configuration as it understands it: with lines of its own, and secrets masked."""
    async with alertmanager(tmp_path, "http://aom-bridge.example:9876") as am:
        code, out, err = await run(*bridge_command("check-alertmanager", am.url, "--receiver", "aom"))
        assert (code, err) == (0, "")
        assert "receivers judged: aom" in out
        code, _, err = await run(*bridge_command("check-alertmanager", am.url, "--receiver", "amo"))
        assert code == 1
        assert "there is no receiver amo. Fix: did you mean 'aom'?" in err
