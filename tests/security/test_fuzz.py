"""Random input at everything that reads from outside: bytes on the socket, JSON at every route, files.

The small size runs always; `AOM_BRIDGE_REHEARSAL=full` runs the coverage-guided fuzzer for minutes.
"""

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from importlib.util import find_spec

import pytest
from bridge_rig import settings_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paths import TESTS
from process import bridge_command, started
from waiting import PATIENCE, until
from webhooks import alert, payload

pytestmark = pytest.mark.real

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"
EXAMPLES = 20_000 if IS_FULL else 500
SECONDS = 120 if IS_FULL else 3
TARGETS = ["notification", "config", "webconfig", "matcher", "authorization"] if IS_FULL else ["webconfig"]
CALM = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

TOKENS = [
    b"GET ",
    b"POST ",
    b"/webhook",
    b"/metrics",
    b"/api/v1/alarms",
    b"/-/reload",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"Host: x\r\n",
    b"Host: localhost\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 99999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n",
    b"Authorization: Basic YTpi\r\n",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"{}",
    b"\0",
    b"%00",
    json.dumps(payload(alert())).encode(),
]
RAW = st.binary(max_size=2_000) | st.lists(st.sampled_from(TOKENS) | st.binary(max_size=20), max_size=30).map(b"".join)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5)
)
TIMES = ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z", "2026-01-01T00:00:00+23:59"]
ALERTS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | VALUES,
        "labels": st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=40) | VALUES,
        "annotations": st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=40) | VALUES,
        "startsAt": st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z"])
        | VALUES,
        "endsAt": st.sampled_from(["2026-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"]) | VALUES,
        "generatorURL": st.sampled_from(["javascript:alert(1)", "http://x"]) | VALUES,
        "fingerprint": st.sampled_from(["", "0123456789abcdef"]) | VALUES,
    },
)
KEYS = ["version", "groupKey", "truncatedAlerts", "receiver", "groupLabels", "commonLabels", "externalURL"]
NOTIFICATIONS = st.builds(
    lambda alerts, more: {**payload(), "alerts": alerts, **more},
    st.lists(ALERTS, max_size=5),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2),
)
BODIES = VALUES | NOTIFICATIONS
ROUTES = [
    ("POST", "/webhook"),
    ("POST", "/webhook/default"),
    ("POST", "/-/reload"),
    ("POST", "/api/v1/alarms/retry"),
    ("POST", "/api/v1/alarms/x/clear"),
    ("GET", "/api/v1/alarms"),
    ("GET", "/metrics"),
    ("GET", "/-/ready"),
    ("GET", "/"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Run one bridge for all; it must not have stumbled at the end."""
    folder = tmp_path_factory.mktemp("fuzz")
    file, log = folder / "bridge.yaml", folder / "bridge.log"
    file.write_text(settings_text("http://127.0.0.1:9", folder / "ledger.db"))
    log.write_bytes(b"")
    with started(log, *bridge_command("serve", f"--config.file={file}", "--web.listen-address=127.0.0.1:0")) as process:
        asyncio.run(until(lambda: "msg=ready" in process.output))
        yield int(re.search(r"address=http://127.0.0.1:(\d+)", process.output)[1])
        assert process.process.poll() is None
        assert "Traceback" not in process.output


def codes(connection, limit):
    """Give the codes of all that comes back until the server closes, or says nothing for so many seconds."""
    connection.settimeout(limit)
    got = b""
    with contextlib.suppress(OSError):
        while more := connection.recv(1 << 16):
            got += more
    return {int(code) for code in re.findall(rb"HTTP/[0-9.]+ ([0-9]{3}) ", got)}


@CALM
@given(raw=RAW)
def test_any_bytes_on_the_socket_end_no_service(server, raw):
    """Whatever comes, the next client is served, and no answer is a 500."""
    address = ("127.0.0.1", server)
    with socket.create_connection(address) as connection, socket.create_connection(address) as other:
        connection.sendall(raw)
        other.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
        assert codes(other, PATIENCE) == {200}
        assert 500 not in codes(connection, 0.02)  # most bytes get no answer; what comes late is in the log at the end


@CALM
@given(body=BODIES, route=st.sampled_from(ROUTES))
def test_any_json_at_every_route_gets_its_answer(server, body, route):
    """Whatever JSON comes, wherever: kept, or refused by a code that says so."""
    connection = http.client.HTTPConnection("127.0.0.1", server, timeout=PATIENCE)
    connection.request(*route, json.dumps(body).encode(), {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    assert status in (200, 400, 404)


# pyproject.toml installs it wherever it has a wheel, so in CI; elsewhere the properties above stand for it.
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this system")  # no wheel, no fuzzer
@pytest.mark.parametrize("target", TARGETS)
def test_the_fuzzer_finds_nothing(tmp_path, target):
    """Coverage-guided input raises nothing but what each reader promises, hangs nowhere and fills no memory."""
    command = [sys.executable, str(TESTS / "support" / "fuzz.py"), target, str(tmp_path / "corpus"), str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS * 3 + 60, check=False)
    figures = re.findall(r"cov: \d+ ft: \d+ corp: \S+", done.stderr)
    runs = re.findall(r"stat::number_of_executed_units: (\d+)", done.stderr)
    print(target, "runs", *runs, *figures[-1:])  # noqa: T201 - the figures of a rehearsal
    assert done.returncode == 0, done.stderr[-5_000:]
    assert int(runs[0]) > 0
