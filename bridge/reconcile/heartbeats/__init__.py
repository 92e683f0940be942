"""Heartbeats (dead man's switches): an alert that always fires tells that its Prometheus lives; if it stops, an alarm.

    signs, by webhook and API ──▶ the ledger ──▶ states ──▶ an alarm of the bridge's own, raised or ended

`settings` says which alerts are signs, `states` what follows from the time of the last one (pure), `alarms` how the
alarm reads (pure), with the probable cause by `explanation` (pure), and `watch` looks again and again and puts the
alarms into the ledger.
"""

from bridge.reconcile.heartbeats.alarms import late_text
from bridge.reconcile.heartbeats.settings import HeartbeatSettings
from bridge.reconcile.heartbeats.states import STATES, Verdict, of_all
from bridge.reconcile.heartbeats.watch import HeartbeatConfig, HeartbeatWatch

__all__ = ["STATES", "HeartbeatConfig", "HeartbeatSettings", "HeartbeatWatch", "Verdict", "late_text", "of_all"]
