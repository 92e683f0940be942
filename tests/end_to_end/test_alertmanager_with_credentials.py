"""The real Alertmanager at a guarded bridge: with a password, a token, TLS and mTLS, while certificates are changed."""

import asyncio
import ssl

import aiohttp
import pytest
from certificates import Authority
from many_alerts import alertmanager, failures, storm_during
from process import serving
from waiting import until
from web_clients import TOKEN, basic, hashed

pytestmark = pytest.mark.real

USERS = f"basic_auth_users: {{alertmanager: '{hashed('am')}', prometheus: '{hashed('prom')}'}}\n"
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key%s}\n"
MTLS = TLS % ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
BASIC = "basic_auth: {username: alertmanager, password: am}"
WAYS = {
    "basic": (USERS, f"{{{BASIC}}}"),
    "bearer": (f"bearer_tokens_file: tokens.yml\n{USERS}", f"{{authorization: {{credentials: {TOKEN}}}}}"),
    "TLS": (TLS % "" + USERS, f"{{{BASIC}, tls_config: {{ca_file: %s/ca.pem}}}}"),
    "mTLS": (MTLS, "{tls_config: {ca_file: %s/ca.pem, cert_file: %s/client.pem, key_file: %s/client.key}}"),
}


@pytest.mark.parametrize("way", WAYS)
async def test_alertmanager_delivers_while_certificates_change(tmp_path, aom, way):
    """In a storm of one group for each alert, through two changes of the certificate, no webhook is refused."""
    authority = Authority(tmp_path)
    authority.client_files("alertmanager")
    text, http = WAYS[way]
    web = tmp_path / "web.yml"
    web.write_text(text)
    (tmp_path / "tokens.yml").write_text(f"robot: {TOKEN}\n")
    arguments = [f"--web.config.file={web}"]
    async with (
        serving(tmp_path, aom.url, arguments=arguments, target="rate_limit: 1000") as (process, url),
        alertmanager(tmp_path / "am", url, "['...']", http.replace("%s", str(tmp_path))) as manager,
    ):

        def reloads():
            return process.output.count("web configuration reloaded")

        async def change():
            for number in range(2):
                authority.issue()
                web.write_text(f"{text}# {number}\n")
                await until(lambda: reloads() > number)  # noqa: B023 - it is waited for here

        await storm_during(asyncio.create_task(change()), manager, aom)
        assert await failures(manager) == [0, 0]
        assert await answers(url, authority) == {"200"}


async def answers(url, authority):
    """Give the codes that webhooks were answered with."""
    context = authority.client("prometheus") if url.startswith("https") else None
    headers = basic("prometheus", "prom")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/metrics", headers=headers, ssl=context or ssl.create_default_context()) as response,
    ):
        assert response.status == 200
        lines = (await response.text()).splitlines()
    name = 'aom_bridge_webhook_requests_total{code="'
    return {line.split('"')[1] for line in lines if line.startswith(name) and not line.endswith(" 0.0")}
