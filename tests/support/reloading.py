"""A bridge in the test's own process with a configuration file that the test rewrites, and its emulated AOM."""

from contextlib import asynccontextmanager

import aiohttp
from bridge_rig import Rig, settings_text

from bridge.app import App
from bridge.config import load
from bridge.emulator import Emulator, Options


class Reloaded(Rig):
    """A bridge with a configuration file that a test rewrites."""

    def write(self, **config):
        text = settings_text(
            self.emulator.url, self.folder / "l.db", **{"target": "rate_limit: 1000\nlookup_wait: 300ms", **config}
        )
        self.file.write_text(text)

    async def reload(self):
        """Ask for a reload; give status and text."""
        async with self.session.post(self.app.url + "/-/reload") as response:
            return response.status, await response.text()

    def far(self):
        """Give what AOM holds open in the second project."""
        return sorted(e["metadata"]["event_name"] for e in self.aom()["active"] if e["project_id"] == "p2")


@asynccontextmanager
async def reloading(folder, *, watch=False, **config):
    """Run a bridge on a configuration file."""
    emulator = Emulator(Options(port=0))
    await emulator.start()
    rig = Reloaded(None, emulator, None)
    rig.folder, rig.file = folder, folder / "bridge.yaml"
    rig.write(**{key: value.replace("%s", emulator.url) for key, value in config.items()})
    loaded = load(str(rig.file))
    rig.app = App(loaded.settings, ("127.0.0.1", 0), file=str(rig.file), watch=watch, shown=loaded.shown)
    await rig.app.start()
    try:
        async with aiohttp.ClientSession() as rig.session:
            yield rig
    finally:
        await rig.app.stop()
        await emulator.stop()
