"""Status: what the bridge shows of itself; it reads and never changes anything."""

from bridge.status.api import AlarmsApi
from bridge.status.configview import ConfigView
from bridge.status.exposition import Exposition
from bridge.status.landing import Landing
from bridge.status.probes import Probes
from bridge.status.views import as_json

__all__ = ["AlarmsApi", "ConfigView", "Exposition", "Landing", "Probes", "as_json"]
