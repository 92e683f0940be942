"""The ledger: one row for each alarm, and its states; put, claim, settle. The only package with SQL."""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.ledger import decisions
    from bridge.ledger.alarm import (
        ACTIONS,
        API_ENDINGS,
        API_OPENINGS,
        EFFECTS,
        ENDINGS_BY_HAND,
        Adopted,
        Alarm,
        AlertContext,
        ArrivedAlert,
        Cause,
        Claim,
        Effect,
        IncomingAlert,
        Key,
        PutReceipt,
        unpack_ids,
        unpack_starts,
    )
    from bridge.ledger.audited import GHOST
    from bridge.ledger.audits import Audits
    from bridge.ledger.due_alarms import DueAlarms
    from bridge.ledger.heartbeats import Heartbeats
    from bridge.ledger.history import By, Step, StepKind
    from bridge.ledger.incoming import IncomingNotification, NotificationReader, ParsedAlerts
    from bridge.ledger.ledger import Ledger
    from bridge.ledger.offline import OfflineLedger, OfflineSource
    from bridge.ledger.open_alarms import OpenAlarms
    from bridge.ledger.operations.audited import AuditChange, OpenAtTarget
    from bridge.ledger.operations.claims import Settlement
    from bridge.ledger.operations.edits import Edited, MapAnew
    from bridge.ledger.operations.heartbeats import SwitchRow
    from bridge.ledger.operations.history import AlarmDetail
    from bridge.ledger.operations.listed import (
        EndedAlarm,
        HeldAlarm,
        Knowledge,
        ListedChange,
        ListedDifference,
        SourceKnowledge,
    )
    from bridge.ledger.operations.queries import AlarmView
    from bridge.ledger.operations.search import AlarmPage
    from bridge.ledger.operations.search_filter import AlarmFilter
    from bridge.ledger.operations.status import LedgerStatus, Stage, Stages, TargetStatus
    from bridge.ledger.records import AlarmRecords
    from bridge.ledger.settings import LedgerSettings
    from bridge.ledger.states import EDITS, ORDERS, STATE_GROUPS, STATES, Action, Edit, State
    from bridge.ledger.timeline import TimelineEntry, TimelineKind, timeline_of
    from bridge.ledger.writer.client import WriterProcess
    from bridge.ledger.writer.group_commit import AbandonedError
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = [
    "ACTIONS",
    "API_ENDINGS",
    "API_OPENINGS",
    "EDITS",
    "EFFECTS",
    "ENDINGS_BY_HAND",
    "GHOST",
    "ORDERS",
    "STATES",
    "STATE_GROUPS",
    "AbandonedError",
    "Action",
    "Adopted",
    "Alarm",
    "AlarmDetail",
    "AlarmFilter",
    "AlarmPage",
    "AlarmRecords",
    "AlarmView",
    "AlertContext",
    "ArrivedAlert",
    "AuditChange",
    "Audits",
    "By",
    "Cause",
    "Claim",
    "DueAlarms",
    "Edit",
    "Edited",
    "Effect",
    "EndedAlarm",
    "Heartbeats",
    "HeldAlarm",
    "IncomingAlert",
    "IncomingNotification",
    "Key",
    "Knowledge",
    "Ledger",
    "LedgerSettings",
    "LedgerStatus",
    "ListedChange",
    "ListedDifference",
    "MapAnew",
    "NotificationReader",
    "OfflineLedger",
    "OfflineSource",
    "OpenAlarms",
    "OpenAtTarget",
    "ParsedAlerts",
    "PutReceipt",
    "Settlement",
    "SourceKnowledge",
    "Stage",
    "Stages",
    "State",
    "Step",
    "StepKind",
    "SwitchRow",
    "TargetStatus",
    "TimelineEntry",
    "TimelineKind",
    "WriterProcess",
    "decisions",
    "timeline_of",
    "unpack_ids",
    "unpack_starts",
]
