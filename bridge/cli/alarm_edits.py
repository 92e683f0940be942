"""`aom-bridge alarms retry`, `clear` and `discard`: changes by hand, of named alarms or of all that a search finds.

In: the command line, the alarms. Out: one sentence for each change and a summary. What a search finds is shown first,
and changed after a yes on a terminal, or with `--yes`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from bridge.cli.alarm_access import AlarmAccess, Changed, Row, access_of, nothing_fits, query_of
from bridge.cli.alarm_table import lines
from bridge.cli.output import terminal_width
from bridge.cli.progress import progress
from bridge.cli.table import id_length
from bridge.cli.terminal import complain, say
from bridge.clock import system_clock
from bridge.errors import BridgeError, UnknownAlarmError
from bridge.ledger.states import Edit, forbids

_STATES_OF: dict[Edit, Sequence[str]] = {"retry": ("rejected", "waiting"), "clear": ("open",), "discard": ("rejected",)}
"""Which alarms a search means that names no state."""

_OTHERS: dict[Edit, str] = {"retry": "--all-states", "clear": "--all-states", "discard": "--state unfinished"}
"""The option by which a search means the others that can be changed so."""

_PREVIEWED = 10
_MAX_CHANGED = 100_000


def change(edit: Edit, arguments: argparse.Namespace) -> int:
    """Change the alarms that the command line names or describes; return the exit code."""
    access = access_of(arguments)
    searched = _is_search(arguments)
    if arguments.ids and searched:
        raise BridgeError("both ids and a search are given. Fix: one of the two.")
    if arguments.ids and not arguments.dry_run:
        return _report(access.edit(edit, arguments.ids), id_length(arguments.ids), arguments.ids)
    if arguments.ids:
        return _named_preview(edit, access, arguments.ids)
    if not searched:
        raise BridgeError("no alarm is named. Fix: give ids, --all, or a search such as --filter or --target.")
    rows = list(access.search(query_of(arguments, _STATES_OF[edit]), _MAX_CHANGED))
    if not rows:
        say(nothing_fits(arguments, _STATES_OF[edit], _OTHERS[edit]))
        return 0
    return _after_preview(edit, arguments, access, rows)


def _is_search(arguments: argparse.Namespace) -> bool:
    names = (
        "all",
        "filter",
        "state",
        "all_states",
        "severity",
        "target",
        "source",
        "event_name",
        "text",
        "since",
        "until",
    )
    return any(getattr(arguments, name) for name in names)


def _after_preview(edit: Edit, arguments: argparse.Namespace, access: AlarmAccess, rows: Sequence[Row]) -> int:
    _preview(rows)
    if arguments.dry_run:
        say(f"would {edit} {len(rows)} alarm(s)")
        return 0
    is_harmless = edit == "retry" and not sys.stdin.isatty()  # a script that retries needs no option
    if not (arguments.yes or is_harmless) and not _is_agreed(f"{edit} {len(rows)} alarm(s)?"):
        return 1
    ids = [row["id"] for row in rows]
    changed = progress(access.edit(edit, ids), len(ids), edit)
    return _report(changed, id_length(ids), is_each_said=len(ids) <= _PREVIEWED)


def _named_preview(edit: Edit, access: AlarmAccess, names: Sequence[str]) -> int:
    """Show the alarms that the names mean, and why others could not be changed; return the exit code."""
    meant = [(name, _meant(edit, access, name)) for name in names]
    found = {one["id"]: one for _, one in meant if not isinstance(one, str)}
    refused = [f"{name}: {one}" for name, one in meant if isinstance(one, str)]
    if found:
        _preview([*found.values()])
        say(f"would {edit} {len(found)} alarm(s)")
    complain(*refused)
    return 1 if refused else 0


def _meant(edit: Edit, access: AlarmAccess, name: str) -> Row | str:
    """Return the alarm that a name means, or why it could not be changed."""
    try:
        row = access.show(name)
    except UnknownAlarmError as error:
        return str(error)
    return forbids(row["state"], edit, is_due="due_at" in row) or row


def _preview(rows: Sequence[Row]) -> None:
    complain(*lines(rows[:_PREVIEWED], terminal_width(), system_clock(), in_colour=False))
    if len(rows) > _PREVIEWED:
        complain(f"… and {len(rows) - _PREVIEWED} more")


def _is_agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise BridgeError(f"{question} The input is no terminal. Fix: --yes, or --dry-run to look first.")
    complain(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _report(changed: Iterator[Changed], length: int, typed: Collection[str] = (), *, is_each_said: bool = True) -> int:
    """Say each change, or of many only what was refused, and how many there were; return the exit code.

    Args:
        changed: the results.
        length: how many characters of an id are said.
        typed: the names of the command line, which are said as they are where they are refused.
        is_each_said: whether there are few.
    """
    counts: Counter[bool] = Counter()
    for one in changed:
        counts[one.done] += 1
        if is_each_said or not one.done:
            is_whole = not one.done and one.id in typed
            (say if one.done else complain)(f"{one.id if is_whole else one.id[:length]}: {one.text}")
    if counts.total() > 1:
        say(f"{counts[True]} of {counts.total()} alarm(s) changed")
    return 1 if counts[False] else 0
