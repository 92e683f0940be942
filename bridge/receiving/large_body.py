"""Parses a large body in pieces, so that other threads can run in between; pure.

In: the bytes of the body. Out: the same `Notification` that `bridge.notification.parse` returns. One call of a decoder
blocks all threads until it returns, and for 64 MiB that takes seconds: so the text is cut between its alerts, and they
are parsed a few at a time. It runs on a thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from msgspec.structs import replace

from bridge.errors import PayloadError
from bridge.notification import Alert, Notification, parse

MAX_ALERTS = 50_000
"""Of one notification: more cannot be committed within the time limit of a put."""

_PIECE_LENGTH = 256 << 10
"""Characters of alerts that are parsed in one call."""

_SHORT_FIELD = 1 << 10
"""Characters of a field that is given to the parser with each piece, since fields such as `version` decide how the
alerts are parsed."""

_SPACE = re.compile(r"[ \t\n\r]*")
_INDEX = re.compile(r"^alerts\[([0-9]+)\]")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""A JSON escape; the group matches a surrogate without its pair, which UTF-8 cannot encode."""

_raw_decode = json.JSONDecoder().raw_decode


class TooManyAlertsError(PayloadError):
    """A notification holds more than `MAX_ALERTS` alerts."""


def parse_in_pieces(body: bytes) -> Notification:
    """Parse a large body to the same result as `parse`.

    Raises:
        PayloadError: the body is not a payload of Alertmanager.
        TooManyAlertsError: it holds more than `MAX_ALERTS` alerts.
    """
    if body.lstrip()[:1] == b"[":
        return parse(b"[]")  # raises the error that the body is not an object
    fields, alerts = _cut(body)
    whole = parse(_joined(fields, "[]" if alerts is not None else None))
    short_fields = {name: value for name, value in fields.items() if len(value) <= _SHORT_FIELD}
    parsed: list[Alert] = []
    for piece in _pieces(alerts or ()):
        try:
            parsed += parse(_joined(short_fields, f"[{','.join(piece)}]")).alerts
        except PayloadError as error:
            raise PayloadError(_INDEX.sub(partial(_shifted, len(parsed)), str(error))) from None
    return replace(whole, alerts=tuple(parsed))


def _cut(body: bytes) -> tuple[dict[str, str], list[str] | None]:
    """Return the JSON texts of the body's fields, and separately those of its alerts (None: `alerts` is not a list)."""
    try:
        return _Cutter(body.decode().removeprefix("\ufeff")).cut()
    except UnicodeDecodeError as error:
        raise PayloadError(f"the body is not UTF-8: byte {error.start} is {body[error.start]:#04x}") from None
    except RecursionError:
        raise PayloadError("the body is not an Alertmanager payload: it is nested too deep") from None
    except ValueError as error:
        raise PayloadError(f"the body is not JSON: {error}") from None


class _Cutter:
    """Cuts the JSON text of one object into the texts of its fields."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def cut(self) -> tuple[dict[str, str], list[str] | None]:
        self._expect("{")
        fields: dict[str, str] = {}
        alerts: list[str] | None = None
        for _ in self._items("}"):
            name = str(json.loads(self._value()))
            self._expect(":")
            if name == "alerts" and self._is_next("["):
                alerts = list(self._alerts())
            else:
                fields[name] = self._value()
        if self._skip_space() < len(self._text):
            raise ValueError(f"something follows its end at character {self._at}")
        return fields, alerts

    def _alerts(self) -> Iterator[str]:
        for number in self._items("]"):
            if number >= MAX_ALERTS:
                raise TooManyAlertsError(f"the notification holds more than {MAX_ALERTS} alerts")
            alert = self._value()
            yield _ESCAPE.sub(_with_replacement, alert) if "\\ud" in alert or "\\uD" in alert else alert

    def _items(self, end: str) -> Iterator[int]:
        """Yield the number of each item of an object or a list; the caller reads the item itself."""
        number = 0
        while not self._is_next(end):
            if number:
                self._expect(",")
            yield number
            number += 1

    def _value(self) -> str:
        begin = self._skip_space()
        _, self._at = _raw_decode(self._text, begin)
        return self._text[begin : self._at]

    def _expect(self, character: str) -> None:
        if not self._is_next(character):
            raise ValueError(f"character {self._at} is not {character!r}")

    def _is_next(self, character: str) -> bool:
        """Skip a character if it is the next one; return whether it was."""
        is_next = self._text.startswith(character, self._skip_space())
        self._at += is_next
        return is_next

    def _skip_space(self) -> int:
        space = _SPACE.match(self._text, self._at)
        self._at = self._at if space is None else space.end()
        return self._at


def _joined(fields: Mapping[str, str], alerts: str | None) -> bytes:
    texts = [f"{json.dumps(name)}:{value}" for name, value in fields.items()]
    texts += [] if alerts is None else [f'"alerts":{alerts}']
    return f"{{{','.join(texts)}}}".encode()


def _pieces(alerts: Iterable[str]) -> Iterator[list[str]]:
    piece: list[str] = []
    length = 0
    for alert in alerts:
        piece.append(alert)
        length += len(alert)
        if length >= _PIECE_LENGTH:
            yield piece
            piece, length = [], 0
    if piece:
        yield piece


def _with_replacement(escape: re.Match[str]) -> str:
    return escape[0] if escape[1] is None else "\\ufffd"


def _shifted(by: int, index: re.Match[str]) -> str:
    return f"alerts[{int(index[1]) + by}]"
