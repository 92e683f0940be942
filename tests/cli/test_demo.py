"""`aom-bridge demo`, run as people run it: real processes, with and without a terminal."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import termios
from pathlib import Path

import pytest
from process import bridge_command, children, parsed, started
from waiting import until
from webhooks import alert, post

ACTS = 6
pytestmark = pytest.mark.real


def is_gone(pid):
    """Say whether a process has ended; one that nobody has waited for yet has ended, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Terminal:
    """The demo on a terminal, what it has shown, and the terminal's own settings."""

    def __init__(self, folder, *arguments):
        self.shown = ""
        self._master, self._slave = pty.openpty()
        os.set_blocking(self._master, False)
        self.before = self.settings()
        env = os.environ | {"TMPDIR": str(folder), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        terminal = {"stdin": self._slave, "stdout": self._slave, "stderr": self._slave}
        self.process = subprocess.Popen(bridge_command("demo", *arguments), **terminal, env=env)

    def settings(self):
        """Give whether the terminal echoes keys and waits for Enter, and all that may be set besides."""
        return termios.tcgetattr(self._slave)

    def has_shown(self, text):
        """Say whether a text has been shown."""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._master, 65_536):
                self.shown += part.decode(errors="replace")
        return text in self.shown

    def press(self, keys):
        """Press keys."""
        os.write(self._master, keys.encode())

    def close(self):
        """End the demo at the latest now."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=15)
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminal(tmp_path):
    """A terminal with the demo, played once."""
    running = Terminal(tmp_path, "--once", "--speed=0.1")
    yield running
    running.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_the_demo_plays_its_acts_and_stays_up(tmp_path):
    """Without a terminal it says a line for each act, each keeps its promise, and then it waits for an Alertmanager."""
    log = tmp_path / "log"
    log.write_bytes(b"")
    (tmp_path / "tmp").mkdir()
    with started(log, *bridge_command("demo"), env=os.environ | {"TMPDIR": str(tmp_path / "tmp")}) as demo:
        await until(lambda: "Ctrl-C ends the demo" in demo.output, 180)
        for number in range(1, ACTS + 1):
            assert len(re.findall(rf"(?m)^act {number} of {ACTS}: .+ s\)$", demo.output)) == 1, demo.output
        assert "NOT KEPT" not in demo.output
        assert "AOM's open alarms equal the firing alerts." in demo.output
        assert "\x1b" not in demo.output
        url = re.search(r"url: (\S+)/webhook", demo.output)[1]
        assert f"aom-bridge alarms list --url {url}" in demo.output
        assert f"aom-bridge status --url {url}" in demo.output
        assert await post(url, alert("Mine")) == 200
        own = children(demo.process.pid)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(timeout=20) == 0
    assert "Traceback" not in demo.output
    assert own
    assert all(map(is_gone, own))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.slow
async def test_keys_hold_speed_and_end_the_demo(terminal, tmp_path):
    """On a terminal keys pause and change the speed; q ends the demo, and leaves no process, no file and no setting."""
    await until(lambda: terminal.has_shown("act 1 of 6"), 60)
    assert terminal.has_shown("speed 0.1")
    terminal.press("f")
    await until(lambda: terminal.has_shown("speed 0.2"))
    terminal.press(" ")
    await until(lambda: terminal.has_shown("paused"))
    own = children(terminal.process.pid)
    terminal.press("q")
    await until(lambda: terminal.has_shown("") or terminal.process.poll() is not None)
    await until(lambda: terminal.process.poll() is not None)
    assert terminal.process.returncode == 1  # it was to be played once, and was not
    assert terminal.settings() == terminal.before
    assert own
    assert all(map(is_gone, own))
    assert list(tmp_path.iterdir()) == []
    assert not terminal.has_shown("Traceback")


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "1e9"])
def test_a_speed_is_a_number_within_reason(speed, capsys):
    """A speed at which nothing would move, or that is no number, is refused with what to write."""
    with pytest.raises(SystemExit):
        parsed(["demo", "--speed", speed])
    assert "write a number from 0.1 to 100" in capsys.readouterr().err
