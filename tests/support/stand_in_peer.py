"""The API of an Alertmanager whose answers a test sets, where the real one cannot be made to answer so."""

from wsgiref.handlers import format_date_time

from aiohttp import web

from bridge.clock import SECOND, format_rfc3339, system_clock
from bridge.notification import fingerprint

CONFIG = """
route: {receiver: aom, group_wait: 1s, group_interval: 1s}
receivers: [{name: aom, webhook_configs: [{url: <secret>}]}]
"""


class StandInPeer:
    """One peer; ``names``: of the alerts that it lists as firing, ``suppressed``: of those that it suppresses."""

    def __init__(self, *names, name="one", config=CONFIG, version="0.33.1"):
        self.names, self.suppressed = set(names), set()
        self.name, self.config, self.version = name, config, version
        self.peers = [name]
        self.started = system_clock() - 3_600 * SECOND
        self.ahead = 0
        self.validity = 240 * SECOND
        self.receivers = ["aom"]
        self.is_up = True
        self.posted_at = None  # when its alerts were posted last; None: a second before each answer

    def routes(self, seen=None):
        """Give the routes; each request's path and `Authorization` is added to ``seen``."""

        def noted(answer):
            async def handler(request):
                if seen is not None:
                    seen.append((request.path, request.headers.get("Authorization")))
                return await answer(request)

            return handler

        return [
            web.get("/api/v2/status", noted(self._status)),
            web.get("/api/v2/alerts", noted(self._alerts)),
            web.get("/api/v2/alerts/groups", noted(self._groups)),
        ]

    def _answer(self, content):
        if not self.is_up:
            return web.Response(status=503, text="busy")
        date = format_date_time((system_clock() + self.ahead) / 1000)
        return web.json_response(content, headers={"Date": date})

    async def _status(self, _request):
        return self._answer(
            {
                "cluster": {
                    "name": self.name,
                    "status": "ready",
                    "peers": [{"name": one, "address": "10.0.0.1:9094"} for one in self.peers],
                },
                "config": {"original": self.config},
                "uptime": format_rfc3339(self.started + self.ahead),
                "versionInfo": {"version": self.version},
            }
        )

    async def _alerts(self, _request):
        return self._answer([self._alert(name) for name in sorted(self.names | self.suppressed)])

    async def _groups(self, _request):
        alerts = [self._alert(name) for name in sorted(self.names)]
        return self._answer([{"receiver": {"name": one}, "labels": {}, "alerts": alerts} for one in self.receivers])

    def _alert(self, name):
        now = system_clock() + self.ahead
        posted_at = now - SECOND if self.posted_at is None else self.posted_at
        labels = {"alertname": name, "severity": "critical"}
        return {
            "annotations": {},
            "endsAt": format_rfc3339(posted_at + self.validity),
            "receivers": [{"name": one} for one in self.receivers],
            "startsAt": format_rfc3339(now - 60 * SECOND),
            "status": {"state": "suppressed" if name in self.suppressed else "active", "mutedBy": []},
            "updatedAt": format_rfc3339(posted_at),
            "generatorURL": "",
            "fingerprint": fingerprint(labels),
            "labels": labels,
        }
