"""One of several `aom-bridge serve` on a shared database, with the shortest lease."""

import json
import re
from contextlib import asynccontextmanager

import aiohttp
from bridge_rig import settings_text
from process import bridge_command, started
from waiting import until
from webhooks import payload

LIMIT = 60.0
"""Seconds until a replica is ready: two that start beside each other on a busy machine take long."""

LEASE_SECONDS = 10
"""The shortest lease that the configuration takes."""


def write_settings(folder, aom, url, **config):
    """Write a configuration file for one replica; give the file."""
    folder.mkdir(exist_ok=True)
    text = settings_text(aom, "", target="lookup_wait: 1s", **config)
    text = text.replace('url: "sqlite:///"', f'url: "{url}", lease: {LEASE_SECONDS}s')
    (folder / "bridge.yaml").write_text(text)
    return folder / "bridge.yaml"


@asynccontextmanager
async def replica(folder, aom, url, arguments=(), **config):
    """Run `aom-bridge serve` on a shared database; yields the process and its address, once it is ready."""
    file = write_settings(folder, aom, url, **config)
    command = bridge_command("serve", f"--config.file={file}", "--web.listen-address=127.0.0.1:0", *arguments)
    with started(folder / "bridge.log", *command) as process:
        await until(lambda: "msg=ready" in process.output or process.process.poll() is not None, LIMIT)
        found = re.search(r"address=(\S+)", process.output)
        assert found, process.output
        yield process, found[1]


async def post(url, *alerts):
    """Post one webhook; give the status and the sentence."""
    data = json.dumps(payload(*alerts)).encode()
    async with aiohttp.ClientSession() as session, session.post(f"{url}/webhook", data=data) as response:
        return response.status, await response.text()
