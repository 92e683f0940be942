"""The ledger cannot be written: a full disk, a file that has gone; nothing is half kept, and 200 stays true.

A disk is made full in two ways: a small file system of the process's own, where the system lets us mount one, and
a limit on the size of files, which every system has; SQLite calls the one "full" and the other an I/O error.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest
from full_disk import FileSizeLimit
from process import bridge_command, free_port, started
from rehearsal import CONFIG
from waiting import until
from webhooks import alert, payload

from bridge.emulator import Emulator, Options

pytestmark = pytest.mark.real

ALERTS = 5
"""In each webhook: a half of one must never be kept."""


class SmallFileSystem:
    """A file system of 2 MiB in a mount namespace of the process's own; SQLite gets ENOSPC."""

    needs_mount = True
    before = ""  # what the shell does before the bridge starts

    def __init__(self, folder):
        self.folder = folder

    def command(self, command):
        script = f'mount -t tmpfs -o size=2m none "$0" && {self.before} exec "$@"'
        return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(self.folder), *command]

    def fill(self, pid):
        with contextlib.suppress(OSError), self._filler(pid).open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4_096))

    def relieve(self, pid):
        self._filler(pid).unlink()

    def _filler(self, pid):
        return Path(f"/proc/{pid}/root{self.folder.resolve()}/filler")


class FullFromTheStart(SmallFileSystem):
    """The same, with a file that fills it when the bridge starts."""

    before = 'cat /dev/zero > "$0/filler" 2>/dev/null;'


def full_disk(kind, folder):
    """Give a disk that can be filled; skips where the system does not let us mount one."""
    disk = kind(folder)
    if disk.needs_mount:
        may = shutil.which("unshare") and subprocess.run(disk.command(["true"]), check=False, capture_output=True)
        if not may or may.returncode != 0:
            # Not in CI either: nothing that could be installed gives this right. The other kind of full disk is tested.
            pytest.skip("no file system can be mounted here: user namespaces are forbidden")  # a right, not a package
    return disk


class Sender:
    """Sends webhooks of new alerts and remembers what became of each."""

    def __init__(self, url):
        self.kept, self.refused = set(), set()
        self.refusals = 0
        self._url = url
        self._count = 0

    async def send(self):
        """Send one webhook; give status and sentence."""
        names = {f"Backpressure{self._count}x{number}" for number in range(ALERTS)}
        self._count += 1
        status, text = await post(self._url, *(alert(name) for name in names))
        (self.kept if status == 200 else self.refused).update(names)
        self.refusals += status != 200
        return status, text


def refusals_told(bridge):
    """Give of how many refused notifications each line of the log tells."""
    lines = [line for line in bridge.output.splitlines() if "notification refused" in line]
    return [int(line.partition(" count=")[2].split()[0]) for line in lines]


async def post(url, *alerts):
    """Post one webhook; give status and sentence."""
    data = json.dumps(payload(*alerts)).encode()
    async with aiohttp.ClientSession() as session, session.post(f"{url}/webhook", data=data) as response:
        return response.status, await response.text()


async def ready(url):
    """Give status and sentence of the probe."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/-/ready") as response:
        return response.status, await response.text()


async def is_ready(url):
    """Say whether the bridge is ready."""
    return (await ready(url))[0] == 200


def active(aom):
    """Give the names of AOM's open alarms, each as often as it is there."""
    return sorted(event["metadata"]["event_name"] for event in aom.snapshot()["active"])


@contextlib.asynccontextmanager
async def started_on(disk, folder, aom, port=0):
    """Start the bridge with its ledger on a disk; the log lies elsewhere."""
    file, log = folder / "bridge.yaml", folder / "bridge.log"
    file.write_text(CONFIG.format(aom=aom.url, ledger=f"sqlite:///{disk.folder / 'ledger.db'}", target=""))
    log.write_bytes(b"")
    command = bridge_command("serve", f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}")
    with started(log, *disk.command(command)) as bridge:
        yield bridge


@contextlib.asynccontextmanager
async def bridge_on(disk, folder, aom):
    """Run the bridge on a disk; yields the process and its address, once it is ready."""
    async with started_on(disk, folder, aom) as bridge:
        await until(lambda: "msg=ready" in bridge.output or bridge.process.poll() is not None)
        assert "address=" in bridge.output, bridge.output
        yield bridge, bridge.output.partition("address=")[2].split()[0]


@pytest.fixture
async def aom():
    """An emulated AOM."""
    emulator = Emulator(Options(port=0))
    await emulator.start()
    yield emulator
    await emulator.stop()


@pytest.mark.parametrize("kind", [FileSizeLimit, SmallFileSystem], ids=["limit", "mount"])
async def test_a_full_disk_is_a_503_and_mends_itself(tmp_path, aom, kind):
    """A full disk: 503 with a sentence, not ready; with room again all works by itself, and AOM holds what got 200."""
    (tmp_path / "disk").mkdir()
    disk = full_disk(kind, tmp_path / "disk")
    async with bridge_on(disk, tmp_path, aom) as (bridge, url):
        sender = Sender(url)
        assert (await sender.send())[0] == 200
        disk.fill(bridge.process.pid)

        async def fails():
            status, text = await sender.send()
            assert status == 200 or (status == 503 and text.startswith("nothing was kept: the ledger cannot")), text
            return status == 503

        await until(fails)
        await until(lambda: _is_503(url))
        answers = await asyncio.gather(*(sender.send() for _ in range(20)))
        assert {status for status, _ in answers} == {503}
        status, text = await ready(url)
        assert (status, text.startswith("aom-bridge is not ready: the ledger cannot be used now")) == (503, True)
        assert f"{tmp_path}/disk/" in text
        assert ". Fix: " in text
        disk.relieve(bridge.process.pid)
        await until(lambda: is_ready(url))
        assert (await sender.send())[0] == 200
        await until(lambda: active(aom) == sorted(sender.kept), limit=30)
        assert not sender.refused & set(active(aom))
        await until(lambda: sum(refusals_told(bridge)) == sender.refusals)
        assert len(refusals_told(bridge)) < sender.refusals / 2
        assert "Traceback" not in bridge.output
        assert bridge.terminate() == 0


async def test_a_bridge_starts_on_a_full_disk_and_is_ready_when_there_is_room(tmp_path, aom):
    """No crash loop: webhooks get 503, the probe says why, metrics are there; with room all works by itself."""
    (tmp_path / "disk").mkdir()
    disk = full_disk(FullFromTheStart, tmp_path / "disk")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with started_on(disk, tmp_path, aom, port) as bridge:
        await until(lambda: "the ledger cannot be opened" in bridge.output)
        await until(lambda: listens(url))
        status, text = await post(url, alert("Refused"))
        assert (status, text.startswith("nothing was kept: the ledger")) == (503, True)
        status, text = await ready(url)
        assert (status, "full" in text) == (503, True)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/metrics") as response:
                assert 'aom_bridge_webhook_requests_total{code="503"} 1.0' in await response.text()
            async with session.get(f"{url}/api/v1/alarms") as response:
                assert response.status == 503
            async with session.post(f"{url}/-/reload") as response:
                assert "the ledger is not open" in await response.text()
        disk.relieve(bridge.process.pid)
        await until(lambda: is_ready(url))
        assert (await post(url, alert("StoredContents")))[0] == 200
        await until(lambda: active(aom) == ["StoredContents"])
        assert bridge.output.count("msg=ready") == 1
        assert "Traceback" not in bridge.output
        assert bridge.terminate() == 0


async def test_a_stop_before_the_disk_has_room_is_clean(tmp_path, aom):
    """SIGTERM while the ledger could not be opened yet: exit code 0, and no process is left."""
    (tmp_path / "disk").mkdir()
    disk = full_disk(FullFromTheStart, tmp_path / "disk")
    async with started_on(disk, tmp_path, aom, free_port()) as bridge:
        await until(lambda: "the ledger cannot be opened" in bridge.output)
        assert await asyncio.to_thread(bridge.terminate) == 0
        assert "Traceback" not in bridge.output


async def test_a_log_that_could_be_copied_back_never_fills_a_small_volume(tmp_path, aom):
    """On 2 MiB many repeats of few alerts all get 200: what they write again fits, if the log is copied back."""
    (tmp_path / "disk").mkdir()
    disk = full_disk(SmallFileSystem, tmp_path / "disk")
    async with bridge_on(disk, tmp_path, aom) as (bridge, url):
        for number in range(300):
            status, text = await post(url, alert("Repeated", annotations={"number": str(number)}))
            assert status == 200, text
        assert await is_ready(url)
        assert bridge.terminate() == 0


async def listens(url):
    """Say whether somebody answers there."""
    with contextlib.suppress(aiohttp.ClientError):
        return await ready(url)


async def _is_503(url):
    return (await ready(url))[0] == 503


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
async def test_a_ledger_file_that_has_gone_is_a_503(tmp_path, aom, is_replaced):
    """The ledger's file deleted or replaced under the bridge: 503 and not ready until a restart, which mends it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    disk, ledger = FileSizeLimit(folder), folder / "ledger.db"
    async with bridge_on(disk, tmp_path, aom) as (bridge, url):
        assert await post(url, alert("Before")) == (200, "kept: 1 new\n")
        await until(lambda: active(aom) == ["Before"])
        ledger.rename(folder / "elsewhere.db")
        if is_replaced:
            shutil.copy(folder / "elsewhere.db", ledger)
        for name in ("A", "B", "C"):
            status, text = await post(url, alert(name))
            assert status == 503
            assert "was deleted or replaced while it was open. Fix: put a backup back, and restart the bridge" in text
        status, text = await ready(url)
        assert (status, "restart the bridge" in text) == (503, True)
        assert active(aom) == ["Before"]
        bridge.kill()
    for file in folder.iterdir():
        file.unlink()
    async with bridge_on(disk, tmp_path, aom) as (bridge, url):
        assert await is_ready(url)
        assert await post(url, alert("Before"), alert("A")) == (200, "kept: 2 new\n")
        await until(lambda: active(aom) == ["A", "Before"])
