"""What happened since the last reset: requests, counts, violations.

In: one note per request or violation. Out: the parts of the state. It judges nothing; times are epoch
milliseconds. Only the newest entries are kept; the counts include all.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Final

MAX_VIOLATIONS: Final = 1_000
MAX_REQUESTS: Final = 100


@dataclass(kw_only=True, slots=True)
class Entry:
    """One request to the emulated API; `status` is 0 while there is no answer, and where there was none."""

    time: int
    method: str
    path_qs: str
    status: int = 0
    events: int = 0


class Journal:
    """The notes of one emulator."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.violations: deque[dict[str, object]] = deque(maxlen=MAX_VIOLATIONS)
        self.violations_total = 0
        self._requests: deque[Entry] = deque(maxlen=MAX_REQUESTS)

    def arrived(self, operation: str, time: int, method: str, path_qs: str) -> Entry:
        """Note a request of an operation; the caller fills in the status when it is known."""
        self.counts[operation] += 1
        entry = Entry(time=time, method=method, path_qs=path_qs)
        self._requests.append(entry)
        return entry

    def violated(self, time: int, project: str, text: str) -> None:
        """Note what was wrong with a request, and where."""
        self.violations_total += 1
        self.violations.append({"time": time, "project": project, "text": text})

    def requests(self) -> list[dict[str, object]]:
        """Return the newest requests, oldest first."""
        return [asdict(entry) for entry in self._requests]
