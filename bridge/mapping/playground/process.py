"""The process of one trial: limits itself, reads the request, tries it, writes the result.

In: one request on standard input. Out: one result on standard output. It opens no connection, and must not outlive the
bridge. Its limits are set before the request is read, and it computes at a low priority, so that webhooks come
first. `bridge.app.trials` is the other side.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from bridge.mapping.playground.messages import read_request, write_result
from bridge.mapping.playground.trial import TrialResult, tried

MAX_CPU_SECONDS = 10
"""A mapping section of 256 KiB is read in 4 s, and that in use as well (measured)."""

MAX_MEMORY_BYTES = 160 << 20
"""Of addresses; 37 MiB without a request, 115 MiB with the largest one (measured). Two processes and the bridge fit
into the 512 MiB that the shipped manifests allow.
"""

_LOW_PRIORITY = 10
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def main() -> None:
    """Run one trial."""
    _limit()
    sys.stdout.buffer.write(write_result(_result()))


def _result() -> TrialResult:
    """Return the result; what fails is told by its kind only, since its text may hold anything."""
    try:
        return tried(*read_request(sys.stdin.buffer))
    except MemoryError:
        return TrialResult(error=too_much_memory())
    except Exception as error:  # noqa: BLE001 - an error of the bridge itself, which the page shows
        return TrialResult(error=f"the trial failed by an error of the bridge: {type(error).__name__}")


def too_much_memory() -> str:
    """Return the sentence about a trial that needed too much memory."""
    return (
        f"the trial needed more than {MAX_MEMORY_BYTES >> 20} MiB of memory. Fix: fewer alerts, or simpler templates."
    )


def _limit() -> None:
    """Set every limit that the system has for it: time, memory, no files, no other processes, no core dump."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the bridge decides what happens at Ctrl-C
    os.nice(_LOW_PRIORITY)
    if sys.platform == "linux":  # other systems refuse some of these limits
        Path("/proc/self/oom_score_adj").write_text(
            "1000", encoding="ascii"
        )  # where memory is short, before the bridge
        ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        _set_limit(resource.RLIMIT_AS, MAX_MEMORY_BYTES)
        _set_limit(resource.RLIMIT_NPROC, 0)
    _set_limit(resource.RLIMIT_CPU, MAX_CPU_SECONDS)
    _set_limit(resource.RLIMIT_FSIZE, 0)
    _set_limit(resource.RLIMIT_CORE, 0)


def _set_limit(kind: int, limit: int) -> None:
    """Set the soft limit, which ends the process by a signal that says why; the hard one can only be lower already."""
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
