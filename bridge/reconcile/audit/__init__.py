"""Compares AOM's own list with the ledger, for each target: alarms may be cleared, forgotten or applied late there.

    AOM's list, the ledger, Alertmanager's API ──▶ look ──▶ judge ──▶ memory ──▶ changes in the ledger

`looking` reads what there is, `judge` says what differs (pure), `memory` which differences two looks have shown (pure),
`changes` what is put into the ledger, and `target_audit` does it again and again. It pushes nothing itself: what is to
be cleared or reported becomes due in the ledger, and delivery sends it.
"""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.reconcile.audit.auditor import Auditor
    from bridge.reconcile.audit.settings import AuditSettings
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = ["AuditSettings", "Auditor"]
