"""Each alert about the bridge, provoked once: the real Prometheus, the real bridge and the real rules."""

import asyncio
import contextlib
import json
import re
import signal
import sqlite3
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aom_client import PASSWORD
from bridge_rig import settings_text
from emulated_aom import arm, cloud, disarm, put_in
from http_server import serving_routes
from process import bridge_command, free_port, started
from programs import need
from prometheus_rules import ALERTS, RULES
from waiting import until
from web_clients import OTHER, TOKEN, bearer
from webhooks import alert, payload, resolved

from bridge.clock import format_rfc3339, system_clock

PROMETHEUS = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 200ms}}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: aom-bridge
    authorization: {{credentials: {token}}}
    static_configs: [{{targets: ["127.0.0.1:{port}", "127.0.0.1:1"]}}]
"""
MORE = """
mapping:
  rules:
    - {name: broken, match: [alertname=Broken], set: {resource_id: '{{ labels.nope }}'}}
    - {name: no-canary, match: [alertname=AomBridgeCanary], drop: true}
sources: [compared]
alertmanagers: [{urls: ["%s"], source: compared, interval: 1s, settle: 1s, missing_after: 1s}]
"""
AUDITED = "lookup_wait: 3s\naudit: 1s"
NOT_LISTED = ({"on": "list", "status": 403}, {"on": "statistic", "status": 403})
ALERTMANAGER = "route: {receiver: aom}\nreceivers: [{name: aom, webhook_configs: [{url: <secret>}]}]\n"


class Peer:
    """The API of the Alertmanager with which the source `compared` is held in step.

    Attributes:
        names: of the alerts that it lists as firing.
        members: the names of the peers in its cluster; its own is `one`.
    """

    def __init__(self):
        self.names, self.members = [], ["one"]
        self.uptime = format_rfc3339(system_clock() - 3_600_000)

    def routes(self):
        return [web.get("/api/v2/status", self._status), web.get("/api/v2/alerts", self._alerts)]

    async def _status(self, _request):
        cluster = {"name": "one", "status": "ready", "peers": [{"name": name} for name in self.members]}
        return web.json_response({"cluster": cluster, "config": {"original": ALERTMANAGER}, "uptime": self.uptime})

    async def _alerts(self, _request):
        now = system_clock()
        return web.json_response([self._listed(alert(name), now) for name in self.names])

    def _listed(self, one, now):
        times = {"updatedAt": format_rfc3339(now - 1_000), "endsAt": format_rfc3339(now + 240_000)}
        return {**one, **times, "receivers": [{"name": "aom"}], "status": {"state": "active"}}


class Rehearsal:
    """The bridge, its AOM, the Alertmanager that it asks, and the Prometheus that watches."""

    def __init__(self, folder, aom, peer, peer_url):
        self.folder, self.aom, self.peer, self.peer_url = folder, aom, peer, peer_url
        self.port, self.prometheus = free_port(), free_port()
        self.seen = set()

    def write_settings(self, more=""):
        """Write the bridge's configuration: small limits, quick audits."""
        more = MORE % self.peer_url + more
        auth = PASSWORD.replace("%s", self.aom.url)
        text = settings_text(self.aom.url, self.folder / "l.db", auth=auth, target=AUDITED, more=more)
        (self.folder / "bridge.yaml").write_text(text.replace('store: {url: "', 'store: {max_open: 8, url: "'))

    def write(self):
        """Write all files: rules with `for` and the longest thresholds shortened, small limits, one token."""
        self.write_settings()
        (self.folder / "web.yml").write_text("bearer_tokens_file: tokens.yml\n")
        (self.folder / "tokens.yml").write_text(f"one: {TOKEN}\n")
        rules = re.sub(r"for: \d+m", "for: 0s", RULES.read_text()).replace("> 300", "> 1")
        rules = rules.replace("(aom_bridge_reconcile_rounds_total[15m])", "(aom_bridge_reconcile_rounds_total[2s])")
        rules = rules.replace(
            '(aom_bridge_audits_total{outcome="complete"}[1h])', '(aom_bridge_audits_total{outcome="complete"}[3s])'
        )
        # Each round's metrics stay until the next one, also of a difference that is mended at once.
        rules = re.sub(r"(alert: AomBridge(?:Differences|RoundsStopped)\n(?:.*\n)*? *for:) 0s", r"\1 3s", rules)
        (self.folder / "rules.yaml").write_text(rules)
        (self.folder / "prometheus.yml").write_text(PROMETHEUS.format(token=TOKEN, port=self.port))

    async def ask(self, path, body=None, token=TOKEN, method="POST"):
        url = f"http://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=body, headers=bearer(token)) as response,
        ):
            return response.status

    async def send(self, *alerts, path="/webhook", **more):
        return await self.ask(path, json.dumps(payload(*alerts, **more)).encode())

    async def fires(self, name, act=None):
        """Do something again and again until the alert fires."""

        async def is_firing():
            if act is not None:
                await act()
            with contextlib.suppress(aiohttp.ClientError):
                self.seen |= await self.firing()
            await asyncio.sleep(0.1)
            return name in self.seen

        await until(is_firing, 60)

    async def is_quiet(self, *names):
        """Wait until none of these alerts fires; a slow machine makes rounds more rarely than these rules expect."""

        async def no_longer_fires():
            return (await self.firing()).isdisjoint(names)

        await until(no_longer_fires, 60)
        self.seen.difference_update(names)

    def active(self):
        return {event["metadata"]["event_name"] for event in self.aom.snapshot()["active"]}

    async def firing(self):
        """Give the names of the alerts that Prometheus fires now."""
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/alerts"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            found = (await response.json())["data"]["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}

    def age(self):
        """Make the alarms of the ledger as old as those that AOM has cleared by age."""
        with contextlib.closing(sqlite3.connect(self.folder / "l.db", timeout=10)) as connection, connection:
            connection.execute("UPDATE alarms SET last_seen = 1, reported_at = 1 WHERE state = 'reported'")

    @contextlib.contextmanager
    def locked(self):
        """Keep the bridge from writing to its ledger."""
        with contextlib.closing(sqlite3.connect(self.folder / "l.db", timeout=10)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                connection.rollback()


@pytest.mark.real
@pytest.mark.timeout(300)
async def test_every_alert_fires_when_its_trouble_is_there(tmp_path):
    """One trouble after the other: Prometheus fires just the alert that tells of it, for each alert that there is."""
    peer = Peer()
    async with cloud(token_ttl_s=600) as aom, serving_routes(*peer.routes()) as peer_url:
        it = Rehearsal(tmp_path, aom, peer, peer_url)
        it.write()
        log = tmp_path / "bridge.log"
        log.write_bytes(b"")
        serve = ["serve", f"--config.file={tmp_path}/bridge.yaml", f"--web.config.file={tmp_path}/web.yml"]
        prometheus = [
            need("prometheus"),
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/tsdb",
            f"--web.listen-address=127.0.0.1:{it.prometheus}",
        ]
        await arm(aom, *NOT_LISTED)
        with started(tmp_path / "prometheus.log", *prometheus):
            with started(log, *bridge_command(*serve, f"--web.listen-address=127.0.0.1:{it.port}")) as bridge:
                await until(lambda: "msg=ready" in bridge.output)
                await provoke(it, bridge)
            await it.fires("AomBridgeDown")
        assert it.seen == {rule["alert"] for rule in ALERTS}


async def provoke(it, bridge):
    """Make every trouble but the bridge's own end."""
    await provoke_an_unreadable_list(it, bridge)
    assert await it.send(alert("A")) == 200
    await until(lambda: len(it.aom.snapshot()["active"]) == 1)
    await it.fires("AomBridgeTokenExpiring")
    await it.fires("AomBridgeInstanceDown")
    assert "AomBridgeDeliveryDelayed" not in it.seen
    await provoke_differences_from_aoms_list(it)
    await provoke_out_of_step(it)
    assert "AomBridgeCanaryFailing" not in it.seen
    it.write_settings("canary: {interval: 1s}\n")
    bridge.process.send_signal(signal.SIGHUP)
    await it.fires("AomBridgeCanaryFailing")
    await it.fires("AomBridgeMappingFallbacks", lambda: it.send(alert("Broken")))
    await it.fires("AomBridgeWebhooksRefused", lambda: it.ask("/webhook", b"{"))
    await it.fires("AomBridgeGuessing", lambda: it.ask("/metrics", token=OTHER, method="GET"))
    await it.fires("AomBridgeAlertsTruncated", lambda: it.send(alert("A"), truncated=3))
    await arm(it.aom, {"on": "report", "poison": "Poison"})
    assert await it.send(alert("Poison")) == 200
    await it.fires("AomBridgeAlarmsRejected")
    await disarm(it.aom)
    await arm(it.aom, {"on": "report", "status": 403})
    assert await it.send(alert("B")) == 200
    await it.fires("AomBridgeTargetForbidden")
    await disarm(it.aom)
    await arm(it.aom, {"on": "report", "status": 503})
    assert await it.send(alert("C")) == 200
    await it.fires("AomBridgeTargetUnavailable")
    await it.fires("AomBridgeDeliveryDelayed")
    await disarm(it.aom)
    await it.fires("AomBridgeLedgerFilling", lambda: it.send(*(alert(f"D{number}") for number in range(1))))
    await it.fires("AomBridgeWebhooksFailing", lambda: it.send(*(alert(f"E{number}") for number in range(9))))
    await provoke_changes_that_wait(it)
    (it.folder / "bridge.yaml").write_text("targets: {}\n")
    bridge.process.send_signal(signal.SIGHUP)
    await it.fires("AomBridgeConfigReloadFailed")
    await until(lambda: len(it.aom.snapshot()["active"]) >= 4)
    await it.fires("AomBridgeAlarmsExpired", lambda: asyncio.to_thread(it.age))


async def provoke_an_unreadable_list(it, bridge):
    """Start where AOM's list may not be read; the target is tried once, so the first of these alerts stays."""
    await until(lambda: "the target does not work" in bridge.output)
    it.seen.discard("AomBridgeTargetDown")  # until that first time no check has worked
    await it.fires("AomBridgeTargetDown")
    await it.fires("AomBridgeAuditsFailing")
    await disarm(it.aom)
    await it.is_quiet("AomBridgeAuditsFailing")


async def provoke_differences_from_aoms_list(it):
    """Let another bridge use the source, and let AOM apply the reports of many alarms once more after their clears."""
    metadata = it.aom.snapshot()["active"][0]["metadata"]
    names = [f"H{number}" for number in range(6)]
    for three in (names[:3], names[3:]):  # more at once would fill the ledger
        alerts = [alert(name) for name in three]
        assert await it.send(*alerts) == 200
        await until(lambda three=three: it.active() >= set(three))
        assert await it.send(*map(resolved, alerts)) == 200
        await until(lambda three=three: it.active().isdisjoint(three))
    assert not it.seen & {"AomBridgeForeignAlarms", "AomBridgeAuditBraked"}
    await put_in(it.aom, reported_again({"metadata": {**metadata, "alert_fingerprint": "0" * 16}}))
    await it.fires("AomBridgeForeignAlarms")
    await put_in(it.aom, *(reported_again(one) for one in it.aom.snapshot()["history"]))
    await it.fires("AomBridgeAuditBraked")


def reported_again(event):
    """Give the report of an alarm that another bridge sends, or that AOM applies late."""
    starts_at = event.get("starts_at", system_clock())
    return {"starts_at": starts_at, "timeout": 86_400_000, "metadata": event["metadata"], "annotations": {}}


async def provoke_out_of_step(it):
    """Lose a webhook, let a peer appear that the bridge does not ask, and keep the ledger from taking changes."""
    it.peer.names = ["Told"]
    assert await it.send(alert("Told"), path="/webhook/compared") == 200
    await until(lambda: "Told" in it.active())
    await it.is_quiet("AomBridgeWebhooksLost")
    it.peer.names.append("Untold")
    await it.fires("AomBridgeWebhooksLost")
    await it.is_quiet("AomBridgeNotCovered")
    it.peer.members.append("unlisted")
    await it.fires("AomBridgeNotCovered")
    it.peer.members.remove("unlisted")
    await it.is_quiet("AomBridgeRoundsStopped")
    with it.locked():
        await it.fires("AomBridgeRoundsStopped")


async def provoke_changes_that_wait(it):
    """Let one alert fire for which the ledger has no room, and then many at once; no webhook tells of them."""
    await it.is_quiet("AomBridgeDifferences", "AomBridgeChangesBraked")
    it.peer.names += ["F0", "F1"]
    await it.fires("AomBridgeDifferences")
    assert "AomBridgeChangesBraked" not in it.seen
    it.peer.names += [f"G{number}" for number in range(6)]
    await it.fires("AomBridgeChangesBraked")


def test_the_rehearsal_knows_every_alert():
    """Each alert has its trouble here, so that each was seen to fire."""
    source = Path(__file__).read_text()
    assert [rule["alert"] for rule in ALERTS if f'"{rule["alert"]}"' not in source] == []
