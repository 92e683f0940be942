"""The command line in this process: what it prints and its exit code, without the second that a new process takes."""

import asyncio
import contextlib
import io
import sys
from contextvars import ContextVar

from bridge.cli import main


class _Output(io.TextIOWrapper):
    """Text that is kept, whose bytes can be written, too."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self):
        return self.buffer.getvalue().decode()


class _Own:
    """A stream that keeps what the command writes, and passes on the log of a bridge that runs beside it."""

    def __init__(self, kept, passed_on):
        self._kept, self._passed_on = kept, passed_on

    def __getattr__(self, name):
        return getattr(self._kept if _is_command.get() else self._passed_on, name)


_is_command = ContextVar("is_command", default=False)


async def command(*words):
    """Run a command beside what runs here; give its exit code, what it printed and what it complained of."""
    out, err = _Output(), _Output()
    streams = _Own(out, sys.stdout), _Own(err, sys.stderr)
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        code = await asyncio.to_thread(_code, words)
    return code, out.text(), err.text()


def _code(words):
    _is_command.set(True)
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code
