"""Builds AOM's events, within AOM's limits; pure.

In: fields and labels as any text. Out: an `Event` that AOM accepts. No input raises an exception here: a text that is
too long is cut between characters with a visible mark, characters that AOM cannot store are replaced, and labels and
annotations over AOM's number are left out and counted.

Limits (Huawei Cloud AOM API reference, "Reporting Events and Alarms"): the six mandatory metadata keys, values of 1 to
2,048 characters (counted here in UTF-16 units, as a Java service counts), at most 30 metadata keys and 30
annotations; `resource_provider` at most 64 characters, where AOM's alarm rules match it; `timeout` at most 15 days.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

import msgspec

from bridge.clock import DAY, MINUTE, Millis, format_duration, format_rfc3339

Severity = Literal["Critical", "Major", "Minor", "Info"]
EventType = Literal["event", "alarm"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
MANDATORY = (
    "event_name",
    "event_severity",
    "event_type",
    "resource_provider",
    "resource_type",
    "resource_id",
)
FINGERPRINT_KEY = "alert_fingerprint"
SOURCE_KEY = "alert_source"

START_ANNOTATION = "alert_starts_at"
"""The annotation with the alert's own start, where the report carries another start."""

BRIDGE_KEYS = (FINGERPRINT_KEY, SOURCE_KEY)
"""The bridge's own metadata keys, which make every alarm unique and findable; no rule may set them."""

MAX_KEYS = 30
MAX_ANNOTATIONS = 30
MAX_VALUE_CHARACTERS = 2_048
MAX_PROVIDER_CHARACTERS = 64
MAX_KEY_CHARACTERS = 256
MAX_ANNOTATION_CHARACTERS = 16_384
MIN_TIMEOUT: Millis = MINUTE
MAX_TIMEOUT: Millis = 15 * DAY

ID_LENGTH = 32
"""Characters of the bridge's id of an alarm."""

_CUT_MARK = "…"
_BREAKS = re.compile("\r\n|[\n\r\t\u0085\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS_BUT_BREAKS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Event(msgspec.Struct, frozen=True):
    """An alert as AOM sees it: the content that stays the same from the report to the clear."""

    metadata: dict[str, str]
    annotations: dict[str, str]
    timeout: Millis

    @property
    def severity(self) -> str:
        """The severity as AOM spells it."""
        return self.metadata["event_severity"]

    @property
    def event_type(self) -> str:
        """``alarm``, which can be cleared, or ``event``, which cannot."""
        return self.metadata["event_type"]


class Mapped(msgspec.Struct, frozen=True):
    """The result of mapping one alert: its event, target and rule; ``event`` is None where a rule dropped it."""

    event: Event | None
    target: str
    rule: str


class AomEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a push's ``events`` (EventModel); times in epoch milliseconds, UTC."""

    id: str
    starts_at: Millis
    metadata: dict[str, str]
    annotations: dict[str, str]
    timeout: Millis
    ends_at: Millis | None = None
    attach_rule: dict[str, Any] | None = None


def alarm_id(alert: tuple[str, str], starts_at: Millis) -> str:
    """Return the bridge's id of an alarm: the same for the same source and fingerprint, and start in milliseconds."""
    text = "\0".join((*alert, str(starts_at)))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def report(
    event: Event,
    *,
    alarm_id: str,
    starts_at: Millis,
    now: Millis,
    first_start: Millis | None = None,
    true_start: Millis | None = None,
) -> AomEvent:
    """Return the entry that reports the alarm.

    AOM may count ``timeout`` from the alarm's start instead of the report's arrival, and may keep the first start that
    was sent. So the time that has passed since then is added to the timeout. If that would exceed AOM's maximum of
    15 days, a later start is sent.

    Args:
        event: the content of the report.
        alarm_id: our id of the alarm.
        starts_at: when the alert started; a start in the future is sent as ``now``.
        now: the time.
        first_start: the start in the first report of this alarm; None for the first report.
        true_start: the start that Alertmanager sent; added as an annotation where the report carries another start.
    """
    started = max(1, min(now, max(starts_at, now - max(0, MAX_TIMEOUT - event.timeout))))
    is_moved = true_start is not None and true_start != started
    annotations = _with_start(event.annotations, true_start) if is_moved else event.annotations
    elapsed = now - max(1, min(started, started if first_start is None else first_start))
    return AomEvent(
        id=alarm_id,
        starts_at=started,
        metadata=event.metadata,
        annotations=annotations,
        timeout=max(MIN_TIMEOUT, min(event.timeout + elapsed, MAX_TIMEOUT)),
    )


def _with_start(annotations: dict[str, str], true_start: Millis | None) -> dict[str, str]:
    others = list(annotations.items())[: MAX_ANNOTATIONS - 1]
    return {**dict(others), START_ANNOTATION: format_rfc3339(true_start or 0)}


def clear(event: Event, *, aom_id: str, starts_at: Millis, ends_at: Millis, now: Millis) -> AomEvent:
    """Return the entry that clears the alarm with AOM's id ``aom_id``."""
    started = max(1, min(starts_at, now))
    entry = report(event, alarm_id=aom_id, starts_at=started, now=now)
    return msgspec.structs.replace(entry, starts_at=started, ends_at=max(started, min(ends_at, now)))


def metadata_value(text: str, max_units: int = MAX_VALUE_CHARACTERS) -> str:
    """Return the text as one line that AOM accepts as a metadata value; an empty text stays empty."""
    if len(text) * 2 <= max_units and text.isprintable():
        return text
    text = text[: 2 * max_units + 2]  # no more can remain: the max_units line break is two characters
    return cut(_CONTROLS.sub("\ufffd", _BREAKS.sub(" ", text)), max_units)


def annotation_value(text: str) -> str:
    """Return the text as AOM accepts it in an annotation: line breaks and tabs stay."""
    if len(text) * 2 <= MAX_ANNOTATION_CHARACTERS and text.isprintable():
        return text
    return cut(_CONTROLS_BUT_BREAKS.sub("\ufffd", text[: MAX_ANNOTATION_CHARACTERS + 1]), MAX_ANNOTATION_CHARACTERS)


def cut(text: str, max_units: int) -> str:
    """Cut a text to a number of UTF-16 units, between characters, and mark the cut."""
    if len(text) * 2 <= max_units:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= max_units * 2:
        return text
    return units[: (max_units - 1) * 2].decode("utf-16-le", errors="ignore") + _CUT_MARK


def build_metadata(
    fixed: Mapping[str, str], labels: Iterable[tuple[str, str]], preferred: Sequence[Collection[str]] = ()
) -> tuple[dict[str, str], list[str]]:
    """Build metadata from fixed fields and labels; return it with the names of the labels that were left out.

    ``fixed`` comes first, in its order; empty values are omitted. A label whose name is taken becomes ``label_<name>``.
    If the keys exceed AOM's number, the labels named in ``preferred`` come before the others, which come in name order.
    """
    joined = _joined_unchanged(fixed, labels := sorted(labels))
    if joined is not None:
        return joined, []
    if len(fixed) + len(labels) > MAX_KEYS:
        labels.sort(key=lambda label: _rank(label[0], preferred))
    joined, left_out = {}, []
    for name, value in (*fixed.items(), *labels):
        max_units = MAX_PROVIDER_CHARACTERS if name == "resource_provider" else MAX_VALUE_CHARACTERS
        cleaned = value if len(value) * 2 <= max_units and value.isprintable() else metadata_value(value, max_units)
        if cleaned and len(joined) < MAX_KEYS:
            key = _clean_key(name)
            joined[key if key not in joined else _free_key(key, joined)] = cleaned
        elif cleaned:
            left_out.append(name)
    return joined, left_out


def _rank(name: str, preferred: Sequence[Collection[str]]) -> int:
    return next((rank for rank, names in enumerate(preferred) if name in names), len(preferred))


def _joined_unchanged(fixed: Mapping[str, str], labels: Sequence[tuple[str, str]]) -> dict[str, str] | None:
    """Fast path, for almost every alert: return the metadata if nothing must be changed or left out, else None."""
    joined = {**fixed, **dict(labels)}
    text = "".join(joined.values())
    if (
        len(joined) != len(fixed) + len(labels)
        or len(joined) > MAX_KEYS
        or len(text) * 2 > MAX_VALUE_CHARACTERS
        or len(fixed.get("resource_provider", "")) * 2 > MAX_PROVIDER_CHARACTERS
        or not text.isprintable()
        or not all(joined.values())
        or not _are_clean(tuple(joined))
    ):
        return None
    return joined


@lru_cache(maxsize=1_024)
def _are_clean(names: tuple[str, ...]) -> bool:
    return all(name and _clean_key(name) == name for name in names)


@lru_cache(maxsize=4_096)
def _clean_key(name: str) -> str:
    return metadata_value(name, MAX_KEY_CHARACTERS) or "label_"


def _free_key(name: str, taken: Mapping[str, str]) -> str:
    key = _clean_key(name)
    while key in taken:
        key = cut(f"label_{key}", MAX_KEY_CHARACTERS)
        if key in taken and len(key) >= MAX_KEY_CHARACTERS:
            key = f"label_{len(taken)}"
    return key


def build_annotations(texts: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the annotations that AOM accepts, in the given order, and the names of those that were left out."""
    joined = "".join(texts.values())
    is_short = len(joined) * 2 <= MAX_ANNOTATION_CHARACTERS and len(texts) <= MAX_ANNOTATIONS
    if is_short and joined.isprintable() and all(texts.values()) and _are_clean(tuple(texts)):
        return dict(texts), []  # fast path: almost every alert
    annotations: dict[str, str] = {}
    left_out = []
    for name, text in texts.items():
        cleaned = annotation_value(text)
        if not cleaned:
            continue
        if len(annotations) >= MAX_ANNOTATIONS:
            left_out.append(name)
            continue
        annotations[_free_key(name, annotations)] = cleaned
    return annotations, left_out


def reassert_doubt(timeout: Millis) -> str:
    """Return why alarms with this timeout need more reports than `reassert_after` gives them."""
    most = format_duration(timeout // 2)
    text = f"AOM clears an alarm after {format_duration(timeout)}, maybe before a repeat is reported again"
    return f"{text}. Fix: a reassert_after of at most {most}, or a longer timeout."
