"""Holds the ledger in step with Alertmanager: asks its API for what webhooks never tell, and tells the ledger.

    peers ──▶ round ──▶ coverage, tracks ──▶ rules ──▶ differences ──▶ the ledger, if nothing came meanwhile

Every interval `source` asks each peer (`peer`, `round`), works out what the answers prove (`coverage`, `tracks`), and
which alarms differ and when that is certain (`rules`); all of this but the asking is pure (`comparison`). What is due
is ended or raised by the ledger's own rules. What in the peers' own configuration loses alerts (`routing`, `lint`,
`swallowing`) is told beside it. No module here receives a webhook.
`heartbeats` raises an alarm of the bridge's own when an alert that always fires stops. `audit` compares AOM's own list
with the ledger, and `canary` sends an alarm of the bridge's own through the whole chain.

A round of 100,000 alerts must not hold up webhooks, so its long steps run on threads. Values of which there is one for
each alert have ``gc=False``: a pass of the garbage collector over them would block every thread. They cannot be part of
a cycle, which it alone could free.
"""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.reconcile.audit import Auditor, AuditSettings
    from bridge.reconcile.canary import Canary
    from bridge.reconcile.canary_settings import CanarySettings
    from bridge.reconcile.heartbeats import STATES as HEARTBEAT_STATES
    from bridge.reconcile.heartbeats import HeartbeatConfig, HeartbeatSettings
    from bridge.reconcile.notices import NOTICE_KINDS
    from bridge.reconcile.ping import Ping
    from bridge.reconcile.ping_settings import PingSettings
    from bridge.reconcile.reconciler import Reconciler
    from bridge.reconcile.rules import CHANGES, KINDS
    from bridge.reconcile.settings import AlertmanagerSettings
    from bridge.reconcile.telling import OUTCOMES_OF_ROUNDS
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = [
    "CHANGES",
    "HEARTBEAT_STATES",
    "KINDS",
    "NOTICE_KINDS",
    "OUTCOMES_OF_ROUNDS",
    "AlertmanagerSettings",
    "AuditSettings",
    "Auditor",
    "Canary",
    "CanarySettings",
    "HeartbeatConfig",
    "HeartbeatSettings",
    "Ping",
    "PingSettings",
    "Reconciler",
]
