"""Real processes for tests: the bridge as its users start it, and the real Alertmanager; all on loopback."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from bridge_rig import settings_text
from programs import need
from waiting import until

from bridge.cli.main import parser


def parsed(words):
    """Give what the command line makes of these words; it exits where it does not take them."""
    return parser().parse_args(words)


class Process:
    """One running program with its output."""

    def __init__(self, process, log):
        self.process = process
        self.log = log

    @property
    def output(self):
        return self.log.read_text(errors="replace")

    def kill(self):
        """End it as a crash does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self):
        """End it as an operator does; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)


def children(pid):
    """Give the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def started(log, *command, env=None):
    """Run a program; it is ended by its pid at the latest here."""
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=env)
    running = Process(process, log)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                running.kill()


def bridge_command(*arguments):
    """Give the command line of `aom-bridge`, run by this interpreter."""
    return [sys.executable, "-m", "bridge", *arguments]


@asynccontextmanager
async def serving(tmp_path, aom, ledger=None, arguments=(), env=None, **config):
    """Run `aom-bridge serve`; yields the process and its address, once it is ready."""
    file = tmp_path / "bridge.yaml"
    file.write_text(settings_text(aom, ledger or tmp_path / "ledger.db", **config))
    command = bridge_command("serve", f"--config.file={file}", "--web.listen-address=127.0.0.1:0", *arguments)
    log = tmp_path / "bridge.log"
    log.write_bytes(b"")
    with started(log, *command, env=env) as process:
        await until(lambda: "msg=ready" in process.output or process.process.poll() is not None, 60)
        found = re.search(r"address=(\S+)", process.output)
        assert found, process.output
        yield process, found[1]


ALERTMANAGER = """
global: {{resolve_timeout: 5m}}
route: {{receiver: aom, group_by: [alertname], group_wait: 200ms, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: aom
    webhook_configs: [{{url: "{url}/webhook", send_resolved: true, max_alerts: 0}}]
"""


class Alertmanager:
    """A running Alertmanager and its API."""

    def __init__(self, url):
        self.url = url

    async def post(self, *alerts):
        """Post alerts as Prometheus does."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/api/v2/alerts", json=list(alerts)) as response,
        ):
            assert response.status == 200, await response.text()

    async def is_ready(self):
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/-/ready") as response:
                return response.status == 200
        return False


@asynccontextmanager
async def alertmanager(tmp_path, bridge_url):
    """Run the real Alertmanager with one webhook receiver, the bridge."""
    program = need("prometheus-alertmanager")
    port = free_port()
    file = tmp_path / "alertmanager.yml"
    file.write_text(ALERTMANAGER.format(url=bridge_url))
    command = [
        program,
        f"--config.file={file}",
        f"--storage.path={tmp_path / 'am'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with started(tmp_path / "alertmanager.log", *command):
        running = Alertmanager(f"http://127.0.0.1:{port}")
        await until(running.is_ready)
        yield running


_PORTS = range(10_000, 16_000)
"""Below those that a system gives to connections, or to whoever asks for any: nobody gets one of these by chance."""

_turns = itertools.count(os.getpid() * 61)  # test processes beside each other begin at different ones


def free_port(host="127.0.0.1"):
    """Give a port on loopback that is free now, and that no connection takes before it is used."""
    while True:
        port = _PORTS[next(_turns) % len(_PORTS)]
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port


async def run(*command, stdin=b"", env=None, cwd=None, limit=60):
    """Run a program to its end, for at most this many seconds; give exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        cwd=cwd,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin), limit)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, out.decode(), err.decode()


async def kept(folder):
    """Give the alert names of the rows in a ledger."""
    file = folder / "bridge.yaml"
    code, out, err = await run(
        *bridge_command("alarms", "list", f"--config.file={file}", "--all-states", "--limit=1000000", "-o", "json")
    )
    assert code == 0, err
    return {row["labels"]["alertname"] for row in json.loads(out)}


async def metric(url, name):
    """Give one metric without labels."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        return next(float(line.split()[1]) for line in (await response.text()).splitlines() if line.startswith(name))
