"""The command line in this process: what it prints and its exit code, without the second that a new process takes."""

import asyncio
import contextlib
import io

from bridge.cli import main


class _Output(io.TextIOWrapper):
    """Text that is kept, whose bytes can be written, too."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self):
        return self.buffer.getvalue().decode()


async def command(*words):
    """Run a command beside what runs here; give its exit code, what it printed and what it complained of."""
    out, err = _Output(), _Output()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await asyncio.to_thread(_code, words)
    return code, out.text(), err.text()


def _code(words):
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code
