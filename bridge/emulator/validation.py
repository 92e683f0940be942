"""A push's body to events, or to the list of what is wrong with it.

In: the bytes of a request. Out: `Event` values, and one sentence per violation that names `events[i]` and
the field. It is pure and stores nothing; AOM answers all of these with one text that names none of them.
Rules:

- `{"events": [...]}`, `starts_at` when reporting, `ends_at` and `id` when clearing, milliseconds, `timeout`
  of at most 15 days, six mandatory metadata keys, 1 to 2,048 characters, the enumerations [seed];
- at most 30 metadata keys and 30 annotation keys [old];
- only alarms can be cleared [seed][old];
- `resource_provider` of at most 64 characters, because AOM's alarm rules match no longer one [rule].

Stricter than the documentation, because a client has no business there: characters are counted in UTF-16
units, metadata holds no control characters, `starts_at` is at most a second ahead of our clock, a timeout
is at least a minute, no text holds half of a surrogate pair, and nothing is nested more than 64 levels
deep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

import msgspec

MAX_BODY_BYTES: Final = 12 * 1024 * 1024
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
MAX_TIMEOUT_MS: Final = 15 * DAY_MS
AHEAD_MS: Final = 1_000
MAX_VALUE_UNITS: Final = 2_048
MAX_PROVIDER_UNITS: Final = 64
MAX_KEYS: Final = 30
MAX_DEPTH: Final = 64

MANDATORY: Final = (
    "event_name",
    "event_severity",
    "event_type",
    "resource_provider",
    "resource_type",
    "resource_id",
)
SEVERITIES: Final = ("Critical", "Major", "Minor", "Info")
TYPES: Final = ("event", "alarm")

# The whole of Unicode's category Cc.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One valid EventModel; times are epoch milliseconds, 0 where absent; `timeout` None where absent.

    `text` is the event as compact JSON.
    """

    starts_at: int
    ends_at: int
    timeout: int | None
    metadata: dict[str, str]
    annotations: dict[str, object]
    attach_rule: dict[str, object]
    id: str | None
    text: str


def read_events(body: bytes, *, clearing: bool, now: int) -> tuple[list[Event], list[str]]:
    """Read a push's body; `now` is in epoch milliseconds.

    Returns:
        The events and no violation, or no event and every violation found.
    """
    items, violations = _read_list(body)
    events = []
    for position, item in enumerate(items):
        wrong = list(_wrong_with(item, clearing=clearing, now=now))
        violations += [f"events[{position}]{text}" for text in wrong]
        if not wrong:
            events.append(_event(item))
    return ([], violations) if violations else (events, [])


def read_json(body: bytes) -> object:
    """Decode JSON as the standard has it, so without NaN, that can be written as JSON again.

    Raises:
        ValueError: it is not JSON, not UTF-8, nested too deeply, or holds what no answer can.
    """
    decoded = _decoded(body)
    unfit = _unfit(decoded)
    if unfit is not None:
        raise ValueError(unfit)
    return decoded


def units(text: str) -> int:
    """Count the UTF-16 units of a text, which is how AOM's Java counts characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _decoded(body: bytes) -> object:
    try:
        decoded: object = json.loads(body.decode(), parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return decoded


def _unfit(value: object) -> str | None:
    if _deeper(value, MAX_DEPTH):
        return "is nested too deeply"
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return "must not hold half of a surrogate pair"
    return None


def _deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner if isinstance(item, (dict, list)))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _read_list(body: bytes) -> tuple[list[dict[str, object]], list[str]]:
    try:
        decoded = _decoded(body)
    except ValueError as error:
        return [], [f"body: not JSON: {error}"]
    if not isinstance(decoded, dict):
        return [], ["body: must be a JSON object"]
    listed = decoded.get("events")
    if not isinstance(listed, list) or not listed:
        return [], ["events: must be a list with at least one event"]
    return listed, []


def _wrong_with(item: object, *, clearing: bool, now: int) -> Iterator[str]:
    unfit = "must be an object" if not isinstance(item, dict) else _unfit(item)
    if unfit is not None or not isinstance(item, dict):
        # No more is checked: the text of a violation must itself be valid JSON.
        yield f": {unfit}"
        return
    yield from _wrong_metadata(item.get("metadata"))
    yield from _wrong_maps(item)
    yield from _wrong_timeout(item)
    yield from _wrong_clear(item) if clearing else _wrong_report(item, now)


def _wrong_metadata(metadata: object) -> Iterator[str]:
    if not isinstance(metadata, dict):
        yield ".metadata: must be an object"
        return
    if len(metadata) > MAX_KEYS:
        yield f".metadata: has {len(metadata)} keys, at most {MAX_KEYS} are allowed"
    for key in MANDATORY:
        if key not in metadata:
            yield f".metadata.{key}: is missing"
    for key, value in metadata.items():
        yield from _wrong_entry(key, value)
    yield from _wrong_choice(metadata, "event_severity", SEVERITIES)
    yield from _wrong_choice(metadata, "event_type", TYPES)
    provider = metadata.get("resource_provider")
    if isinstance(provider, str) and units(provider) > MAX_PROVIDER_UNITS:
        yield f".metadata.resource_provider: is longer than {MAX_PROVIDER_UNITS} characters"


def _wrong_entry(key: str, value: object) -> Iterator[str]:
    if not key:
        yield ".metadata: has an empty key"
    if not isinstance(value, str):
        yield f".metadata.{key}: must be a string"
        return
    if not 1 <= units(value) <= MAX_VALUE_UNITS:
        yield f".metadata.{key}: has {units(value)} characters, 1 to {MAX_VALUE_UNITS} are allowed"
    if _CONTROL.search(key + value):
        yield f".metadata.{key}: must not hold control characters"


def _wrong_choice(metadata: dict[str, object], key: str, choices: tuple[str, ...]) -> Iterator[str]:
    if key in metadata and metadata[key] not in choices:
        yield f".metadata.{key}: must be one of {', '.join(choices)}"


def _wrong_maps(item: dict[str, object]) -> Iterator[str]:
    for name in ("annotations", "attach_rule"):
        if not isinstance(item.get(name, {}), dict):
            yield f".{name}: must be an object"
    annotations = item.get("annotations")
    if isinstance(annotations, dict) and len(annotations) > MAX_KEYS:
        yield f".annotations: has {len(annotations)} keys, at most {MAX_KEYS} are allowed"


def _wrong_timeout(item: dict[str, object]) -> Iterator[str]:
    if "timeout" in item:
        timeout = _integer(item["timeout"])
        if timeout is None or not MINUTE_MS <= timeout <= MAX_TIMEOUT_MS:
            yield f".timeout: must be an integer from {MINUTE_MS} to {MAX_TIMEOUT_MS} milliseconds"


def _wrong_report(item: dict[str, object], now: int) -> Iterator[str]:
    starts_at = _integer(item.get("starts_at"))
    if starts_at is None or starts_at <= 0:
        yield ".starts_at: must be an integer above 0 when reporting"
    elif starts_at > now + AHEAD_MS:
        yield f".starts_at: is {starts_at - now} ms in the future"
    if _integer(item.get("ends_at", 0)) != 0:
        yield ".ends_at: must be 0 or absent when reporting"
    if not isinstance(item.get("id", ""), str):
        yield ".id: must be a string"


def _wrong_clear(item: dict[str, object]) -> Iterator[str]:
    ends_at = _integer(item.get("ends_at"))
    if ends_at is None or ends_at <= 0:
        yield ".ends_at: must be an integer above 0 when clearing"
    if "starts_at" in item and (_integer(item["starts_at"]) or 0) <= 0:
        yield ".starts_at: must be an integer above 0 or absent when clearing"
    if not isinstance(item.get("id"), str) or not item["id"]:
        yield ".id: must be a string that is not empty when clearing"
    metadata = item.get("metadata")
    if isinstance(metadata, dict) and metadata.get("event_type") == "event":
        yield ".metadata.event_type: an event cannot be cleared, only an alarm"


def _integer(value: object) -> int | None:
    """Return a `long`, which is 64 bits with its sign; JSON's true and false are none."""
    if not isinstance(value, int) or isinstance(value, bool) or value.bit_length() > 63:
        return None
    return value


def _event(item: dict[str, object]) -> Event:
    identity = item.get("id")
    return Event(
        starts_at=_integer(item.get("starts_at")) or 0,
        ends_at=_integer(item.get("ends_at")) or 0,
        timeout=_integer(item.get("timeout")),
        metadata=_texts(item.get("metadata")),
        annotations=_map(item.get("annotations")),
        attach_rule=_map(item.get("attach_rule")),
        id=identity if isinstance(identity, str) and identity else None,
        text=msgspec.json.encode(item).decode(),
    )


def _map(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> dict[str, str]:
    return value if isinstance(value, dict) else {}
