"""The faults that are armed, and the orders that arm them.

In: decoded JSON orders. Out: for each request the faults that hit it, in the order they were armed. It knows
no transport: what a fault does to a connection is in `interference`. The kinds: statuses
of the gateway and of AOM [seed][gw], tokens that die early [iam], an event that AOM never takes [seed], and
a network that closes, resets or swallows. `repeat_marker` and `listed_ids` are what a client of the list must survive,
though no page documents them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from bridge.emulator.answers import RefusedError, usual
from bridge.emulator.orders import KINDS, OPERATIONS

Operation = Literal["token", "report", "clear", "list", "statistic"]

LONG_ID: Final = 300
LISTED_IDS: Final = ("null", "long")

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
_TRUE_ONLY: Final = ("outage", "reset", "hang", "half", "expire_tokens", "repeat_marker")
_WITHIN: Final = ("poison", "repeat_marker", "listed_ids")
_ON_LISTS: Final = ("repeat_marker", "listed_ids")
_WITH_STATUS: Final = ("headers", "error_code", "error_msg")
_WITH_BREAK: Final = ("outage", "reset", "half")


@dataclass(kw_only=True, slots=True)
class Fault:
    """One armed fault; `left` is None for one that stays until removed, `after` breaks after processing.

    `holding` names the entries of a list that it changes: those whose JSON holds this text, all if it is empty.
    """

    kind: str
    on: str = "any"
    left: int | None = None
    after: bool = False
    status: int = 0
    latency_ms: int = 0
    poison: str = ""
    listed_ids: str = ""
    holding: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    refusal: RefusedError | None = None
    hits: int = 0
    order: dict[str, object] = field(default_factory=dict)

    def touches(self, operation: Operation) -> bool:
        """Return whether the fault is armed for this operation."""
        return self.left != 0 and self.on in ("any", operation)

    def strike(self) -> None:
        """Count one hit."""
        self.hits += 1
        self.left = None if self.left is None else self.left - 1

    def shown(self) -> dict[str, object]:
        """Return the order as it came, with the hits so far and those left (null: until removed)."""
        return {**self.order, "hits": self.hits, "left": self.left}


class Faults:
    """The faults of one emulator, in the order they were armed."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._released = asyncio.Event()

    def arm(self, faults: list[Fault]) -> None:
        """Add faults after those that are armed already."""
        self._armed += faults

    def remove_all(self) -> None:
        """Disarm everything and end all hanging and delayed requests."""
        self._armed.clear()
        self._released.set()
        self._released = asyncio.Event()

    def hitting(self, operation: Operation) -> Iterator[Fault]:
        """Yield the faults that hit this request; each counts when it is taken."""
        for fault in list(self._armed):
            if fault.kind not in _WITHIN and fault.touches(operation):
                fault.strike()
                yield fault
        self._forget_spent()

    def poisoned(self, operation: Operation, texts: list[str]) -> bool:
        """Return whether one of the events' JSON `texts` is poison to this push."""
        for fault in self._armed:
            if fault.kind == "poison" and fault.touches(operation) and any(fault.poison in text for text in texts):
                fault.strike()
                self._forget_spent()
                return True
        return False

    def distorting(self) -> Iterator[Fault]:
        """Yield the faults that change a list's answer; each counts when it is taken."""
        for fault in list(self._armed):
            if fault.kind in _ON_LISTS and fault.touches("list"):
                fault.strike()
                yield fault
        self._forget_spent()

    def shown(self) -> list[dict[str, object]]:
        """Return the faults that are still armed."""
        self._forget_spent()
        return [fault.shown() for fault in self._armed]

    async def pause(self, seconds: float) -> bool:
        """Wait that long, or until the faults are removed; return whether they were."""
        try:
            await asyncio.wait_for(self._released.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _forget_spent(self) -> None:
        self._armed = [fault for fault in self._armed if fault.left != 0]


def read_faults(body: object) -> list[Fault]:
    """Read one order or a list of them.

    Raises:
        ValueError: a sentence that names the field and its choices.
    """
    return [_fault(order) for order in (body if isinstance(body, list) else [body])]


def _fault(order: object) -> Fault:
    if not isinstance(order, dict):
        raise ValueError("A fault must be a JSON object.")  # noqa: TRY004 - one exception for every wrong order
    kind = _kind(order)
    _check_keys(order, kind)
    choices = ("any", "list") if kind in _ON_LISTS else OPERATIONS
    if order.get("on", "any") not in choices:
        raise ValueError(f"on must be one of {', '.join(choices)}.")
    fault = Fault(kind=kind, on=order.get("on", "any"), order=order)
    fault.left = None if "count" not in order else _whole(order, "count", 1, 1_000_000)
    fault.after = _flag(order, "after") if "after" in order else False
    _fill(fault, order)
    return fault


def _kind(order: dict[str, object]) -> str:
    named = [kind for kind in KINDS if kind in order]
    if len(named) != 1:
        raise ValueError(f"A fault must have exactly one of {', '.join(KINDS)}.")
    return named[0]


def _check_keys(order: dict[str, object], kind: str) -> None:
    allowed = {"on", "count", kind}
    allowed |= set(_WITH_STATUS) if kind == "status" else set()
    allowed |= {"after"} if kind in _WITH_BREAK else set()
    allowed |= {"holding"} if kind == "listed_ids" else set()
    for key in order:
        if key not in allowed:
            raise ValueError(f"{key} is unknown with {kind}; the choices are {', '.join(sorted(allowed))}.")


def _fill(fault: Fault, order: dict[str, object]) -> None:
    if fault.kind in _TRUE_ONLY and not _flag(order, fault.kind):
        raise ValueError(f"{fault.kind} must be true.")
    if fault.kind == "status":
        fault.status = _whole(order, "status", 200, 599)
        fault.headers = _headers(order)
        code, message = _text(order, "error_code"), _text(order, "error_msg")
        fault.refusal = usual(fault.status, code, message)
    if fault.kind == "latency_ms":
        fault.latency_ms = _whole(order, "latency_ms", 0, 3_600_000)
    if fault.kind == "poison":
        fault.poison = _text(order, "poison") or ""
        if not fault.poison:
            raise ValueError("poison must be a text that is not empty.")
    if fault.kind == "listed_ids":
        fault.listed_ids, fault.holding = _choice(order, "listed_ids", LISTED_IDS), _text(order, "holding") or ""


def _choice(order: dict[str, object], name: str, choices: tuple[str, ...]) -> str:
    value = _text(order, name)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}.")
    return str(value)


def _whole(order: dict[str, object], name: str, min_value: int, max_value: int) -> int:
    value = order[name]
    if not isinstance(value, int) or isinstance(value, bool) or not min_value <= value <= max_value:
        raise ValueError(f"{name} must be a whole number from {min_value} to {max_value}.")
    return value


def _flag(order: dict[str, object], name: str) -> bool:
    value = order[name]
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false.")  # noqa: TRY004 - one exception for every wrong order
    return value


def _text(order: dict[str, object], name: str) -> str | None:
    value = order.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a text.")
    return value


def _headers(order: dict[str, object]) -> dict[str, str]:
    value = order.get("headers", {})
    if not isinstance(value, dict) or not all(_is_header(*entry) for entry in value.items()):
        raise ValueError("headers must be an object of header names to texts on one line.")
    return value


def _is_header(name: object, value: object) -> bool:
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    return _HEADER_NAME.fullmatch(name) is not None and value.isprintable()
