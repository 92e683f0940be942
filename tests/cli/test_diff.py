"""`aom-bridge diff`: Alertmanager and the ledger side by side, with and without a running bridge."""

import json

import pytest
from aiohttp import web
from bridge_rig import running, settings_text
from http_server import serving_routes
from process import bridge_command, run
from webhooks import alert

from bridge.clock import format_rfc3339, system_clock
from bridge.notification import fingerprint

pytestmark = pytest.mark.real

STATUS = {
    "cluster": {"name": "one", "status": "ready", "peers": [{"name": "one"}]},
    "config": {"original": "route: {receiver: aom}\nreceivers: [{name: aom, webhook_configs: [{url: <secret>}]}]\n"},
    "uptime": "2026-11-27T00:00:00.000Z",
}


class Peer:
    """The API of an Alertmanager with some alerts."""

    def __init__(self, *names):
        self.names = names

    def routes(self):
        return [web.get("/api/v2/status", self._status), web.get("/api/v2/alerts", self._alerts)]

    async def _status(self, _request):
        return web.json_response(STATUS)

    async def _alerts(self, _request):
        now = system_clock()
        return web.json_response(
            [
                {
                    "annotations": {},
                    "endsAt": format_rfc3339(now + 240_000),
                    "receivers": [{"name": "aom"}],
                    "startsAt": format_rfc3339(now - 60_000),
                    "status": {"state": "active"},
                    "updatedAt": format_rfc3339(now - 1_000),
                    "generatorURL": "",
                    "labels": {"alertname": name},
                }
                for name in self.names
            ]
        )


async def diff(folder, url, *options):
    """Run the command on a ledger; give its exit code and what it prints."""
    file = folder / "bridge.yaml"
    more = f"alertmanagers: [{{urls: ['{url}'], receivers: [aom]}}]"
    file.write_text(settings_text("http://aom.example", folder / "l.db", more=more))
    return await run(*bridge_command("diff", f"--config.file={file}", *options))


async def test_what_differs_is_shown_with_both_sides(tmp_path):
    """An alarm whose alert no peer lists, and an alert without an alarm; nothing is due, since no bridge runs."""
    async with running(tmp_path / "l.db") as rig:
        await rig.send(alert("Vanished"), alert("Both"))
    async with serving_routes(*Peer("Missing").routes()) as url:
        code, out, err = await diff(tmp_path, url)
        assert (code, err) == (0, "")
        assert "Missing" in out
        assert "no running bridge has told yet" in out
        code, out, _ = await diff(tmp_path, url, "-o", "json")
    rows = {row["difference"]: row for row in json.loads(out)}
    assert rows["missing"]["labels"] == {"alertname": "Missing"}
    assert (rows["missing"]["alertmanager"], rows["vanished"]["alertmanager"]) == ("firing", "absent")
    assert rows["vanished"]["ledger"] in ("report_due", "reported")
    assert rows["missing"]["fingerprint"] == fingerprint({"alertname": "Missing"})
    assert code == 0


async def test_equal_sides_are_no_difference(tmp_path):
    """It prints nothing and ends with 0, as `diff` does."""
    async with running(tmp_path / "l.db"):
        pass
    async with serving_routes(*Peer().routes()) as url:
        assert await diff(tmp_path, url) == (0, "", "")


async def test_a_peer_that_does_not_answer_is_named(tmp_path):
    """Then nothing is known, and the exit code says so."""
    async with running(tmp_path / "l.db"):
        pass
    code, _, err = await diff(tmp_path, "http://127.0.0.1:9")
    assert code == 2
    assert "source default: http://127.0.0.1:9: " in err


async def test_a_configuration_without_an_alertmanager_says_what_to_add(tmp_path):
    """There is nothing to compare with."""
    file = tmp_path / "bridge.yaml"
    file.write_text(settings_text("http://aom.example", tmp_path / "l.db"))
    code, _, err = await run(*bridge_command("diff", f"--config.file={file}"))
    assert code == 2
    assert "Fix: alertmanagers:" in err
