"""What the bridge says to others: TLS verified always, no redirects, no metadata service, no secret anywhere."""

import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aom_client import PASSWORD, client
from certificates import Authority
from http_server import serving_routes
from paths import ROOT
from process import serving
from proxies import tls_in_front_of
from waiting import until
from web_clients import HASHES, TOKEN, basic
from webhooks import alert, payload

from bridge.aom import AomClient
from bridge.config import load
from bridge.emulator import Emulator, Options

SECRETS = {
    "AOM_TOKEN": "s3cret-token-of-aom",
    "IAM_PASSWORD": "s3cret-password-of-iam",
    "SECRET_KEY": "s3cret-key-of-aksk",
    "PROXY_PASSWORD": "s3cret-of-the-proxy",
}


class Recorder:
    """Notes what it is asked, and answers with a redirect to elsewhere."""

    def __init__(self, location=""):
        self.location = location
        self.asked = []

    async def answer(self, request):
        self.asked.append((request.method, request.path, dict(request.headers)))
        return web.Response(status=307, headers={"Location": self.location}) if self.location else web.Response()

    def routes(self):
        return [web.route("*", "/{any:.*}", self.answer)]


async def go_to(it, url):
    """Let a client speak to another AOM."""
    await it.client.stop()
    it.client = AomClient("t", replace(it.client._settings, endpoint=url), it.clients_clock, 10_000)
    await it.client.start()


@pytest.mark.parametrize("where", ["aom", "iam"])
async def test_no_redirect_is_followed_with_credentials(where):
    """AOM or IAM answering with a redirect is a fault; what is at its end never sees a token or a password."""
    end = Recorder()
    async with serving_routes(*end.routes()) as elsewhere:
        redirect = Recorder(f"{elsewhere}/v3/auth/tokens")
        async with serving_routes(*redirect.routes()) as url:
            auth = PASSWORD.replace("'%s'", url) if where == "iam" else "{token: {value: t}}"
            async with client(auth=auth, target="rate_limit: 1000") as it:
                if where == "aom":
                    await go_to(it, url)
                outcome = await it.push()
        assert not outcome.accepted
        assert redirect.asked
        assert end.asked == []


@pytest.mark.slow
async def test_a_server_that_nobody_vouches_for_gets_nothing(tmp_path):
    """Without the CA of AOM's certificate nothing is sent; with it, and another name in the certificate, neither."""
    emulator = Emulator(Options(port=0))
    await emulator.start()
    try:
        for name, ca in (("localhost", False), ("aom.example", True)):
            async with (
                tls_in_front_of(int(emulator.url.rpartition(":")[2]), tmp_path, name) as (port, ca_file),
                client(auth="{token: {value: emulator-token}}", target=f"ca_file: {ca_file}" if ca else "") as it,
            ):
                await go_to(it, f"https://localhost:{port}")
                outcome = await it.push()
                assert not outcome.accepted
                assert "certificate" in outcome.detail.lower()
        assert emulator.snapshot()["counts"].get("report", 0) == 0
    finally:
        await emulator.stop()


def test_there_is_no_switch_that_turns_verification_off():
    """No setting and no option names such a thing, and the code sets none of Python's switches for it."""
    switches = re.compile(r"CERT_NONE|check_hostname|_create_unverified|verify=False|insecure|ssl=False")
    files = sorted((ROOT / "bridge").rglob("*.py"))
    assert [file.name for file in files if switches.search(file.read_text())] == []


async def test_only_the_sdks_chain_asks_the_hosts_metadata(monkeypatch):
    """With a token of one's own nothing looks for the metadata service of the host."""
    from huaweicloudsdkcore.auth.internal import MetadataAccessor  # noqa: PLC0415 - as costly as in the bridge

    seen = Recorder()
    async with serving_routes(*seen.routes()) as url:
        monkeypatch.setattr(MetadataAccessor, "_METADATA_ENDPOINT", url)
        for auth in ("{token: {value: emulator-token}}", "{aksk: {access_key: emulator-ak, secret_key: emulator-sk}}"):
            async with client(auth=auth) as it:
                await it.push()
        assert seen.asked == []
        async with client(auth="{sdk: {}}") as it:
            await it.push()
        assert seen.asked != []


CONFIG = """
near: {{endpoint: '{aom}', project_id: p2, auth: {{aksk: {{access_key: a, secret_key: '${{SECRET_KEY}}'}}}}}}
  user:
    endpoint: '{aom}'
    project_id: p3
    auth: {{password: {{domain: d, user: u, password: '${{IAM_PASSWORD}}', iam_endpoint: '{aom}'}}}}
  far:
    endpoint: https://127.0.0.1:9
    project_id: p4
    auth: {{token: {{value: s3cret-in-the-file}}}}
    proxy_url: 'http://proxy:${{PROXY_PASSWORD}}@127.0.0.1:9'
"""
RULES = (
    "mapping: {rules: ["
    + ", ".join(f"{{name: {t}, match: [alertname={t}], target: {t}}}" for t in ("near", "user", "far"))
    + "]}"
)


@pytest.mark.real
async def test_no_secret_shows_anywhere(tmp_path):
    """With every credential wrong and every line logged: no log, page, metric, answer or process list shows one."""
    Authority(tmp_path)
    key = (tmp_path / "server.key").read_text().splitlines()[1]
    hashes = "\n".join(HASHES)
    (tmp_path / "web.yml").write_text(
        f"tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users:\n{hashes}\n"
        "bearer_tokens_file: tokens.yml\nrights: {oncall: [webhook, status, admin]}\n"
    )
    (tmp_path / "tokens.yml").write_text(f"robot: {TOKEN}\n")
    emulator = Emulator(Options(port=0))
    await emulator.start()
    shown = []
    try:
        async with (
            serving(
                tmp_path,
                emulator.url,
                arguments=[f"--web.config.file={tmp_path}/web.yml", "--log.level=debug"],
                env={**os.environ, **SECRETS},
                auth="{token: {value: '${AOM_TOKEN}'}}",
                others=CONFIG.format(aom=emulator.url).strip(),
                more=RULES,
            ) as (process, url),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=Authority.trusting(tmp_path))) as session,
        ):

            async def ask(method, path, headers, **more):
                async with session.request(method, url + path, headers=headers, **more) as response:
                    shown.append(await response.text() + repr(response.headers))
                    return response.status

            good = basic("oncall", "night")
            many = payload(*(alert(name) for name in ("near", "user", "far", "other")))
            assert await ask("POST", "/webhook", {"Authorization": f"Bearer {TOKEN}"}, json=many) == 200
            assert await ask("GET", "/metrics", basic("oncall", "s3cret-guess")) == 401
            assert await ask("GET", "/metrics", {"Authorization": "Bearer s3cret-guess-of-a-token"}) == 401

            await until(lambda: process.output.count("unauthorized") >= 2)
            for path in ("/", "/metrics", "/api/v1/alarms", "/api/v1/status/config", "/-/ready", "/nothing"):
                await ask("GET", path, good)
            (tmp_path / "bridge.yaml").write_text("targets: {default: {auth: s3cret-misplaced, project_id: [x]}}\n")
            (tmp_path / "tokens.yml").write_text("robot: s3cret-%-token\n")
            assert await ask("POST", "/-/reload", good) == 500
            os.kill(process.process.pid, signal.SIGHUP)
            await until(lambda: process.output.count("not reloaded") >= 4)
            about = Path("/proc") / str(process.process.pid)
            shown.append((about / "cmdline").read_text())
            limits = (about / "limits").read_text().splitlines()
            assert [line.split()[4] for line in limits if line.startswith("Max core file size")] == ["0"]
        everything = "\n".join([process.output, *shown])
    finally:
        await emulator.stop()
    assert "project_id" in everything
    for secret in ("s3cret", "night", TOKEN, key, *(line.split()[1] for line in HASHES)):
        assert secret not in everything, secret


def test_the_configuration_is_shown_without_its_secrets():
    """What `/api/v1/status/config` shows: variables by name; secrets, and addresses that may hold one, as <secret>."""
    text = """
targets:
  default: {region: cn-north-4, project_id: '${P}', auth: {token: {value: s3cret}}, proxy_url: 'http://u:s3cret@x:1'}
store: {url: 'postgresql://bridge:s3cr:et/@host/db'}  # s3cret
"""
    shown = load("f.yaml", {"P": "s3cret"}, raw=text.encode()).shown.yaml
    assert "s3cr" not in shown
    assert shown.count("<secret>") == 3
    assert "${P}" in shown
    near = (
        "targets: {d: {endpoint: 'https://u:s3cret@x', project_id: p, auth: {sdk: {}}}}\nstore: {url: 'sqlite:///l.db'}"
    )
    shown = load("f.yaml", {}, raw=near.encode()).shown.yaml
    assert "s3cret" not in shown
    assert "sqlite:///l.db" in shown


async def test_clear_text_to_elsewhere_is_warned_of():
    """An address with http:// that leaves this machine is doubtful; loopback is the emulator's."""
    text = "targets: {{default: {{endpoint: '{}', project_id: p, auth: {{token: {{value: x}}}}}}}}"
    for url, count in (("http://aom.example", 1), ("https://aom.example", 0), ("http://127.0.0.1:1", 0)):
        loaded = load("f.yaml", {}, raw=text.format(url).encode())
        assert [problem.path for problem in loaded.doubts] == ["targets.default.endpoint"] * count
