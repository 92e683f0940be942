"""A cluster of two Alertmanagers, a bridge that is held in step with it, and the emulated AOM; all real but AOM.

Each test with `held` or `in_step` ends with "nothing blinks": no alarm was cleared more often than its alert has
resolved.
"""

import asyncio
import contextlib
import json

import aiohttp
import pytest
from cluster import CONFIG, Cluster
from emulated_aom import cloud
from many_alerts import metrics
from peer_proxies import front_of
from process import bridge_command, run, serving
from waiting import until

LIMIT = 60
QUICK = "missing_after: 4s"
SETTINGS = "{{urls: [{urls}], interval: 1s, settle: 1s, missing_after: 4s{more}}}"
"""Rounds are quick; W is 1.25 times the validity of the sender's posts, twenty seconds."""


def in_step_with(urls, more=""):
    """Give the settings of a source whose peers have these addresses."""
    return SETTINGS.format(urls=", ".join(f'"{url}"' for url in urls), more=more)


class Held:
    """A cluster, a bridge that is held in step with it, and the emulated AOM."""

    def __init__(self, folder, aom, cluster):
        self.folder, self.aom, self.cluster = folder, aom, cluster
        self.stack = contextlib.AsyncExitStack()
        self.bridge, self.url = None, ""

    async def serve(self, more="", config=CONFIG, *, urls=None, missing_after="4s", rules="", **config_options):
        """Start the bridge, and write the cluster's configuration.

        Args:
            more: settings of the source.
            config: the cluster's configuration.
            urls: where the bridge asks the peers; by default the peers themselves.
            missing_after: how long a webhook may still come.
            rules: more sections of the bridge's configuration.
            config_options: what is written into the cluster's configuration.
        """
        settings = in_step_with(self.cluster.urls if urls is None else urls, more).replace(
            QUICK, f"missing_after: {missing_after}"
        )
        await self.serve_with(f"alertmanagers: [{settings}]\n{rules}")
        self.cluster.configure(self.url, config, **config_options)

    async def serve_with(self, sections, target=""):
        """Start the bridge with these sections of its configuration, and more settings of its target."""
        serve = serving(self.folder, self.aom.url, more=sections, target=f"lookup_wait: 1s\n{target}")
        self.bridge, self.url = await self.stack.enter_async_context(serve)

    async def front_of(self, *peers, **options):
        """Run a web server in front of peers until the test ends; give it."""
        return await self.stack.enter_async_context(front_of(*peers, **options))

    def active(self):
        return sorted(event["metadata"]["event_name"] for event in self.aom.snapshot()["active"])

    def cleared(self):
        return sorted(event["metadata"]["event_name"] for event in self.aom.snapshot()["history"])

    async def shows(self, *names):
        """Wait until AOM's open alarms are these."""
        await until(lambda: self.active() == sorted(names), LIMIT)

    async def is_active(self, *names):
        """Wait until AOM's open alarms are these, and the bridge has seen their alerts listed."""
        await self.shows(*names)
        begin = await self.rounds()
        await until(lambda: self.has_rounds(begin + 2), LIMIT)

    async def rounds(self):
        (series,) = await metrics(self.url, "aom_bridge_reconcile_rounds_total")
        return sum(series.values())

    async def has_rounds(self, count):
        return await self.rounds() >= count

    async def command(self, *words):
        """Run a command of `aom-bridge` that must succeed; give what it prints as JSON."""
        code, out, err = await run(*bridge_command(*words, f"--config.file={self.folder / 'bridge.yaml'}"))
        assert code == 0, err
        return json.loads(out)

    async def has_row(self, name, **fields):
        """Say whether the newest row of the alert with this name has these fields in the running bridge's ledger."""
        options = {"filter": f'alertname="{name}"', "limit": "1"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/alarms", params=options) as found,
        ):
            rows = (await found.json())["data"]
        row = next(iter(rows), {})
        return fields.items() <= row.items()

    async def stays_active(self, *names, seconds):
        """Look again and again for some time: nothing else may be open, and nothing less."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            assert self.active() == sorted(names)
            await asyncio.sleep(0.1)

    async def count(self, kind, source="default"):
        (series,) = await metrics(self.url, "aom_bridge_reconciled_total")
        return series.get(f'kind="{kind}",source="{source}"', series.get(f'source="{source}",kind="{kind}"'))

    def check_nothing_blinked(self):
        """No alarm was cleared more often than its alert has resolved."""
        cleared = self.cleared()
        for name in set(cleared):
            assert cleared.count(name) <= self.cluster.resolves.get(name, 0), name
        assert "Traceback" not in self.bridge.output
        assert self.aom.snapshot()["violations"] == []


@pytest.fixture
async def held(tmp_path):
    """Two peers that are not started yet, and no bridge yet; a test may put another cluster in their place."""
    async with cloud() as aom:
        one = Held(tmp_path, aom, Cluster(tmp_path))
        try:
            yield one
            if one.bridge is not None:
                one.check_nothing_blinked()
        finally:
            await one.cluster.stop()
            await one.stack.aclose()


@pytest.fixture
async def in_step(held):
    """Both running, in step."""
    await held.serve()
    await held.cluster.start()
    return held
