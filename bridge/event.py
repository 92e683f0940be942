"""Build: the AOM event, and AOM's limits kept by construction; pure.

In: fields and labels as text of any shape. Out: an `Event` that AOM accepts. Whatever Alertmanager's side holds,
nothing here raises: what is too long is cut between characters with a visible mark, what AOM cannot hold is
replaced, what does not fit is left out and counted.

Limits (Huawei Cloud AOM API reference, "Reporting Events and Alarms"): the six mandatory metadata keys, values of 1 to
2,048 characters (counted here in UTF-16 units, as a Java service counts), at most 30 metadata keys and 30
annotations; `resource_provider` at most 64 characters, where AOM's alarm rules match it; `timeout` at most 15 days.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

import msgspec

from bridge.clock import DAY, MINUTE, Millis, format_rfc3339

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
"""Says when the alert began, where AOM had to be told another start."""

OURS = (FINGERPRINT_KEY, SOURCE_KEY)
"""What makes every alarm unique and findable; no rule may set them."""

MAX_KEYS = 30
MAX_ANNOTATIONS = 30
MAX_VALUE_CHARACTERS = 2_048
MAX_PROVIDER_CHARACTERS = 64
MAX_KEY_CHARACTERS = 256
MAX_ANNOTATION_CHARACTERS = 16_384
MIN_TIMEOUT: Millis = MINUTE
MAX_TIMEOUT: Millis = 15 * DAY

_MARK = "…"
_BREAKS = re.compile("\r\n|[\n\r\t\u0085\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS_BUT_BREAKS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Event(msgspec.Struct, frozen=True):
    """What one alert becomes for AOM: all that stays fixed from the report to the clear."""

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
    """What mapping says of one alert: its event and target, or that a rule dropped it (``event`` is None)."""

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

    AOM may run ``timeout`` from the start instead of the arrival, and keep the start that it was told first, so the
    time already passed since then is sent on top; a start too old for that, within AOM's 15 days, is moved up.

    Args:
        event: what is reported.
        alarm_id: our id of the alarm.
        starts_at: when it began, as far as AOM takes it.
        now: the time.
        first_start: the start that AOM was told first.
        true_start: the start that its sender gave; an annotation holds it where the report carries another start.
    """
    started = max(1, min(now, max(starts_at, now - max(0, MAX_TIMEOUT - event.timeout))))
    is_moved = true_start is not None and true_start != started
    annotations = _with_start(event.annotations, true_start) if is_moved else event.annotations
    passed = now - max(1, min(started, started if first_start is None else first_start))
    return AomEvent(
        id=alarm_id,
        starts_at=started,
        metadata=event.metadata,
        annotations=annotations,
        timeout=max(MIN_TIMEOUT, min(event.timeout + passed, MAX_TIMEOUT)),
    )


def _with_start(annotations: dict[str, str], true_start: Millis | None) -> dict[str, str]:
    kept = list(annotations.items())[: MAX_ANNOTATIONS - 1]
    return {**dict(kept), START_ANNOTATION: format_rfc3339(true_start or 0)}


def clear(event: Event, *, aom_id: str, starts_at: Millis, ends_at: Millis, now: Millis) -> AomEvent:
    """Return the entry that clears the alarm which AOM knows by ``aom_id``."""
    started = max(1, min(starts_at, now))
    entry = report(event, alarm_id=aom_id, starts_at=started, now=now)
    return msgspec.structs.replace(entry, starts_at=started, ends_at=max(started, min(ends_at, now)))


def metadata_value(text: str, longest: int = MAX_VALUE_CHARACTERS) -> str:
    """Return the text as one line that AOM's metadata can hold; empty stays empty."""
    if len(text) * 2 <= longest and text.isprintable():
        return text
    text = text[: 2 * longest + 2]  # all that can be left of it: the longest break is two characters
    return cut(_CONTROLS.sub("\ufffd", _BREAKS.sub(" ", text)), longest)


def annotation_value(text: str) -> str:
    """Return the text as an annotation can hold it: line breaks and tabs stay."""
    if len(text) * 2 <= MAX_ANNOTATION_CHARACTERS and text.isprintable():
        return text
    return cut(_CONTROLS_BUT_BREAKS.sub("\ufffd", text[: MAX_ANNOTATION_CHARACTERS + 1]), MAX_ANNOTATION_CHARACTERS)


def cut(text: str, longest: int) -> str:
    """Cut to so many UTF-16 units, between characters, with a visible mark where something is missing."""
    if len(text) * 2 <= longest:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= longest * 2:
        return text
    return units[: (longest - 1) * 2].decode("utf-16-le", errors="ignore") + _MARK


def build_metadata(
    fixed: Mapping[str, str], labels: Iterable[tuple[str, str]], first: Sequence[Collection[str]] = ()
) -> tuple[dict[str, str], list[str]]:
    """Join fixed fields and labels to metadata; return it with the names of those that found no place.

    ``fixed`` comes first, in its order; empty values are left out. A label whose name is taken becomes
    ``label_<name>``. Where there is no room for all, labels of the names in ``first`` come before the others, which
    come in name order.
    """
    joined = _joined_as_it_is(fixed, labels := sorted(labels))
    if joined is not None:
        return joined, []
    if len(fixed) + len(labels) > MAX_KEYS:
        labels.sort(key=lambda label: next((rank for rank, names in enumerate(first) if label[0] in names), len(first)))
    joined, left_out = {}, []
    for name, value in (*fixed.items(), *labels):
        longest = MAX_PROVIDER_CHARACTERS if name == "resource_provider" else MAX_VALUE_CHARACTERS
        cleaned = value if len(value) * 2 <= longest and value.isprintable() else metadata_value(value, longest)
        if cleaned and len(joined) < MAX_KEYS:
            key = _clean_key(name)
            joined[key if key not in joined else _free_key(key, joined)] = cleaned
        elif cleaned:
            left_out.append(name)
    return joined, left_out


def _joined_as_it_is(fixed: Mapping[str, str], labels: Sequence[tuple[str, str]]) -> dict[str, str] | None:
    """Return the metadata where nothing needs to be cleaned, cut, renamed or left out, as nearly always; else None."""
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
    """Return the annotations that AOM takes, in the given order, and the names of those that found no place."""
    whole = "".join(texts.values())
    is_short = len(whole) * 2 <= MAX_ANNOTATION_CHARACTERS and len(texts) <= MAX_ANNOTATIONS
    if is_short and whole.isprintable() and all(texts.values()) and _are_clean(tuple(texts)):
        return dict(texts), []  # as nearly always
    kept: dict[str, str] = {}
    left_out = []
    for name, text in texts.items():
        cleaned = annotation_value(text)
        if not cleaned:
            continue
        if len(kept) >= MAX_ANNOTATIONS:
            left_out.append(name)
            continue
        kept[_free_key(name, kept)] = cleaned
    return kept, left_out
