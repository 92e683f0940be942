"""Notifications of senders that hung up are left out; what was answered 200 survives SIGTERM; real sockets, processes.

Alertmanager gives up on a webhook after 10 s or more. What it sent still sits whole in the socket's buffer, and is read
later: to keep it would raise an alarm whose clear never comes.
"""

import asyncio
import contextlib
import json
import signal
import socket
import struct

import aiohttp
import pytest
from emulated_aom import names
from process import kept, metric, serving
from waiting import PATIENCE, until
from webhooks import alert, payload

from bridge.emulator import Emulator, Options

pytestmark = pytest.mark.real

RESET = struct.pack("ii", 1, 0)
SENDERS = 10


@pytest.fixture
async def aom():
    """An emulated AOM."""
    emulator = Emulator(Options(port=0))
    await emulator.start()
    yield emulator
    await emulator.stop()


def request_of(*alerts):
    """Give a whole webhook as it stands on the wire."""
    body = json.dumps(payload(*alerts)).encode()
    return b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def connected(url):
    """Give a connection; the kernel makes it even while the process is stopped."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def served(url):
    """Give a connection on which a request was answered already, as Alertmanager keeps them."""
    connection = connected(url)
    connection.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(4_096).startswith(b"HTTP/1.1 200")
    return connection


def hang_up(connection, way):
    """Leave after the request went out whole."""
    if way == "half-close":
        connection.shutdown(socket.SHUT_WR)
        return
    if way == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


@pytest.mark.parametrize("way", ["close", "half-close", "reset"])
async def test_who_hung_up_while_the_bridge_stood_still_is_left_out(tmp_path, aom, way):
    """A whole webhook whose sender has hung up before it was read leaves no row; one that waits gets its 200."""
    with contextlib.ExitStack() as open_sockets:
        async with serving(tmp_path, aom.url) as (bridge, url):
            senders = [await asyncio.to_thread(served, url) for _ in range(SENDERS)]
            bridge.process.send_signal(signal.SIGSTOP)
            senders += [connected(url) for _ in range(SENDERS)]
            for number, sender in enumerate(senders):
                open_sockets.enter_context(sender)
                sender.sendall(request_of(alert(f"Gone{number}")))
                hang_up(sender, way)
            waiting = open_sockets.enter_context(connected(url))
            waiting.sendall(request_of(alert("Waits")))
            bridge.process.send_signal(signal.SIGCONT)
            answer = await asyncio.to_thread(waiting.recv, 4_096)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            await until(lambda: "Waits" in names(aom))
            if way != "reset":  # a reset takes what was not read yet with it, and no request is left to count
                name = "aom_bridge_abandoned_requests_total"
                await until(lambda: _equals(metric(url, name), 2 * SENDERS))
            assert bridge.terminate() == 0
    assert await kept(tmp_path) == {"Waits"}
    assert names(aom) == {"Waits"}


async def _equals(value, wanted):
    return await value == wanted


class Stream:
    """Webhooks of one new alert each, as fast as they are answered, until the bridge is gone."""

    def __init__(self, url):
        self.acknowledged, self.refused = set(), set()
        self._url = url

    async def run(self, number):
        async with aiohttp.ClientSession() as session:
            for count in range(1_000_000):
                name = f"Stream{number}x{count}"
                try:
                    data = json.dumps(payload(alert(name))).encode()
                    async with session.post(f"{self._url}/webhook", data=data) as response:
                        (self.acknowledged if response.status == 200 else self.refused).add(name)
                        assert response.status in (200, 503), await response.text()
                except aiohttp.ClientConnectorError:
                    return
                except (aiohttp.ClientError, OSError):
                    continue  # no answer: it may be kept or not


async def test_sigterm_under_load_keeps_what_was_answered_200(tmp_path, aom):
    """SIGTERM while webhooks stream in and AOM hangs: exit code 0, each 200 reaches AOM, no 503 does."""
    async with aiohttp.ClientSession() as session:
        await session.post(f"{aom.url}/emulator/faults", json={"hang": True})
        async with serving(tmp_path, aom.url) as (bridge, url):
            stream = Stream(url)
            async with asyncio.TaskGroup() as senders:
                for number in range(8):
                    senders.create_task(stream.run(number))
                await until(lambda: len(stream.acknowledged) > 300)
                bridge.process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(bridge.process.wait, PATIENCE)
            assert bridge.process.returncode == 0
            assert "Traceback" not in bridge.output
        assert stream.acknowledged <= await kept(tmp_path)
        await session.delete(f"{aom.url}/emulator/faults")
        async with serving(tmp_path, aom.url):
            await until(lambda: stream.acknowledged <= names(aom))
        assert not stream.refused & names(aom)
