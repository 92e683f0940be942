"""An address on the command line that gives no answer: what is wrong, and a fix that this command can follow."""

import asyncio
import urllib.request

import pytest
from aiohttp import web
from command_line import command
from http_server import serving_routes
from proxies import tls_in_front_of

WAYS = {
    "alarms": ["alarms", "list", "--url={url}"],
    "status": ["status", "--url={url}"],
    "check-alertmanager": ["check-alertmanager", "{url}"],
    "map": ["map", "--config.file={folder}/bridge.yaml", "--from", "{url}"],
}


@pytest.fixture(params=WAYS)
def asked(request, tmp_path, monkeypatch):
    """Ask an address by one of the commands that take one; give what is complained of."""
    monkeypatch.delenv("AOM_BRIDGE_URL", raising=False)
    (tmp_path / "bridge.yaml").write_text("mapping: {}\n")

    async def said(url):
        code, _, err = await command(*(word.format(url=url, folder=tmp_path) for word in WAYS[request.param]))
        assert (code, "proxy_url" in err) == (2, False)
        assert "HTTP_PROXY" not in err or request.param in ("alarms", "status")
        return err

    return said


async def test_http_at_a_port_with_tls_is_answered_with_https(asked, tmp_path):
    """The server hangs up without a word, so the fix names the address that would work."""
    async with serving_routes() as url, tls_in_front_of(int(url.rpartition(":")[2]), tmp_path) as (port, _):
        said = await asked(f"http://127.0.0.1:{port}")
    assert "if that port uses TLS, begin the address with https://" in said


async def test_https_at_a_port_without_tls_is_answered_with_http(asked):
    """The address stands in the text, and the fix names the one that would work."""
    async with serving_routes() as url:
        said = await asked(url.replace("http", "https"))
    assert f"{url[7:]} does not use TLS. Fix: correct the port, or begin the address with http://" in said


async def test_a_port_where_nothing_listens_is_told(asked):
    """With no setting that the command would not read."""
    assert "is refused. Fix: correct host and port" in await asked("http://127.0.0.1:1")


async def test_an_answer_that_is_no_http_is_told():
    """It is an error in one sentence, and no traceback."""

    async def answer(reader, writer):
        await reader.readline()
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        code, _, err = await command("status", f"--url=http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (code, err.count("\n")) == (2, 1)
    assert "it is no answer of aom-bridge: SSH-2.0-OpenSSH_9.6" in err


async def test_a_proxy_is_named_by_the_variable_that_the_command_honours(monkeypatch):
    """Through what HTTP_PROXY names, `--url` is asked; the fix of a refused connection names it."""
    _, _, err = await command("status", "--url=http://127.0.0.1:1")
    assert "; if a proxy is needed, set HTTP_PROXY." in err
    seen = []

    async def answer(request):
        seen.append(str(request.url))
        return web.json_response({"data": []})

    async with serving_routes(web.get("/{path:.*}", answer)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the environment of this process's first request
        assert (await command("alarms", "list", "--url=http://aom-bridge.example"))[0] == 0
    assert seen[0].startswith("http://aom-bridge.example/api/v1/alarms")
