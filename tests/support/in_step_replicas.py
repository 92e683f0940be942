"""Two bridges on one PostgreSQL, held in step with a cluster of two Alertmanagers; all real but AOM.

The first bridge is started alone, so that it leads; Alertmanager's webhooks go to the second one. The first one asks
the peers through gates that can hold back their lists.
"""

import asyncio
import signal

import pytest
import sqlalchemy as sa
from cluster import Cluster
from emulated_aom import cloud
from in_step import LIMIT, SETTINGS, Held
from ledger_rows import listing
from many_alerts import metrics
from proxies import gate
from replica_process import replica
from waiting import until

from bridge.ledger.storage.database import looking_at
from bridge.ledger.storage.schema import sources

LISTS = "/api/v2/alerts"


class Pair(Held):
    """Two bridges; what `Held` tells of its bridge is told of the second one, which stays alive.

    Attributes:
        first: the process that leads at the beginning.
    """

    def __init__(self, folder, aom, cluster, database):
        super().__init__(folder, aom, cluster)
        self.database = database
        self.first, self.first_url, self._gates = None, "", []

    async def start(self, interval="1s"):
        """Start the first bridge, the second one once the first leads, and the cluster; ``interval``: the first's."""
        urls = []
        for url in self.cluster.urls:
            one, through = await self.stack.enter_async_context(gate(url, LISTS))
            self._gates.append(one)
            urls.append(through)
        self.first, self.first_url = await self._replica("first", urls, interval)
        await until(lambda: self.lead()[0], LIMIT)
        self.bridge, self.url = await self._replica("second", self.cluster.urls, "1s")
        self.cluster.configure(self.url)
        await self.cluster.start()

    def lead(self):
        """Give who leads, and until when."""
        columns = (sources.c.leader, sources.c.leader_until)
        with looking_at(self.database) as connection:
            return connection.execute(sa.select(*columns).where(sources.c.source == "default")).first() or (None, None)

    def rows(self):
        """Give the ledger's rows, the oldest first."""
        with looking_at(self.database) as connection:
            return [view.alarm for view in reversed(listing(connection))]

    async def is_seen(self, *names):
        """Wait until AOM's open alarms are these, and the first bridge has seen their alerts listed."""
        await until(lambda: self.active() == sorted(names), LIMIT)
        begin = await self.first_rounds()
        await self.first_has_rounds(begin + 2)

    async def first_rounds(self):
        """Give how many rounds the first bridge has made."""
        (series,) = await metrics(self.first_url, "aom_bridge_reconcile_rounds_total")
        return sum(series.values())

    async def first_has_rounds(self, count):
        """Wait until the first bridge has made so many rounds."""

        async def has():
            return await self.first_rounds() >= count

        await until(has, LIMIT)

    async def hold_lists(self):
        """Wait until the first bridge waits for the list of each peer."""
        await self.let_lists(0)

    async def let_lists(self, count):
        """Let so many lists of each peer pass to the first bridge, then wait until it waits for the next ones."""
        fetched = [one.fetched for one in self._gates]
        await asyncio.gather(*(one.let(count) for one in self._gates))
        await until(
            lambda: all(
                one.held and (not count or one.fetched >= before + count)
                for one, before in zip(self._gates, fetched, strict=True)
            ),
            LIMIT,
        )

    async def stop_first(self):
        """Stop the first bridge while it waits for lists; they come to it while it stands still."""
        self.first.process.send_signal(signal.SIGSTOP)
        await asyncio.gather(*(one.let() for one in self._gates))

    def continue_first(self):
        """Let the first bridge go on."""
        self.first.process.send_signal(signal.SIGCONT)

    async def listed(self):
        """Give the names of the alerts that each peer lists."""
        return [[one["labels"]["alertname"] for one in await peer.get("alerts")] for peer in self.cluster.peers]

    async def leads_now(self, before):
        """Wait until another bridge leads than before; give who, and until when."""
        await until(lambda: self.lead()[0] not in (None, before), LIMIT)
        return self.lead()

    def check_nothing_blinked(self):
        """No alarm was cleared more often than its alert has resolved, and none was raised beside an open one."""
        super().check_nothing_blinked()
        assert "Traceback" not in self.first.output
        assert self.aom.snapshot()["violations"] == []

    async def _replica(self, name, urls, interval):
        listed = ", ".join(f'"{url}"' for url in urls)
        settings = SETTINGS.format(urls=listed, more="").replace("interval: 1s", f"interval: {interval}")
        started = replica(self.folder / name, self.aom.url, self.database, more=f"alertmanagers: [{settings}]")
        return await self.stack.enter_async_context(started)


@pytest.fixture
async def pair(tmp_path, database):
    """Two bridges and two peers, none of them started."""
    cluster = Cluster(tmp_path)
    async with cloud() as aom:
        made = Pair(tmp_path, aom, cluster, database)
        try:
            yield made
            if made.bridge is not None:
                made.check_nothing_blinked()
        finally:
            if made.first is not None and made.first.process.poll() is None:
                made.continue_first()
            await cluster.stop()
            await made.stack.aclose()
