"""The ledger: one row for each alarm, and its states; put, claim, settle. The only package with SQL."""

from bridge.ledger import decisions
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
    Key,
    PutReceipt,
    State,
    alarm_id,
    unpack_ids,
    unpack_starts,
)
from bridge.ledger.due_alarms import DueAlarms
from bridge.ledger.ledger import Ledger
from bridge.ledger.offline import OfflineLedger
from bridge.ledger.operations.claims import Settlement
from bridge.ledger.operations.edits import EDITS, Edit, Edited, MapAnew
from bridge.ledger.operations.queries import AlarmFilter, AlarmView
from bridge.ledger.records import AlarmRecords
from bridge.ledger.settings import LedgerSettings
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
    "AlarmFilter",
    "AlarmRecords",
    "AlarmView",
    "AlertContext",
    "ArrivedAlert",
    "Claim",
    "DueAlarms",
    "Edit",
    "Edited",
    "Effect",
    "IncomingNotification",
    "Key",
    "Ledger",
    "LedgerSettings",
    "MapAnew",
    "OfflineLedger",
    "PackedAlerts",
    "ParsedAlerts",
    "PutReceipt",
    "Settlement",
    "State",
    "WritingProcess",
    "alarm_id",
    "decisions",
    "unpack_ids",
    "unpack_starts",
    "writing_process",
]
