"""The ledger: one row per alarm; its states; put, claim, settle. SQL stands only in this room."""

from bridge.ledger.alarm import (
    ACTIONS,
    EFFECTS,
    STATES,
    Action,
    Alarm,
    AlertContext,
    ArrivedAlert,
    Claim,
    Effect,
    PutReceipt,
    State,
    alarm_id,
    unpack_ids,
    unpack_starts,
)
from bridge.ledger.ledger import Ledger
from bridge.ledger.operations.claims import Settlement
from bridge.ledger.operations.edits import EDITS, Edit, Edited, Editor, MapAnew, rejected
from bridge.ledger.operations.queries import AlarmView
from bridge.ledger.settings import LedgerSettings
from bridge.ledger.storage.database import editing, looking_at
from bridge.ledger.writer.client import WritingProcess, writing_process
from bridge.ledger.writer.group_commit import AbandonedError
from bridge.ledger.writer.messages import IncomingNotification, PackedAlerts, ParsedAlerts

__all__ = [
    "ACTIONS",
    "EDITS",
    "EFFECTS",
    "STATES",
    "AbandonedError",
    "Action",
    "Alarm",
    "AlarmView",
    "AlertContext",
    "ArrivedAlert",
    "Claim",
    "Edit",
    "Edited",
    "Editor",
    "Effect",
    "IncomingNotification",
    "Ledger",
    "LedgerSettings",
    "MapAnew",
    "PackedAlerts",
    "ParsedAlerts",
    "PutReceipt",
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
