"""The ledger: one row per alarm; its states; put, claim, settle. SQL stands only in this room."""

from bridge.ledger.alarm import (
    ACTIONS,
    OUTCOMES,
    STATES,
    Action,
    Alarm,
    Arrival,
    Claim,
    Context,
    Outcome,
    Receipt,
    State,
    alarm_id,
    unpack_ids,
    unpack_starts,
)
from bridge.ledger.database import editing, looking_at
from bridge.ledger.edit import EDITS, Edit, Edited, Editor, MapAnew, rejected
from bridge.ledger.group import AbandonedError
from bridge.ledger.ledger import Ledger
from bridge.ledger.parcel import Opened, Parcel, Sealed
from bridge.ledger.read import AlarmView
from bridge.ledger.settings import LedgerSettings
from bridge.ledger.work import Settlement
from bridge.ledger.writing import WritingProcess, writing_process

__all__ = [
    "ACTIONS",
    "EDITS",
    "OUTCOMES",
    "STATES",
    "AbandonedError",
    "Action",
    "Alarm",
    "AlarmView",
    "Arrival",
    "Claim",
    "Context",
    "Edit",
    "Edited",
    "Editor",
    "Ledger",
    "LedgerSettings",
    "MapAnew",
    "Opened",
    "Outcome",
    "Parcel",
    "Receipt",
    "Sealed",
    "Settlement",
    "State",
    "WritingProcess",
    "alarm_id",
    "editing",
    "looking_at",
    "rejected",
    "unpack_ids",
    "unpack_starts",
    "writing_process",
]
