"""The ledger: one row per alarm; its states; put, claim, settle. SQL stands only in this room."""

from bridge.ledger.alarm import ACTIONS, OUTCOMES, STATES, Action, Alarm, Arrival, Claim, Outcome, State, alarm_id
from bridge.ledger.database import looking_at
from bridge.ledger.group import AbandonedError
from bridge.ledger.ledger import Ledger
from bridge.ledger.read import AlarmView
from bridge.ledger.settings import LedgerSettings
from bridge.ledger.work import Settlement

__all__ = [
    "ACTIONS",
    "OUTCOMES",
    "STATES",
    "AbandonedError",
    "Action",
    "Alarm",
    "AlarmView",
    "Arrival",
    "Claim",
    "Ledger",
    "LedgerSettings",
    "Outcome",
    "Settlement",
    "State",
    "alarm_id",
    "looking_at",
]
