"""By what people search alarms: a small row for each, and indexes by state and by alert."""

from __future__ import annotations

import hashlib
from itertools import chain, starmap

import msgspec
import sqlalchemy as sa
import zstandard
from alembic import op
from sqlalchemy.engine import Connection

revision = "0008"
down_revision = "0007"

_ROWS_AT_ONCE = 1_000
_Row = tuple[int, int, str, str, str, int, str]
_FINISHED = sa.text("finished_at IS NOT NULL")
_UNFINISHED = sa.text("finished_at IS NULL")
_PAST = sa.text("NOT is_newest")
_PAST_SQLITE = sa.text("is_newest = 0")
_alarms = sa.table("alarms", *map(sa.column, ("received_at", "seq", "source", "target", "severity")))
_contents = sa.table("alarm_contents", *map(sa.column, ("seq", "kept")))


def upgrade() -> None:
    """Create the table and fill it with the alarms there are; then add the indexes, which other replicas wait for."""
    op.create_table(
        "alarm_search",
        sa.Column("received_at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("target", sa.String, nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("name_hash", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    _fill(op.get_bind())
    op.create_index("search_places", "alarm_search", ["source", "target", "severity", "received_at", "seq"])
    op.create_index("search_names", "alarm_search", ["name_hash", "received_at", "seq"])
    _index("alarms_unfinished", ["received_at", "seq"], _UNFINISHED)
    _index("alarms_past", ["source", "fingerprint", "received_at", "seq"], _PAST, _PAST_SQLITE)
    _index("alarms_ended", ["state", "target", "received_at", "seq"], _FINISHED)


def _index(name: str, columns: list[str], where: sa.TextClause, on_sqlite: sa.TextClause | None = None) -> None:
    sqlite_where = where if on_sqlite is None else on_sqlite
    op.create_index(name, "alarms", columns, sqlite_where=sqlite_where, postgresql_where=where)


class _Reader:
    """Reads from the contents of an alarm what it is searched by."""

    def __init__(self) -> None:
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._texts = msgspec.json.Decoder(dict[str, str]).decode

    def row(self, received_at: int, seq: int, source: str, target: str, severity: str, kept: bytes | None) -> _Row:
        try:
            event = self._parts(self._parts(self._decompress(kept or b""))["event"])
            metadata = self._texts(event["metadata"])
        except (zstandard.ZstdError, ValueError, KeyError):
            metadata = {"event_name": "unreadable", "resource_id": "unreadable"}
        name = metadata.get("event_name", "")
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        text = f"{name.casefold()}\x1f{metadata.get('resource_id', '').casefold()}".replace("\0", " ")
        return received_at, seq, source, target, severity, int.from_bytes(digest, "big", signed=True), text


def _fill(connection: Connection) -> None:
    """Add a row for each alarm; in statements of many rows, which are several times as fast as one for each."""
    last: sa.BindParameter[int] = sa.bindparam("last")
    # The second bound follows from the first, but PostgreSQL would read all contents up to it each time.
    is_same = sa.and_(_contents.c.seq == _alarms.c.seq, _contents.c.seq > last)
    query = sa.select(*_alarms.c, _contents.c.kept).outerjoin(_contents, is_same).where(_alarms.c.seq > last)
    query = query.order_by(_alarms.c.seq).limit(_ROWS_AT_ONCE)
    one = "(?, ?, ?, ?, ?, ?, ?)" if connection.dialect.name == "sqlite" else "(%s, %s, %s, %s, %s, %s, %s)"
    row, done = _Reader().row, 0
    while found := connection.execute(query, {"last": done}).all():
        text = f"INSERT INTO alarm_search VALUES {', '.join([one] * len(found))}"  # noqa: S608 - placeholders alone
        connection.exec_driver_sql(text, tuple(chain.from_iterable(starmap(row, found))))
        done = found[-1].seq
