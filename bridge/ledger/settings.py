"""The `store:` section of the configuration file: where the ledger lies and how much it may hold."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.clock import DAY, MINUTE, SECOND
from bridge.scalars import DurationField


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """Where the ledger lies and how much it may hold.

    ``url``: ``sqlite:///FILE``, relative to the working directory, or ``sqlite:////ABSOLUTE/FILE``.
    ``lease``: how long a claimed alarm stays with its holder before another one may take it.
    """

    url: str = "sqlite:///aom-bridge.db"
    max_open: int = 1_000_000
    history: DurationField = 7 * DAY
    lease: DurationField = 1 * MINUTE

    def problems(self) -> list[tuple[str, str]]:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        found = []
        if not self.url.startswith("sqlite:///") or self.url == "sqlite:///":
            text = "it is not a SQLite file. Fix: sqlite:///FILE, or with four slashes sqlite:////ABSOLUTE/FILE."
            found.append(("url", text))  # never the value: a database's address may carry a password
        if self.max_open < 1:
            found.append(("max_open", "it must be at least 1. Fix: such as 1000000."))
        if self.lease < 10 * SECOND:
            found.append(("lease", "it must be at least 10s, twice what a request may take. Fix: such as 60s."))
        return found
