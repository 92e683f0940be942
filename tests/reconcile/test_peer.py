"""Asking a peer over HTTP: which answers count, what is sent with each request, and how a failure is worded."""

import asyncio
import contextlib
import json
import re
import ssl

import pytest
from aiohttp import web
from certificates import Authority
from http_server import serving_routes

from bridge.clock import system_clock
from bridge.reconcile.peer import Address, PeerClient, PeerError, Wanted
from bridge.reconcile.settings import AlertmanagerSettings, AuthorizationSettings, BasicAuthSettings, TlsConfigSettings
from bridge.typed_yaml.secret import Secret

STATUS = {
    "cluster": {"name": "one", "status": "ready", "peers": [{"name": "one", "address": "10.0.0.1:9094"}]},
    "config": {"original": ""},
    "uptime": "2026-11-27T04:00:00.123Z",
}
ALERT = {
    "annotations": {"summary": "s"},
    "endsAt": "2026-11-27T04:04:00.000Z",
    "fingerprint": "false",
    "receivers": [{"name": "aom"}],
    "startsAt": "2026-11-27T03:00:00.500Z",
    "status": {"inhibitedBy": [], "silencedBy": [], "state": "active"},
    "updatedAt": "2026-11-27T04:00:00.000Z",
    "generatorURL": "",
    "labels": {"alertname": "A"},
}


class Alertmanager:
    """A peer's API on loopback; each test sets its answers."""

    def __init__(self):
        self.statuses = [STATUS]
        self.alerts = web.json_response([ALERT])
        self.requests = []

    def routes(self, prefix=""):
        return [
            web.get(prefix + "/api/v2/status", self._status),
            web.get(prefix + "/api/v2/alerts", self._alerts),
        ]

    async def _status(self, request):
        self.requests.append(request)
        return web.json_response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    async def _alerts(self, request):
        self.requests.append(request)
        return self.alerts if isinstance(self.alerts, web.Response) else await self.alerts(request)


@contextlib.asynccontextmanager
async def client(**settings):
    """Give a client with some settings."""
    one = PeerClient(AlertmanagerSettings(urls=("http://unused",), **settings), system_clock)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


async def ask(peer, *, prefix="", known=(), **settings):
    """Ask a peer once."""
    async with serving_routes(*peer.routes(prefix)) as url, client(**settings) as one:
        return await one.ask(Address(url + prefix), Wanted(known))


async def refusal(peer, **more):
    """Give why a peer's answer does not count."""
    with pytest.raises(PeerError) as error:
        await ask(peer, **more)
    return str(error.value)


async def test_a_peer_is_asked_for_its_status_its_list_and_its_status_again():
    """Over one connection; the answer has the time of its own clock."""
    peer = Alertmanager()
    answer = await ask(peer)
    assert [request.path for request in peer.requests] == ["/api/v2/status", "/api/v2/alerts", "/api/v2/status"]
    assert len({request.transport for request in peer.requests}) == 1
    assert (answer.status.name, [alert.labels for alert in answer.alerts.values()]) == ("one", [{"alertname": "A"}])
    assert abs(answer.skew) < 5_000


async def test_labels_of_alerts_that_are_known_are_not_kept():
    """They are most of the memory, and the ledger has them."""
    (own,) = (await ask(Alertmanager())).alerts
    answer = await ask(Alertmanager(), known={own})
    assert (answer.alerts[own].labels, answer.alerts[own].annotations) == ({}, {})


async def test_a_base_path_and_the_headers_of_the_settings_are_used(tmp_path):
    """Route prefix, credentials by value and by file, and a tenant's header."""
    (tmp_path / "password").write_text("amongus\n")
    peer = Alertmanager()
    await ask(
        peer,
        prefix="/alertmanager",
        basic_auth=BasicAuthSettings(username="b", password_file=tmp_path / "password"),
        headers={"X-Scope-OrgID": Secret("tenant")},
    )
    assert {request.headers["Authorization"] for request in peer.requests} == {"Basic YjphbW9uZ3Vz"}
    assert {request.headers["X-Scope-OrgID"] for request in peer.requests} == {"tenant"}
    peer = Alertmanager()
    await ask(peer, authorization=AuthorizationSettings(type="Token", credentials=Secret("t0p")))
    assert {request.headers["Authorization"] for request in peer.requests} == {"Token t0p"}


async def test_mimir_is_asked_for_its_list_alone():
    """Its status comes from any replica."""
    peer = Alertmanager()
    answer = await ask(peer, kind="mimir")
    assert [request.path for request in peer.requests] == ["/api/v2/alerts"]
    assert answer.status is None


@pytest.mark.parametrize("change", [{"name": "two"}, {"status": "settling"}])
async def test_an_answer_of_two_processes_does_not_count(change):
    """A restart in the middle of the round, or a load balancer."""
    peer = Alertmanager()
    peer.statuses = [STATUS, {**STATUS, "cluster": {**STATUS["cluster"], **change}}]
    assert "another process answered" in await refusal(peer)


async def test_a_peer_that_gathers_its_cluster_does_not_count():
    """It serves its empty list with 200 meanwhile."""
    peer = Alertmanager()
    peer.statuses = [{**STATUS, "cluster": {"name": "one", "status": "settling", "peers": []}}]
    assert "still gathering" in await refusal(peer)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (web.Response(status=503, text="Limit of concurrent GET requests reached (8)"), "503: Limit of concurrent"),
        (web.Response(status=401), r"refuses the credentials \(401\). Fix: correct basic_auth"),
        (web.Response(status=404, text="404 page not found"), r"no API v2 at this address \(404\). Fix: the base URL"),
        (web.Response(status=302, headers={"Location": "http://else.example"}), r"elsewhere \(302\). Fix: the address"),
        (web.Response(text="<html>login</html>", content_type="text/html"), "no list of alerts.*<html>login"),
        (web.json_response({"alerts": []}), "no list of alerts"),
        (web.json_response([{**ALERT, "labels": None}]), "no list of alerts"),
        (web.json_response(None), "no list of alerts"),
    ],
)
async def test_an_answer_that_is_no_list_says_what_it_is(answer, text):
    """Each with the fix, where there is one; none of them looks like an empty list."""
    peer = Alertmanager()
    peer.alerts = answer
    assert re.search(text, await refusal(peer))


async def test_a_list_that_is_cut_does_not_count():
    """The connection ends before the body does."""
    peer = Alertmanager()

    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(json.dumps([ALERT]).encode()[:100])
        request.transport.close()
        return response

    peer.alerts = cut
    assert "closed within the answer" in await refusal(peer)


async def test_a_list_that_is_too_long_is_not_read_to_its_end(monkeypatch):
    """Whatever answers there, it does not fill the memory."""
    monkeypatch.setattr("bridge.reconcile.peer.MAX_BODY_BYTES", 10)
    assert "longer than" in await refusal(Alertmanager())


async def test_a_peer_that_stands_still_is_given_up(monkeypatch):
    """Soon for its status, later for its list; the other peers' answers wait for it."""
    monkeypatch.setattr("bridge.reconcile.peer._STATUS_SECONDS", 0.05)
    peer = Alertmanager()

    async def never(_request):
        await asyncio.sleep(1)

    peer._status = never
    assert "in time" in await refusal(peer)


async def test_a_secret_that_cannot_be_read_names_its_file(tmp_path):
    """The fix is in the file, not in Alertmanager."""
    missing = AuthorizationSettings(credentials_file=tmp_path / "gone")
    text = await refusal(Alertmanager(), authorization=missing)
    assert text.startswith("authorization.credentials: ")
    assert "it is not there" in text


async def test_tls_is_checked_against_the_name_and_its_files_are_read_again(tmp_path):
    """One address of several has the certificate of the name; a rotated CA is used from the next request on."""
    Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(str(tmp_path / "server.pem"), str(tmp_path / "server.key"))
    peer = Alertmanager()
    application = web.Application()
    application.add_routes(peer.routes())
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    ca_file = tmp_path / "used.pem"
    Authority(wrong)
    ca_file.write_bytes((wrong / "ca.pem").read_bytes())
    try:
        async with client(tls_config=TlsConfigSettings(ca_file=ca_file)) as one:
            with pytest.raises(PeerError, match="not signed by a trusted CA"):
                await one.ask(Address(url, "localhost:9093"), Wanted())
            ca_file.write_bytes((tmp_path / "ca.pem").read_bytes())
            answer = await one.ask(Address(url, "localhost:9093"), Wanted())
            assert answer.status.name == "one"
            assert peer.requests[-1].headers["Host"] == "localhost:9093"
            with pytest.raises(PeerError, match="is for another name"):
                await one.ask(Address(url, "other.example:9093"), Wanted())
    finally:
        await runner.cleanup()
