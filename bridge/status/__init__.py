"""Status: what the bridge shows of itself; it reads and never changes anything."""

from bridge.status.exposition import Exposition
from bridge.status.landing import Landing
from bridge.status.probes import Probes

__all__ = ["Exposition", "Landing", "Probes"]
