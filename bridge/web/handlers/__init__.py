"""The handlers of the bridge's own pages and of its API; all but `admin` only read."""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.web.handlers.alarm_json import as_json, detail_as_json
    from bridge.web.handlers.alarms import AlarmsApi
    from bridge.web.handlers.config import ConfigView
    from bridge.web.handlers.metrics import MetricsHandler
    from bridge.web.handlers.playground import PlaygroundApi
    from bridge.web.handlers.probes import HealthHandlers
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = [
    "AlarmsApi",
    "ConfigView",
    "HealthHandlers",
    "MetricsHandler",
    "PlaygroundApi",
    "as_json",
    "detail_as_json",
]
