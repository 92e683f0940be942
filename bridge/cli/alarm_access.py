"""The alarms that a command shows or changes: those of the ledger beside it, or of a running bridge elsewhere.

In: parameters as ``/api/v1/alarms`` takes them, names of alarms. Out: alarms as the API's JSON has them, from either
place the same, and the result of each change. Nothing is printed here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from bridge.ledger.states import Edit

Row = Mapping[str, Any]
Query = Sequence[tuple[str, str]]


class Changed(msgspec.Struct, frozen=True):
    """The result of one change: whether it was done, and a sentence about it."""

    id: str
    done: bool
    text: str


class AlarmAccess(Protocol):
    """Where alarms are read and changed."""

    def search(self, query: Query, limit: int) -> Iterator[Row]:
        """Yield the alarms that a query asks for, at most ``limit``."""

    def show(self, name: str) -> Row:
        """Return one alarm with its history.

        Raises:
            UnknownAlarmError: no alarm has this name, or several have; it lists them.
        """

    def edit(self, edit: Edit, names: Sequence[str]) -> Iterator[Changed]:
        """Change alarms, and yield the result of each."""


def access_of(arguments: argparse.Namespace) -> AlarmAccess:
    """Return the alarms of a running bridge if the options name one, else those of the ledger of a configuration."""
    if arguments.url:
        from bridge.cli.remote import remote_at  # a command that reads the ledger needs no HTTP client
        from bridge.cli.remote_alarms import RemoteAlarms

        return RemoteAlarms(remote_at(arguments))
    from bridge.cli.local_alarms import LocalAlarms  # who asks a bridge elsewhere waits for no database

    return LocalAlarms(arguments.config_file)


def query_of(arguments: argparse.Namespace, default_states: Sequence[str]) -> Query:
    """Return the parameters of the API for the options of `add_search`."""
    states = _states(arguments, default_states)
    pairs = [*(("filter", text) for text in arguments.filter), *(("state", state) for state in states)]
    for name in ("severity", "target", "source", "event_name", "text", "since", "until"):
        value = getattr(arguments, name)
        pairs += [(name, value)] if value else []
    return pairs


def nothing_fits(arguments: argparse.Namespace, default_states: Sequence[str], others: str = "--all-states") -> str:
    """Return the sentence on a search that finds nothing: where it looked, and the option for the ``others``."""
    states = " or ".join(_states(arguments, default_states))
    if not states:
        return "no alarm fits"
    return f"no {states} alarm fits" + ("" if arguments.state else f"; {others} looks at the others")


def _states(arguments: argparse.Namespace, default_states: Sequence[str]) -> Sequence[str]:
    return arguments.state or (() if arguments.all_states else default_states)
