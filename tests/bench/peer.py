"""The peer: stands for one Alertmanager, and serves a list that it has made before; a process of its own.

``GET /round`` tells of the last round that has asked it: its number, when it began and when it was answered (monotonic
clock). A round asks for the status, the list, and the status again.
"""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import json
import time
from typing import Any

from bench import alerts
from bench.rawhttp import answer, serve
from bridge.clock import format_rfc3339

_VALIDITY = 4 * 60_000
_CONFIG = """\
route: {receiver: aom, group_by: [alertname], group_wait: 30s, group_interval: 5m, repeat_interval: 4h}
receivers:
  - name: aom
    webhook_configs: [{send_resolved: true, url: <secret>, max_alerts: 0}]
"""


class Peer:
    """The peer.

    Args:
        count: how many alerts it lists.
        seed: of the alerts.
        starts_at: since when they fire.
    """

    def __init__(self, count: int, seed: str, starts_at: int) -> None:
        now = int(time.time() * 1000)
        listed = [alerts.listed(seed, number, starts_at, now, _VALIDITY) for number in range(count)]
        self._list = json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode()
        self._status = _status(starts_at - 3_600_000)
        self._round: dict[str, Any] = {"number": 0, "began": 0.0, "answered": 0.0}
        self._has_listed = True

    def answer(self, _method: bytes, path: bytes, _body: bytes) -> bytes:
        """Answer one request."""
        if path == b"/api/v2/status":
            self._note()
            return _dated(self._status)
        if path == b"/api/v2/alerts":
            self._has_listed = True
            return _dated(self._list)
        return answer(b"200 OK", json.dumps(self._round).encode())

    def _note(self) -> None:
        """Note that the status was asked for: at the begin of a round, or after its list."""
        if self._has_listed and self._round["began"] > self._round["answered"]:
            self._round["answered"] = time.monotonic()
        else:
            self._round["number"] += 1
            self._round["began"] = time.monotonic()
            self._has_listed = False


def _status(started_at: int) -> bytes:
    name = "01J0000000000000000000PEER"
    cluster = {"name": name, "peers": [{"address": "10.0.0.1:9094", "name": name}], "status": "ready"}
    return json.dumps(
        {
            "cluster": cluster,
            "config": {"original": _CONFIG},
            "uptime": format_rfc3339(started_at),
            "versionInfo": {"version": "0.33.1"},
        }
    ).encode()


def _dated(body: bytes) -> bytes:
    """Return an answer with its date, as Alertmanager's have one."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    return f"{head}Date: {email.utils.formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--starts-at", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(Peer(arguments.count, arguments.seed, arguments.starts_at).answer))


if __name__ == "__main__":
    _main()
