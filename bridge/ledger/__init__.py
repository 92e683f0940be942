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
    IncomingAlert,
    Key,
    PutReceipt,
    State,
    alarm_id,
    unpack_ids,
    unpack_starts,
)
from bridge.ledger.due_alarms import DueAlarms
from bridge.ledger.incoming import IncomingNotification, NotificationReader, ParsedAlerts
from bridge.ledger.ledger import Ledger
from bridge.ledger.offline import OfflineLedger
from bridge.ledger.operations.claims import Settlement
from bridge.ledger.operations.edits import EDITS, Edit, Edited, MapAnew
from bridge.ledger.operations.queries import AlarmFilter, AlarmView
from bridge.ledger.records import AlarmRecords
from bridge.ledger.settings import LedgerSettings
from bridge.ledger.writer.client import WriterProcess
from bridge.ledger.writer.group_commit import AbandonedError

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
    "IncomingAlert",
    "IncomingNotification",
    "Key",
    "Ledger",
    "LedgerSettings",
    "MapAnew",
    "NotificationReader",
    "OfflineLedger",
    "ParsedAlerts",
    "PutReceipt",
    "Settlement",
    "State",
    "WriterProcess",
    "alarm_id",
    "decisions",
    "unpack_ids",
    "unpack_starts",
]
