"""Where a bridge runs in the simulation: started, stopped, killed as by `kill -9`, and posted to without a socket.

In: a configuration and a clock that may be wrong. Out: the statuses of webhooks, and what the ledger still holds. The
bridge is the product as it is, all but its HTTP listener.
"""

import asyncio
from unittest import mock

import aiohttp
from aiohttp.test_utils import make_mocked_request
from ledger_rows import listing
from multidict import CIMultiDict
from virtual_time import Life

from bridge.app import App
from bridge.config import load
from bridge.errors import LedgerUnavailableError

PATIENCE_SECONDS = 10.0
"""How long Alertmanager waits for an answer."""

_DUE = "SELECT fingerprint, state, reason, detail FROM alarms WHERE due_at IS NOT NULL OR claimed_by IS NOT NULL"


class Replica:
    """One place where a bridge runs, is killed and started again.

    Args:
        number: tells it from the others.
        config: the configuration file's text.
        now: gives the true time.
        note: writes a line into everybody's history.

    Attributes:
        skew: how far its clock is off, in milliseconds.
        outage: the task that ends it and starts it again, if there was one.
    """

    def __init__(self, number, config, now, note):
        self.number = number
        self.skew = 0
        self.outage = None
        self._config, self._now, self._note = config, now, note
        self._app = self._life = None

    def clock(self):
        """Give what this place takes for the time."""
        return self._now() + self.skew

    @property
    def is_up(self):
        return self._app is not None

    async def start(self):
        """Start a bridge; what it does from now on is one life."""
        settings = load("simulation.yaml", {}, raw=self._config.encode()).settings
        app, self._life = App(settings, ("127.0.0.1", 0), self.clock), Life()
        await self._life.run(self._begin(app))
        self._app = app
        self._note("", f"bridge {self.number} runs")

    async def _begin(self, app):
        await app.ledger.open()
        await app.parts.delivery.start()

    async def stop(self):
        """Stop as on SIGTERM."""
        app, self._app = self._app, None
        self._note("", f"bridge {self.number} stops")
        await self._life.run(app.parts.delivery.stop())
        await self._life.run(app.ledger.close())
        await self._life.end()

    async def kill(self):
        """End as by `kill -9`: nothing that runs does anything any more; AOM may still be at work on its requests."""
        app, self._app = self._app, None
        self._note("", f"bridge {self.number} is killed")
        transactions = app.ledger._core.transactions
        transactions.execute = transactions.write = transactions.read = _gone
        await self._life.end()
        for client in app.parts.delivery.clients.values():
            await client.stop()
        await transactions._threads.write(transactions._executor.close)
        app.ledger._core.database.close()

    async def be_away(self, seconds, *, is_graceful):
        """End, and start again after so many seconds."""
        await (self.stop() if is_graceful else self.kill())
        await asyncio.sleep(seconds)
        await self.start()

    async def post(self, body):
        """Post a webhook; give the status, or None where it is unknown whether the bridge has kept it."""
        wire = _Sender()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        content = aiohttp.StreamReader(mock.Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
        content.feed_data(body)
        content.feed_eof()
        request = make_mocked_request(
            "POST", "/webhook", CIMultiDict(headers), payload=content, transport=wire, protocol=wire, writer=wire
        )
        task = self._life.run(self._app.parts.webhook.receive(request))
        done, _ = await asyncio.wait([task], timeout=PATIENCE_SECONDS)
        wire.has_gone = True
        return task.result().status if done and not task.cancelled() else None

    async def left(self):
        """Give the rows of the ledger that are not at rest."""
        return await self._app.ledger._core.read(lambda connection: connection.exec_driver_sql(_DUE).all())

    async def rows(self, fingerprint):
        """Give an alert's rows, the oldest first."""
        views = await self._app.ledger._core.read(listing)
        return [view.alarm for view in reversed(views) if view.alarm.fingerprint == fingerprint]


class _Sender:
    """An Alertmanager's end of a connection, as far as the webhook's handler looks at it."""

    max_field_size = max_line_length = 8_190
    max_headers = 128
    peername, sockname, ssl_context = ("192.0.2.1", 1), ("192.0.2.2", 2), None

    def __init__(self):
        self.has_gone = False
        self.transport = self

    def is_closing(self):
        return self.has_gone

    def get_extra_info(self, name, default=None):
        return self.peername if name == "peername" else default


async def _gone(*_, **__):
    raise LedgerUnavailableError("this bridge was killed")
