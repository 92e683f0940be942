"""`aom-bridge healthcheck`: what a container without curl asks its own bridge."""

import asyncio
import socket

import pytest
from bridge_rig import running
from certificates import Authority
from process import bridge_command, free_port, run
from web_clients import guarded

from bridge.cli import healthcheck, main


async def asked(port):
    """Ask from a thread: the bridge under test runs in this loop."""
    return await asyncio.to_thread(healthcheck.ask, "127.0.0.1", port)


async def test_a_running_bridge_is_alive(tmp_path):
    """With plain HTTP its own answer counts; with TLS, also mTLS, that it answers at all."""
    async with running(tmp_path / "l.db") as rig:
        assert await asked(rig.app.port) == (True, f"127.0.0.1:{rig.app.port} answers 200")
    Authority(tmp_path)
    mtls = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
    for more in ("", f", {mtls}"):
        text = f"tls_server_config: {{cert_file: server.pem, key_file: server.key{more}}}\n"
        async with guarded(tmp_path, text) as rig:
            assert await asked(rig.app.port) == (True, f"127.0.0.1:{rig.app.port} is alive, and speaks TLS")


async def test_who_hangs_or_is_not_there_is_not_alive(monkeypatch):
    """A port without a listener, one that never answers, and another status are not alive."""
    port = free_port()
    assert await asked(port) == (False, f"nothing listens on 127.0.0.1:{port}")
    with (
        monkeypatch.context() as impatient,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        impatient.setattr(healthcheck, "_SECONDS", 0.2)  # the kernel accepts the connection, and no answer comes
        port = silent.getsockname()[1]
        assert await asked(port) == (False, f"127.0.0.1:{port} does not answer within 0.2 s")

    async def broken(_reader, writer):
        writer.write(b"HTTP/1.1 500 Oops\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await asked(port) == (False, f"127.0.0.1:{port} answers 500")


@pytest.mark.real
async def test_the_exit_code_says_it():
    """0 for alive, 1 for not."""
    code, out, _ = await run(*bridge_command("healthcheck", f"127.0.0.1:{free_port()}"))
    assert code == 1
    assert "nothing listens" in out


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://127.0.0.1:1/", "127.0.0.1:1"),
        ("https://127.0.0.1", "127.0.0.1:443"),
        ("http://[::1]", "::1:80"),
        ("http://[::1]:1", "::1:1"),
    ],
)
def test_a_url_names_the_bridge_as_well(monkeypatch, capsys, url, location):
    """What $AOM_BRIDGE_URL holds may be written as the address."""
    monkeypatch.setattr(healthcheck, "ask", lambda host, port: (True, f"{host}:{port}"))
    assert main(["healthcheck", url]) == 0
    assert capsys.readouterr().out == f"{location}\n"
