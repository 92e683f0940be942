"""The only client of AOM and IAM: requests, credentials, ids; it returns outcomes and raises no exceptions."""

from bridge.aom.alarm_list import ListedAlarm, Listing, ListKind, Query
from bridge.aom.client import MAX_BODY_BYTES, AomClient
from bridge.aom.outcome import REASONS, Outcome, Reason
from bridge.aom.settings import TargetSettings

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
