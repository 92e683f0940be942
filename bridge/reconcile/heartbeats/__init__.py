"""Heartbeats (dead man's switches): an alert that always fires tells that its Prometheus lives; if it stops, an alarm.

    signs, by webhook and API ──▶ the ledger ──▶ states ──▶ an alarm of the bridge's own, raised or ended

`settings` says which alerts are signs, `states` what follows from the time of the last one (pure), `alarms` how the
alarm reads (pure), with the probable cause by `explanation` (pure), and `watch` looks again and again and puts the
alarms into the ledger.
"""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.reconcile.heartbeats.alarms import late_text
    from bridge.reconcile.heartbeats.settings import HeartbeatConfig, HeartbeatSettings
    from bridge.reconcile.heartbeats.states import STATES, Verdict, of_all
    from bridge.reconcile.heartbeats.watch import HeartbeatWatch
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = ["STATES", "HeartbeatConfig", "HeartbeatSettings", "HeartbeatWatch", "Verdict", "late_text", "of_all"]
