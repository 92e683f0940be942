"""The only client of AOM and IAM: requests, credentials, ids; it returns outcomes and raises no exceptions."""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.aom.alarm_list import ListedAlarm, Listing, ListKind, Query
    from bridge.aom.client import MAX_BODY_BYTES, AomClient
    from bridge.aom.outcome import REASONS, Outcome, Reason
    from bridge.aom.settings import TargetSettings
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = [
    "MAX_BODY_BYTES",
    "REASONS",
    "AomClient",
    "ListKind",
    "ListedAlarm",
    "Listing",
    "Outcome",
    "Query",
    "Reason",
    "TargetSettings",
]
