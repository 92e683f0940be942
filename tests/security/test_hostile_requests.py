"""Whatever is thrown at the server over real sockets: the right answer, bounded memory, and all others are served."""

import asyncio
import contextlib
import gzip
import json
import os
import re
import resource
import socket
import ssl
import zlib
from pathlib import Path

import pytest
from bridge_rig import running
from certificates import Authority
from process import serving
from waiting import PATIENCE, until
from web_clients import TOKEN, guarded
from webhooks import alert, payload

pytestmark = pytest.mark.slow

GOOD = json.dumps(payload(alert())).encode()
HOST = b"Host: localhost\r\n"
POST = b"POST /webhook HTTP/1.1\r\n" + HOST
SMUGGLED = b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD)


async def talk(port, *parts, limit=PATIENCE, **options):
    """Send bytes on a new connection; give all that comes back until the server closes or a while has passed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20, **options)
    got = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(limit):
            for part in parts:
                writer.write(part)
                await writer.drain()
            while more := await reader.read(1 << 16):
                got += more
    writer.close()
    return got


def statuses(answer):
    """Give the codes of all answers in what came back."""
    return [int(code) for code in re.findall(rb"HTTP/[0-9.]+ ([0-9]{3}) ", answer)]


async def is_cut_off(port, raw):
    """Say whether the server closes by itself, without an answer, while these bytes come one by one, or after them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def drip():
        for byte in raw:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE) == b""
    except ConnectionResetError:  # a byte was under way when the server closed
        return True
    finally:
        dripping.cancel()
        writer.close()


async def is_served(port):
    """Say whether another client gets its answer."""
    answer = await talk(port, b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return statuses(answer) == [200]


SMUGGLING = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 6\r\n\r\n",
    "the same length twice": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 0, 0\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a hexadecimal length": POST + b"Content-Length: 0x0\r\n\r\n",
    "a length without end": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked is not the last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked with a letter": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 0\r\n\r\n",
    "a folded line": POST + b"Content-Length:\r\n 0\r\n\r\n",
    "bare line feeds": (POST + b"Content-Length: 0\r\n\r\n").replace(b"\r\n", b"\n"),
    "a bare carriage return": b"POST /webhook HTTP/1.1\r\nHost: x\rContent-Length: 0\r\n\r\n",
    "NUL in a header": POST + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a chunk size with 0x": POST + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a chunk size without end": POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n\r\n",
    "a negative chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk extension with a line feed": POST + b"Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
    "no host": b"POST /webhook HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": POST + b"Host: y\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("head", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_no_request_hides_behind_another(rig, head):
    """What two servers could read differently is refused with 400, and what stands behind it is never looked at."""
    answer = await talk(rig.app.port, head + SMUGGLED)
    assert statuses(answer) == [400]
    assert sum(rig.app.ledger.counts().values()) == 0
    assert await is_served(rig.app.port)


ODD = {
    "HTTP/0.9": (b"GET /\r\n\r\n", [505]),
    "HTTP/1.0": (b"GET /-/healthy HTTP/1.0\r\n\r\n", [200]),
    "HTTP/1.9": (b"GET /-/healthy HTTP/1.9\r\nHost: localhost\r\n\r\n", [400]),
    "HTTP/2.0": (b"GET /-/healthy HTTP/2.0\r\nHost: localhost\r\n\r\n", [505]),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "TLS": (bytes.fromhex("16030100c8010000c40303") + bytes(200), [400]),
    "bytes": (bytes(range(256)) + b"\r\n\r\n", [400]),
    "an unknown method": (b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "a method in small letters": (b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "TRACE": (b"TRACE /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [405]),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [404]),
    "GET at the webhook": (b"GET /webhook HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [405]),
    "DELETE at an alarm": (b"DELETE /api/v1/alarms/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [405]),
    "an upgrade": (
        b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
        [200],
    ),
    "an unknown expectation": (POST + b"Expect: tea\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", [417]),
    "a long path": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "a long header": (POST + b"X: " + b"a" * 9_000 + b"\r\n\r\n", [400]),
    "a header without end": (POST + b"X: " + b"a" * 3_000_000, [400]),
    "many headers": (POST + b"X: a\r\n" * 500 + b"\r\n", [400]),
    "headers without end": (POST + b"X: a\r\n" * 300_000, [400]),
}


@pytest.mark.parametrize(("raw", "expected"), ODD.values(), ids=ODD.keys())
async def test_odd_requests_get_their_answer(rig, raw, expected):
    """Other versions, methods and lengths than we speak are answered by their code, and the next client is served."""
    assert statuses(await talk(rig.app.port, raw)) == expected
    assert await is_served(rig.app.port)


PATHS = [
    "/webhook/../metrics",
    "/webhook/..%2fmetrics",
    "/%2e%2e/metrics",
    "//metrics",
    "/metrics/",
    "/metrics%00",
    "/metrics;x",
    "/./metrics",
    "/METRICS",
    "/-/healthy/../../metrics",
    "/-%2fhealthy/../metrics",
    "http://127.0.0.1/metrics",
    "/metrics?x=/-/healthy",
    "/metrics#/-/healthy",
    "/api/v1/alarms/%zz",
    "/api/v1/alarms/..",
    "/webhook/default/../../api/v1/alarms",
    "\\metrics",
    "/" + "%2f" * 1_000,
]


@pytest.mark.parametrize("path", PATHS)
async def test_no_path_leads_past_the_guard(tmp_path, path):
    """However a path is written, nothing but the probes answers without credentials."""
    async with guarded(tmp_path, tokens=f"one: {TOKEN}\n") as rig:
        for method in ("GET", "POST"):
            request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            (status,) = statuses(await talk(rig.app.port, request.encode()))
            assert status in (400, 401, 404, 405)


async def test_http_1_0_delivers_too(rig):
    """A webhook by HTTP/1.0 is kept, and the connection ends with its answer."""
    head = b"POST /webhook HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(GOOD)
    assert statuses(await talk(rig.app.port, head + GOOD)) == [200]
    assert sum(rig.app.ledger.counts().values()) == 1


async def test_pipelined_requests_are_answered_in_order(rig):
    """A thousand requests in one write get a thousand answers."""
    one = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert statuses(await talk(rig.app.port, one * 999 + last)) == [200] * 999 + [404]


async def test_headers_that_do_not_come_end_the_connection(tmp_path, monkeypatch):
    """Who sends its headers byte by byte, or nothing, is cut off; with TLS also in the midst of the handshake."""
    monkeypatch.setattr("bridge.web.listener.KEEPALIVE_SECONDS", 0.5)
    monkeypatch.setattr("bridge.web.listener.HANDSHAKE_SECONDS", 0.5)
    async with running(tmp_path / "l.db") as rig:
        assert await is_cut_off(rig.app.port, POST * 10)
        assert await is_cut_off(rig.app.port, b"")
    Authority(tmp_path)
    async with guarded(tmp_path, "tls_server_config: {cert_file: server.pem, key_file: server.key}\n") as rig:
        assert await is_cut_off(rig.app.port, b"\x16\x03")


BOMBS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "gzip, gzip": lambda raw: gzip.compress(gzip.compress(raw)),
}


@pytest.mark.real
@pytest.mark.parametrize("coding", BOMBS)
async def test_a_compressed_bomb_costs_its_limit_and_no_more(tmp_path, coding):
    """A small body that unpacks to 500 MB is answered by its code; the memory stays bounded, and others are served."""
    bomb = BOMBS[coding](bytes(500_000_000))
    async with serving(tmp_path, "http://127.0.0.1:9", more="web: {max_body: 8MiB, max_body_in_flight: 16MiB}") as (
        process,
        url,
    ):
        port = int(url.rpartition(":")[2])
        head = f"Content-Encoding: {coding}\r\nConnection: close\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
        before = resident(process.process.pid)
        (status,) = statuses(await talk(port, POST + head + bomb))
        assert status in (400, 413)
        assert await is_served(port)
        assert resident(process.process.pid, "VmHWM") - before < 100 << 20


async def test_chunks_without_end_are_cut_off(tmp_path):
    """A body that never ends is answered 413 at the limit; what came before it is not kept in memory."""
    async with running(tmp_path / "l.db", more="web: {max_body: 1MiB, max_body_in_flight: 4MiB}") as rig:
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        answer = await talk(rig.app.port, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 100, limit=5)
        assert statuses(answer)[:1] in ([413], [])  # an answer can be lost when the sender still sends

        async def is_cut():
            return await rig.metric("aom_bridge_webhook_requests_total", code="413") == 1

        await until(is_cut)
        assert await is_served(rig.app.port)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"version":"4","alerts":' + b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b"[" * 5_000_000, 400),
        (GOOD.replace(b'"version": "4"', b'"version": "3", "version": "4"'), 200),
        (GOOD.replace(b'"alerts": [', b'"alerts": [], "alerts": ['), 200),
        (GOOD.replace(b'"truncatedAlerts": 0', b'"truncatedAlerts": ' + b"9" * 100_000), 400),
        (GOOD.replace(b'"truncatedAlerts": 0', b'"truncatedAlerts": NaN'), 400),
        (GOOD.replace(b'"truncatedAlerts": 0', b'"truncatedAlerts": -1e400'), 400),
        (b"\xef\xbb\xbf" + GOOD, 200),
        (GOOD.decode().encode("utf-16"), 400),
        (b'"' + b"\\ud800" * 10 + b'"', 400),
    ],
)
async def test_hostile_json_is_one_answer(rig, body, status):
    """Deep nesting, huge numbers and other encodings are 400; of duplicate keys the last one counts, as in Go."""
    assert (await rig.post(body))[0] == status
    assert await is_served(rig.app.port)


@pytest.mark.real
async def test_a_malformed_request_leaves_no_secret_in_the_log(tmp_path):
    """What a sender got wrong is one line without what it sent, and a flood of it is a few lines."""
    async with serving(tmp_path, "http://127.0.0.1:9") as (process, url):
        port = int(url.rpartition(":")[2])
        for _ in range(50):
            await talk(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cr3t-\x01token\r\n\r\n")
        assert "malformed HTTP request" in process.output
        assert "s3cr3t" not in process.output
        assert "Traceback" not in process.output
        assert process.output.count("\n") < 20


@pytest.mark.real
async def test_a_flood_of_wrong_requests_is_a_few_lines(tmp_path):
    """Wrong paths, sources and payloads by the hundred leave a few lines for each peer; all are counted."""
    async with serving(tmp_path, "http://127.0.0.1:9") as (process, url):
        port = int(url.rpartition(":")[2])
        for path, body in (("/x", b""), ("/webhook/nobody", b"{}"), ("/webhook", b"{")):
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            await talk(port, (head + body) * 99 + (head + body).replace(b"Host", b"Connection: close\r\nHost"))
        assert process.output.count("\n") < 50


async def test_who_reads_no_answer_is_cut_off(tmp_path, monkeypatch):
    """A client that never reads what it asked for holds its memory for a while only."""
    monkeypatch.setattr("bridge.web.listener._UNREAD_SECONDS", 1)
    async with running(tmp_path / "l.db") as rig:
        await rig.send(*(alert(f"A{i}", annotations={"text": "x" * 5_000}) for i in range(1_000)))
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", rig.app.port))
            client.sendall(b"GET /api/v1/alarms HTTP/1.1\r\nHost: localhost\r\n\r\n")
            server = rig.app._web._main._socket.runner.server
            await until(
                lambda: any(one.transport and one.transport.get_write_buffer_size() for one in server.connections)
            )
            await until(lambda: not server.connections, limit=60)


def resident(pid, what="VmRSS"):
    """Give a process's memory in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


IDLE = 10_000


@pytest.mark.real
async def test_ten_thousand_idle_connections_hold_up_nobody(tmp_path):
    """With 10,000 connections that say nothing, or half a request, others are served at once, in bounded memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(IDLE, hard - 500)
    assert count == IDLE or not os.environ.get("CI")
    async with serving(tmp_path, "http://127.0.0.1:9") as (process, url):
        port = int(url.rpartition(":")[2])
        before = resident(process.process.pid)
        writers = []
        for begin in range(0, count, 500):
            some = range(begin, begin + 500)
            writers += [writer for _, writer in await asyncio.gather(*(opened(port, number) for number in some))]
        assert await is_served(port)
        answer = await talk(port, POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
        assert statuses(answer) == [200]
        assert resident(process.process.pid) - before < count * 32_768
        for writer in writers:
            writer.close()
        await until(lambda: is_served(port))


async def opened(port, number):
    """Open a connection that says nothing, or half a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if number % 2:
        writer.write(POST)
    return reader, writer


async def test_what_the_handshake_refuses_holds_up_nobody(tmp_path):
    """Bytes that are no TLS at a TLS port end the connection only, and the log has no traceback of it."""
    authority = Authority(tmp_path)
    async with guarded(tmp_path, "tls_server_config: {cert_file: server.pem, key_file: server.key}\n") as rig:
        for raw in (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            bytes(1_000),
            b"\x16\x03\x01\xff\xff" + bytes(70_000),
        ):
            await talk(rig.app.port, raw)
        close = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        with contextlib.suppress(ssl.SSLError):
            answer = await talk(rig.app.port, close, ssl=authority.client(), server_hostname="localhost")
        assert statuses(answer) == [200]
