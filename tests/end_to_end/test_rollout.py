"""A rolling update: three real replicas on one PostgreSQL, replaced one by one in a storm of the real Alertmanager."""

import asyncio
import contextlib
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from many_alerts import COUNT, active, alertmanager, alerts, failures, post_all, storm_during
from replica_process import replica
from waiting import until

pytestmark = pytest.mark.real

PRE_STOP_SECONDS = 0.5
"""What the pods' preStop is for: until no new connection comes here any more."""


class RoundRobin:
    """What a Service is: sends each request to the next backend; a refused connection goes to the one after it."""

    def __init__(self):
        self.backends = []
        self.answers = Counter()
        self._next = 0

    async def handle(self, request):
        body = await request.read()
        for _ in range(len(self.backends) + 1):
            self._next += 1
            backend = self.backends[self._next % len(self.backends)]
            try:
                async with self.session.post(backend + request.path, data=body) as response:
                    text = await response.text()
            except aiohttp.ClientConnectorError:
                continue
            self.answers[response.status] += 1
            return web.Response(status=response.status, text=text)
        self.answers[502] += 1
        return web.Response(status=502)

    @asynccontextmanager
    async def listening(self):
        application = web.Application(client_max_size=1 << 30)
        application.router.add_post("/webhook", self.handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        # As kube-proxy does, each request is a connection of its own: none is kept to a pod that stops.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as self.session:
            try:
                await web.TCPSite(runner, "127.0.0.1", 0, backlog=4_096).start()
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
            finally:
                await runner.cleanup()


class Rollout:
    """Three replicas behind the proxy, and their replacement."""

    def __init__(self, folder, aom_url, database, proxy):
        self.folder, self.aom_url, self.database, self.proxy = folder, aom_url, database, proxy
        self.running = []
        self.count = 0

    @asynccontextmanager
    async def started(self):
        """Run one more replica until the block ends; it gets its share once it is ready."""
        self.count += 1
        async with replica(self.folder / f"r{self.count}", self.aom_url, self.database) as (process, url):
            self.proxy.backends.append(url)
            try:
                yield process
            finally:
                with contextlib.suppress(ValueError):
                    self.proxy.backends.remove(url)

    async def begin(self):
        """Start one more, which stays until it is replaced."""
        stack = AsyncExitStack()
        process = await stack.enter_async_context(self.started())
        self.running.append((stack, process, self.proxy.backends[-1]))

    async def replace_oldest(self):
        """Start a new one, take the oldest out of the Service, give it its preStop, and stop it as a kubelet does."""
        await self.begin()
        stack, process, url = self.running.pop(0)
        self.proxy.backends.remove(url)
        await asyncio.sleep(PRE_STOP_SECONDS)
        assert await asyncio.to_thread(process.terminate) == 0
        await stack.aclose()

    async def end(self):
        """Stop all."""
        for stack, _, _ in self.running:
            await stack.aclose()


async def test_a_rolling_update_refuses_no_webhook(tmp_path, aom, database):
    """Three replicas are replaced one by one in a storm: every webhook gets 200, and AOM ends with what fires."""
    proxy = RoundRobin()
    async with proxy.listening() as url:
        rollout = Rollout(tmp_path, aom.url, database, proxy)
        try:
            for _ in range(3):
                await rollout.begin()
            async with alertmanager(tmp_path / "am", url, "['...']") as manager:

                async def replace_all():
                    for _ in range(3):
                        await rollout.replace_oldest()

                await storm_during(asyncio.create_task(replace_all()), manager, aom)
                await post_all(manager, alerts())
                await until(lambda: len(active(aom)) == COUNT, limit=90)
                assert await failures(manager) == [0, 0]
        finally:
            await rollout.end()
    assert set(proxy.answers) == {200}
    assert rollout.count == 6
