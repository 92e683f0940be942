"""The only client of AOM and IAM: requests, credentials, ids; it answers with outcomes, never with exceptions."""

from bridge.aom.alarm_list import Found, Listing, ListKind, Query
from bridge.aom.client import LARGEST_BODY, AomClient
from bridge.aom.outcome import REASONS, Outcome, Reason
from bridge.aom.settings import TargetSettings

__all__ = [
    "LARGEST_BODY",
    "REASONS",
    "AomClient",
    "Found",
    "ListKind",
    "Listing",
    "Outcome",
    "Query",
    "Reason",
    "TargetSettings",
]
