"""The ledger's tables for SQLAlchemy; `migrations` creates them, and a test compares the two.

The blobs are in a table of their own, so that a claim or a settle rewrites a few bytes and not the whole alert.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

VERSION_TABLE = "ledger_version"
"""Where Alembic notes which migrations the database has."""

metadata = MetaData()

_SEQ = BigInteger().with_variant(Integer(), "sqlite")
_OPEN = text("ends_at IS NULL AND finished_at IS NULL")
_DUE = text("due_at IS NOT NULL")
_DOUBTED = text("doubt_at IS NOT NULL")
_FINISHED = text("finished_at IS NOT NULL")
_UNFINISHED = text("finished_at IS NULL")
_REJECTED = text("state = 'rejected' AND ends_at IS NULL")
# SQLite uses a partial index only for a query with the same text, and there a boolean is a number. PostgreSQL's
# conditions stand in the migrations alone: an option of its dialect here would import the dialect into every process.
_LAST = text("is_newest = 1 AND (ends_at IS NOT NULL OR finished_at IS NOT NULL)")
_WAITED_FOR = text("finished_at IS NULL AND is_newest = 0")
_PAST = text("is_newest = 0")

alarms = Table(
    "alarms",
    metadata,
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("target", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("event_type", String(16), nullable=False),
    Column("timeout", BigInteger, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("is_newest", Boolean, nullable=False),
    Column("refresh_due", Boolean, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("fired_at", BigInteger, nullable=False),
    Column("newest_starts_at", BigInteger, nullable=False),
    Column("newest_fired_at", BigInteger, nullable=False),
    Column("earliest_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("ends_at", BigInteger),
    Column("resolved_at", BigInteger),
    Column("first_reported_at", BigInteger),
    Column("reported_at", BigInteger),
    Column("reported_starts_at", BigInteger),
    Column("due_since", BigInteger),
    Column("due_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", String(64)),
    Column("doubt_at", BigInteger),
    Column("reason", String(32)),
    Column("detail", Text),
    Column("finished_at", BigInteger),
    Column("first_sent_start", BigInteger),
    Column("sent_start", BigInteger),
    Column("named_ids", Text),
    Column("earlier_ids", Text),
    Column("earlier_starts", Text),
    Column("phase", String(16)),
    Column("opened_by", String(16)),
    Column("ended_by", String(16)),
    Index("alarms_open", "source", "fingerprint", unique=True, sqlite_where=_OPEN),
    Index("alarms_last", "source", "fingerprint", unique=True, sqlite_where=_LAST),
    Index(
        "alarms_waited_for",
        "source",
        "fingerprint",
        "seq",
        sqlite_where=_WAITED_FOR,
    ),
    # Ids of newest alarms are not indexed: that would write two random pages for each alarm; a rare look-up scans.
    Index("alarms_past_id", "id", unique=True, sqlite_where=_PAST),
    Index("alarms_due", "target", "state", "due_at", "seq", "due_since", sqlite_where=_DUE),
    Index("alarms_doubted", "target", "doubt_at", sqlite_where=_DOUBTED),
    Index("alarms_finished", "finished_at", sqlite_where=_FINISHED),
    Index("alarms_rejected", "source", sqlite_where=_REJECTED),
    Index("alarms_unfinished", "received_at", "seq", sqlite_where=_UNFINISHED),
    Index("alarms_ended", "state", "target", "received_at", "seq", sqlite_where=_FINISHED),
    Index("alarms_past", "source", "fingerprint", "received_at", "seq", sqlite_where=_PAST),
)

contents = Table(
    "alarm_contents",
    metadata,
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("kept", LargeBinary, nullable=False),
)
"""``kept``: the frozen event, the current annotations, the alert and its group; JSON, compressed by zstandard."""

search = Table(
    "alarm_search",
    metadata,
    Column("received_at", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("source", String(64), nullable=False),
    Column("target", String, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("name_hash", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Index("search_places", "source", "target", "severity", "received_at", "seq"),
    Index("search_names", "name_hash", "received_at", "seq"),
    sqlite_with_rowid=False,
)
"""By what people search alarms: one row for each, in the order in which the bridge took their alerts in.

It is written once, with the alarm, and again only when the alarm is mapped again: an index on `alarms` would be written
at each of its updates on PostgreSQL. A search reads 150 bytes for each alarm here, and a whole row with its contents is
ten times as long. ``name_hash`` and ``text``: see `bridge.ledger.storage.search_rows`. An alarm that a replica of an
earlier version has added gets its row from `bridge.ledger.operations.search_fill`."""

counters = Table(
    "ledger_counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""``alarm_seq``: the last number of an alarm; its row is also the put lock. ``edits``: the number of edits by the
command line. ``probed_at``: the time of the last readiness probe."""

changes = Table(
    "ledger_changes",
    metadata,
    Column("seq", _SEQ, primary_key=True),
    Column("changed_at", BigInteger, nullable=False),
    Column("who", String(255), nullable=False),
    Column("edit", String(16), nullable=False),
    Column("id", String(64), nullable=False),
    Column("text", Text, nullable=False),
)
"""Edits by the command line that no bridge has logged yet."""

steps = Table(
    "ledger_steps",
    metadata,
    Column("seq", _SEQ, primary_key=True),
    Column("alarm", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("who", String(255)),
    Column("origin", String(255)),
    Column("text", Text, nullable=False),
    Index("steps_of_alarm", "alarm"),
)
"""What happened to an alarm and does not show in its row: changes by hand, and AOM's refusals; ``alarm`` is its number.

``who`` and ``origin``: who made a change by hand, and from where; both are NULL for what AOM did."""

listed = Table(
    "ledger_listed",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("validity", BigInteger),
    Column("is_quiet", Boolean, nullable=False),
    Column("strikes", Integer, nullable=False),
    Column("cleared_at", BigInteger),
)
"""What Alertmanager's API has shown of alerts whose alarms are open or ended lately; written only where it changes."""

sources = Table(
    "ledger_sources",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("receivers", Text, nullable=False),
    Column("longest_validity", BigInteger),
    Column("leader", String(64)),
    Column("leader_until", BigInteger),
    Column("covered_at", BigInteger),
)
"""``receivers``: those that notifications of the source have named, as a JSON list. ``leader``: the bridge that
compares the source with Alertmanager, and until when. ``covered_at``: when every peer has answered last."""

differences = Table(
    "ledger_differences",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("waits_for", String(16), nullable=False),
)
"""The alerts whose alarm was not what Alertmanager says in the last round, for people; decisions do not read them."""

heartbeats = Table(
    "ledger_heartbeats",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("heartbeat", String(64), nullable=False),
    Column("by_labels", Text, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)
"""When each switch of a heartbeat has shown a sign last; ``by_labels``: the values of its `by` labels, as JSON."""
