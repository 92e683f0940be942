"""A small Alertmanager for the demo: it posts webhooks, tries them again, and shows its alerts by the API v2.

In: alerts that fire, resolve or are silenced. Out: webhooks to the bridge, as payload v4, and the three answers that
the bridge's reconciler reads: ``/api/v2/status``, ``/api/v2/alerts``, ``/api/v2/alerts/groups``. As the real one, it
posts nothing about silenced alerts, and posts again until the bridge answers 2xx. It groups nothing and waits for no
`group_wait`: each call is one webhook. Only the alerts that are to be repeated are, each second.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Literal

import aiohttp
from aiohttp import web

from bridge.clock import HOUR, SECOND, Clock, Millis, format_rfc3339
from bridge.demo.alerts import DemoAlert

RECEIVER = "aom"
_HOST = "127.0.0.1"
_NAME = "demo"
_VERSION = "0.28.1"
_NO_END = "0001-01-01T00:00:00Z"
_VALIDITY: Millis = 4 * SECOND
"""Of an alert that its Prometheus posts each second."""

_REPEAT_SECONDS = 1.0
_RETRY_SECONDS = 0.2
_ACCEPTED = range(200, 300)
_POST_SECONDS = 10.0
_CONFIG = """
route: {receiver: aom, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 4h}
receivers: [{name: aom, webhook_configs: [{url: <secret>, send_resolved: true, max_alerts: 0}]}]
"""


@dataclass(slots=True)
class _Held:
    """An alert that fires; ``starts_at``: since when."""

    alert: DemoAlert
    starts_at: Millis
    is_silenced: bool = False


class StandInAlertmanager:
    """One Alertmanager without peers.

    Args:
        clock: the time.

    Attributes:
        url: its address; valid after `start`.
        answers: how many webhooks the bridge has answered, by status; 0: it did not answer. Repeats do not count.
        posted: how many alerts were in the webhooks that the bridge has accepted.
        rounds: how many times its list of alerts was asked for.
    """

    def __init__(self, clock: Clock) -> None:
        self.url = ""
        self.answers: Counter[int] = Counter()
        self.posted = 0
        self.rounds = 0
        self._clock = clock
        self._started_at = clock() - HOUR  # so that what it does not list counts as absent
        self._held: dict[str, _Held] = {}
        self._bridge = ""
        self._repeated: Sequence[DemoAlert] = ()
        self._repeating: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Listen on any free port of loopback."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_POST_SECONDS))
        application = web.Application()
        application.router.add_get("/api/v2/status", self._status)
        application.router.add_get("/api/v2/alerts", self._alerts)
        application.router.add_get("/api/v2/alerts/groups", self._groups)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0).start()
        self.url = f"http://{_HOST}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening, and post nothing more."""
        if self._repeating is not None:
            self._repeating.cancel()
            await asyncio.wait([self._repeating])
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def send_to(self, webhook: str, repeated: Sequence[DemoAlert] = ()) -> None:
        """Post webhooks to this address from now on; ``repeated``: of one group, again and again while they fire."""
        self._bridge, self._repeated = webhook, repeated
        self._repeating = asyncio.create_task(self._repeat(), name="demo-repeat")

    def firing(self) -> set[str]:
        """Return the fingerprints of the alerts that fire, silenced ones as well."""
        return set(self._held)

    async def fire(self, alerts: Sequence[DemoAlert]) -> None:
        """Let alerts of one group fire; return when the bridge has accepted the webhook."""
        now = self._clock()
        for alert in alerts:
            self._held.setdefault(alert.fingerprint, _Held(alert, now))
        await self._post(alerts, [self._wire(alert, "firing", _NO_END) for alert in alerts])

    async def resolve(self, alerts: Sequence[DemoAlert]) -> None:
        """Let alerts of one group resolve; a webhook tells of those that are not silenced."""
        end = format_rfc3339(self._clock())
        told = [alert for alert in alerts if not self._held[alert.fingerprint].is_silenced]
        wires = [self._wire(alert, "resolved", end) for alert in told]
        self.lose(alerts)
        if told:
            await self._post(told, wires)

    def lose(self, alerts: Iterable[DemoAlert]) -> None:
        """List alerts no longer, without a webhook, as when their Prometheus no longer posts them."""
        for alert in alerts:
            del self._held[alert.fingerprint]

    def silence(self, alerts: Iterable[DemoAlert]) -> None:
        """Silence alerts until they have resolved."""
        for alert in alerts:
            self._held[alert.fingerprint].is_silenced = True

    def _wire(self, alert: DemoAlert, status: Literal["firing", "resolved"], end: str) -> dict[str, Any]:
        return {
            "status": status,
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": format_rfc3339(self._held[alert.fingerprint].starts_at),
            "endsAt": end,
            "generatorURL": "",
            "fingerprint": alert.fingerprint,
        }

    async def _post(self, alerts: Sequence[DemoAlert], wires: list[dict[str, Any]]) -> None:
        """Post a webhook until it is accepted."""
        body = json.dumps(_payload(alerts, wires)).encode()
        while True:
            status = await self._answered(body)
            self.answers[status] += 1
            if status in _ACCEPTED:
                break
            await asyncio.sleep(_RETRY_SECONDS)
        self.posted += len(wires)

    async def _repeat(self) -> None:
        while True:
            alerts = [alert for alert in self._repeated if alert.fingerprint in self._held]
            wires = [self._wire(alert, "firing", _NO_END) for alert in alerts]
            if wires:
                await self._answered(json.dumps(_payload(alerts, wires)).encode())
            await asyncio.sleep(_REPEAT_SECONDS)

    async def _answered(self, body: bytes) -> int:
        """Post a webhook once, and return the status of its answer; 0: there was none."""
        if self._session is None:
            raise RuntimeError("not started")
        try:
            async with self._session.post(self._bridge, data=body) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0

    async def _status(self, _request: web.Request) -> web.Response:
        return self._answer(
            {
                "cluster": {"name": _NAME, "status": "ready", "peers": [{"name": _NAME, "address": "127.0.0.1:9094"}]},
                "config": {"original": _CONFIG},
                "uptime": format_rfc3339(self._started_at),
                "versionInfo": {"version": _VERSION},
            }
        )

    async def _alerts(self, _request: web.Request) -> web.Response:
        self.rounds += 1
        return self._answer([self._listed(held) for held in self._held.values()])

    async def _groups(self, _request: web.Request) -> web.Response:
        by_name: dict[str, list[dict[str, Any]]] = {}
        for held in self._held.values():
            by_name.setdefault(held.alert.name, []).append(self._listed(held))
        receiver = {"name": RECEIVER}
        return self._answer(
            [
                {"receiver": receiver, "labels": {"alertname": name}, "alerts": alerts}
                for name, alerts in by_name.items()
            ]
        )

    def _answer(self, content: object) -> web.Response:
        date = formatdate(self._clock() / 1000, usegmt=True)
        return web.json_response(content, headers={"Date": date})

    def _listed(self, held: _Held) -> dict[str, Any]:
        now = self._clock()
        return {
            **self._wire(held.alert, "firing", format_rfc3339(now + _VALIDITY)),
            "receivers": [{"name": RECEIVER}],
            "status": {"state": "suppressed" if held.is_silenced else "active", "mutedBy": []},
            "updatedAt": format_rfc3339(now),
        }


def _payload(alerts: Sequence[DemoAlert], wires: list[dict[str, Any]]) -> dict[str, Any]:
    common = dict(set.intersection(*(set(alert.labels.items()) for alert in alerts)))
    group = {"alertname": alerts[0].name}
    return {
        "version": "4",
        "receiver": RECEIVER,
        "status": "firing" if any(wire["status"] == "firing" for wire in wires) else "resolved",
        "groupKey": f'{{}}:{{alertname="{alerts[0].name}"}}',
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "truncatedAlerts": 0,
        "alerts": wires,
    }
