"""Status: what the bridge shows of itself; it reads and never changes anything."""

from bridge.web.handlers.alarm_json import as_json
from bridge.web.handlers.alarms import AlarmsApi
from bridge.web.handlers.config import ConfigView
from bridge.web.handlers.landing import Landing
from bridge.web.handlers.metrics import Exposition
from bridge.web.handlers.probes import Probes

__all__ = ["AlarmsApi", "ConfigView", "Exposition", "Landing", "Probes", "as_json"]
