"""Searches of a ledger with a million alarms, on SQLite and PostgreSQL: `python -m bench.search`.

The ledger is filled directly, as the version before `alarm_search` left it, so that the migration is measured as well.
Most alarms are finished; of each filter there are values that most alarms have, and values of a few old ones.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from msgspec.structs import astuple
from msgspec.structs import replace as changed
from postgres import postgres_server

from bench import alerts, table
from bridge.clock import HOUR, Millis
from bridge.event import Event, Mapped
from bridge.ledger import STATE_GROUPS, Alarm, AlarmFilter, AlarmPage, AlertContext
from bridge.ledger.operations import queries, status
from bridge.ledger.operations.search import Search
from bridge.ledger.storage import rows
from bridge.ledger.storage.database import Database, database
from bridge.ledger.storage.schema import alarms, contents
from bridge.notification import Alert, Group

Values = tuple[Any, ...]

_T0: Millis = 1_700_000_000_000
_EVERY: Millis = 1_000
_FLAPPING = "f" * 16
_POOL = 5_000
_AT_ONCE = 5_000
_TURNS = 5
_PAGE = 50
_NEW_INDEXES = ("alarms_unfinished", "alarms_ended", "alarms_past")


class Alarms:
    """The alarms of a ledger with this many of them, the oldest first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._open_from = count - count * 8 // 100
        self._contents = [_packed(number, {}) for number in range(_POOL)]
        self._rare = _packed(0, {"team": "few"})

    def rows(self) -> Iterator[tuple[Values, bytes]]:
        """Yield the row and the packed contents of each."""
        for number in range(self.count):
            packed = self._rare if number in (11, 12, 13) else self._contents[number % _POOL]
            yield astuple(self._alarm(number)), packed

    def _alarm(self, number: int) -> Alarm:
        at = _T0 + number * _EVERY
        alarm = Alarm(
            seq=number + 1,
            id=f"{number:032x}",
            source="lab" if number in (21, 22, 23) else ("default", "default", "eu", "us")[number % 4],
            fingerprint=f"{number * 2_654_435_761 % 2**64:016x}",
            target="few" if number in (31, 32, 33, 34, 35) else "default" if number % 7 else f"t{number % 20}",
            rule="r",
            severity="Critical" if 40 <= number < 50 else ("Minor", "Minor", "Minor", "Info", "Major")[number % 5],
            event_type="alarm",
            timeout=HOUR,
            digest="0" * 16,
            state="reported",
            is_newest=True,
            refresh_due=False,
            starts_at=at,
            fired_at=at,
            newest_starts_at=at,
            newest_fired_at=at,
            earliest_at=at,
            received_at=at,
            last_seen=at,
            first_reported_at=at + 500,
            reported_at=at + 500,
            reported_starts_at=at,
        )
        return self._unfinished(number, alarm) if self._is_unfinished(number) else self._finished(number, alarm)

    def _is_unfinished(self, number: int) -> bool:
        return number >= self._open_from or number % 50 == 49

    def _unfinished(self, number: int, alarm: Alarm) -> Alarm:
        at = alarm.received_at
        due = {"due_since": at, "due_at": at + HOUR, "attempts": 1, "reason": "timeout", "phase": "retrying"}
        if number % 20 == 0:
            return changed(alarm, state="report_due", reported_at=None, first_reported_at=None, **due)
        if number % 20 == 1:
            return changed(alarm, state="clear_due", ends_at=at + 1, resolved_at=at + 1, **due)
        if number in (49, 99):
            return changed(alarm, state="clear_due", ends_at=at + 1, claimed_by="w", **due)
        return alarm

    def _finished(self, number: int, alarm: Alarm) -> Alarm:
        state = "cleared"
        if 50 <= number < 70:
            state = "rejected"
        elif number % 60 == 0:
            state = "expired"
        at = alarm.received_at
        is_flap = number % 500 == 7
        return changed(
            alarm,
            state=state,
            ends_at=at + 60_000,
            resolved_at=at + 60_000,
            finished_at=at + 61_000,
            **({"fingerprint": _FLAPPING, "source": "eu", "is_newest": False} if is_flap else {}),
        )


def _packed(number: int, more: dict[str, str]) -> bytes:
    labels = {**alerts.labels_of("s", number), **more}
    name = "OnceAYear" if more else f"KubePodNotReady{number % 300}"
    resource = f"clusterName=prod;kind=Pod;namespace={labels['namespace']};name={labels['pod']}"
    metadata = {
        "event_name": name,
        "event_severity": "Minor",
        "event_type": "alarm",
        "resource_provider": "CCE",
        "resource_type": "pod",
        "resource_id": resource,
        "alert_source": "default",
        **{f"label_{key}": text for key, text in labels.items()},
    }
    annotations = alerts.annotations_of(labels)
    alert = Alert("0" * 16, "firing", labels, annotations, _T0, None, "http://prometheus.example:9090/graph")
    group = Group("aom", "{}", {}, {}, {}, "http://alertmanager.example:9093")
    codec = rows.codec()
    mapped = codec.mapped_alert(Mapped(Event(metadata, annotations, HOUR), "default", "r"), AlertContext(alert, group))
    return b"" if mapped is None else codec.pack(mapped.contents)


def _cases(count: int) -> dict[str, AlarmFilter]:
    """Return what is searched, by what it is called in the table."""
    last = _T0 + (count - 1) * _EVERY
    states = ("report_due", "reported", "clear_due", "cleared", "rejected", "discarded", *STATE_GROUPS)
    cases = {
        "all, newest first": AlarmFilter(),
        "all, oldest first": AlarmFilter(order="oldest"),
        "all, worst first": AlarmFilter(order="worst"),
        **{f"state {state}": AlarmFilter(states=[state]) for state in states},
        "target of most": AlarmFilter(target="default"),
        "target of 5 old ones": AlarmFilter(target="few"),
        "source of most": AlarmFilter(source="default"),
        "source of 3 old ones": AlarmFilter(source="lab"),
        "severity of most": AlarmFilter(severity="Minor"),
        "severity of 10 old ones": AlarmFilter(severity="Critical"),
        "event name": AlarmFilter(event_name="KubePodNotReady7"),
        "event name of 3 old ones": AlarmFilter(event_name="OnceAYear"),
        "one minute, long ago": AlarmFilter(since=_T0 + 60_000, until=_T0 + 120_000),
        "the last minute": AlarmFilter(since=last - 60_000),
        "one alert": AlarmFilter(fingerprint=_FLAPPING, source="eu"),
        "Critical and cleared": AlarmFilter(severity="Critical", states=["cleared"]),
        "rejected, Minor, of a target": AlarmFilter(severity="Minor", states=["rejected"], target="default"),
        "text of many": AlarmFilter(text="SHOP-7"),
        "text of 3 old ones": AlarmFilter(text="onceayear"),
        "labels of many": AlarmFilter(labels=lambda labels: labels["namespace"] == "shop-7"),
        "labels of 3 old ones": AlarmFilter(labels=lambda labels: labels.get("team") == "few"),
    }
    return {name: replace(chosen, limit=_PAGE) for name, chosen in cases.items()}


def fill(ledger: Database, url: str, count: int) -> float:
    """Fill an empty ledger as the version before `alarm_search` left it; return how long its migration took, in s."""
    ledger.open()
    with ledger.engine.begin() as connection:
        for name in _NEW_INDEXES:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        connection.exec_driver_sql("DROP TABLE alarm_search")
        connection.exec_driver_sql("UPDATE ledger_version SET version_num = '0007'")
    ledger.close()
    (_fill_sqlite if url.startswith("sqlite:") else _fill_postgres)(url, Alarms(count).rows())
    begun = time.monotonic()
    ledger.open()
    took = time.monotonic() - begun
    ledger.close()
    return took


def _fill_sqlite(url: str, made: Iterator[tuple[Values, bytes]]) -> None:
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("BEGIN")
        marks = ", ".join("?" * len(alarms.columns))
        while some := list(islice(made, _AT_ONCE)):
            raw.executemany(f"INSERT INTO alarms VALUES ({marks})", [row for row, _ in some])  # noqa: S608 - marks alone
            raw.executemany("INSERT INTO alarm_contents VALUES (?, ?)", [(row[0], packed) for row, packed in some])
        raw.execute("COMMIT")


def _fill_postgres(url: str, made: Iterator[tuple[Values, bytes]]) -> None:
    with psycopg.connect(url) as raw, raw.cursor() as cursor:
        while some := list(islice(made, _AT_ONCE)):
            for into, found in (
                (alarms, [row for row, _ in some]),
                (contents, [(row[0], packed) for row, packed in some]),
            ):
                with cursor.copy(f"COPY {into.name} FROM STDIN") as copying:
                    for row in found:
                        copying.write_row(row)


def _measure(url: str, cases: Mapping[str, AlarmFilter]) -> dict[str, str]:
    """Return for each case how long a page took: the median and the longest of some, in milliseconds."""
    found = {}
    ledger = database(url)
    for name, chosen in cases.items():
        times = []
        for _ in range(_TURNS):
            begun = time.monotonic()
            page = _page(ledger, Search(chosen, 1.0))
            times.append((time.monotonic() - begun) * 1000)
        looked = "" if page.looked_until is None else f", looked back to number {(page.looked_until - _T0) // _EVERY:,}"
        found[name] = (
            f"{table.number(statistics.median(times))} (longest {table.number(max(times))}), {len(page.views)}{looked}"
        )
    found |= {name: table.number(took) for name, took in _status_times(ledger).items()}
    ledger.engine.dispose()
    ledger.reads.dispose()
    return found


def _page(ledger: Database, search: Search) -> AlarmPage:
    page = None
    while page is None:
        with ledger.reads.connect().execution_options(read_only=True) as connection:
            page = search.step(connection)
    return page


def _status_times(ledger: Database) -> dict[str, float]:
    targets, sources = ("default", "few", *(f"t{index}" for index in range(20))), ("default", "eu", "us", "lab")
    times: dict[str, list[float]] = {"status of a running bridge": [], "status beside it": []}
    with ledger.reads.connect().execution_options(read_only=True) as connection:
        counts = queries.counts(connection)
        for _ in range(_TURNS):
            for name, known in zip(times, (counts, None), strict=True):
                begun = time.monotonic()
                status.status(connection, targets, sources, _T0, known)
                times[name].append((time.monotonic() - begun) * 1000)
    return {name: statistics.median(some) for name, some in times.items()}


@contextlib.contextmanager
def _places(folder: Path) -> Iterator[Mapping[str, str]]:
    """Return the address of an empty ledger on each database."""
    with tempfile.TemporaryDirectory(dir=folder) as own, postgres_server() as server:
        yield {"SQLite": f"sqlite:///{own}/ledger.db", "PostgreSQL": server.url(server.create())}


def _main() -> None:
    parser = argparse.ArgumentParser(prog="bench.search", description="Measure searches of a large ledger.")
    parser.add_argument("--alarms", type=int, default=1_000_000, help="how many (default: a million)")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="for the SQLite file, on a real disk")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    cases = _cases(arguments.alarms)
    columns: dict[str, dict[str, str]] = {}
    with _places(arguments.folder.absolute()) as places:
        for name, url in places.items():
            migration = {"migration, s": table.number(fill(database(url), url, arguments.alarms))}
            columns[name] = migration | _measure(url, cases)
    lines = [(what, *(column[what] for column in columns.values())) for what in columns["SQLite"]]
    sys.stdout.write(table.grid((f"{arguments.alarms:,} alarms; ms for a page, alarms on it", *columns), lines) + "\n")


if __name__ == "__main__":
    _main()
