"""Types of scalars in the configuration file besides text: durations, sizes, secrets.

In: the text of one YAML scalar. Out: a value, or a ValueError whose text says the problem and the fix. The
reader adds the file, line and path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from bridge.clock import DAY, HOUR, MINUTE, SECOND, Millis
from bridge.typed_yaml.secret import Secret

_DURATION = re.compile("".join(rf"(?:([0-9]{{1,15}}){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")))
_DURATION_UNITS = (365 * DAY, 7 * DAY, DAY, HOUR, MINUTE, SECOND, 1)
_SIZE = re.compile(r"([0-9]{1,15})\s*(B|KiB|MiB|GiB)?")
_SIZE_UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True, slots=True)
class Scalar:
    """Marks a settings field: the function that parses its text, its name in messages, and how to hide its value."""

    parse: Callable[[str], Any]
    name: str
    conceal: Callable[[str], str] | None = None


def parse_duration(text: str) -> Millis:
    """Parse a duration as Prometheus writes it: ``200ms``, ``5m``, ``1h30m``, ``5d``, ``0s``."""
    parts = _DURATION.fullmatch(text)
    if not parts or not text:
        if text == "0":
            return 0
        raise ValueError(
            f"{text[:40]!r} is not a duration. Fix: write it as Prometheus does, such as 200ms, 5m, 1h30m or 5d."
        )
    return sum(int(count) * unit for count, unit in zip(parts.groups(), _DURATION_UNITS, strict=True) if count)


def parse_size(text: str) -> int:
    """Parse a size in bytes: ``64MiB``, ``512KiB``, ``1048576``."""
    parts = _SIZE.fullmatch(text)
    if not parts:
        raise ValueError(
            f"{text[:40]!r} is not a size. Fix: write a number of bytes with a unit, such as 512KiB or 64MiB."
        )
    return int(parts[1]) * _SIZE_UNITS[parts[2]]


DurationField = Annotated[Millis, Scalar(parse_duration, "a duration")]
SizeField = Annotated[int, Scalar(parse_size, "a size")]
SecretField = Annotated[Secret, Scalar(Secret, "a secret", conceal=lambda _: repr(Secret("")))]
