"""Parses the body of one webhook of Alertmanager (payload v4) or Grafana (v1) to a frozen `Notification`; pure.

In: the bytes of an HTTP request's body. Out: a `Notification` with its `Alert`s, or a `PayloadError` that says what is
wrong and where. Facts about the payload: measured with Alertmanager 0.25 to 0.33; unknown keys are accepted, since each
version adds some. Grafana's alerts have the same keys and some more, of which the links become annotations
(Grafana's documentation of its webhook contact point). This module knows nothing of AOM and cuts nothing for it; only
lone surrogates, which UTF-8 cannot encode, become U+FFFD, as in Go's decoder.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from typing import Any, Literal, cast

import msgspec

from bridge.clock import ZERO_TIME, Millis, format_rfc3339, parse_rfc3339
from bridge.errors import PayloadError

Status = Literal["firing", "resolved"]
Labels = dict[str, str]

HEARTBEATS = "aom-bridge-heartbeats"
"""The source of the alarms that the bridge raises when a heartbeat is missing."""

CANARY = "aom-bridge-canary"
"""The source of the alarm that the bridge sends to see that the whole chain works."""

OWN_SOURCES = (HEARTBEATS, CANARY)
"""The sources of the bridge's own alarms; no Alertmanager has them."""

HEARTBEAT_MISSING = "HeartbeatMissing"
"""The name of these alarms."""

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_FINGERPRINT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_MAX_EXCERPT_CHARACTERS = 80
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_QUOTED = re.compile(r"\\(.)")
_NO_END = "0001-01-01T00:00:00Z"
_VERSIONS = ("4", "1")
"""The payload versions of Alertmanager and of Grafana's own webhook."""


class Sign(msgspec.Struct, frozen=True, array_like=True):
    """A sign of a heartbeat: an alert that always fires tells that its Prometheus lives, and is no alarm.

    ``by``: the values of the heartbeat's `by` labels, by their names; each combination is a *switch* of its own.
    """

    heartbeat: str
    by: Labels

    @property
    def labels(self) -> Labels:
        """The labels of the alarm that is raised when the switch is missing."""
        return {**self.by, "alertname": HEARTBEAT_MISSING, "heartbeat": self.heartbeat}

    @property
    def fingerprint(self) -> str:
        """The fingerprint of that alarm, which identifies the switch."""
        return fingerprint(self.labels)


class Group(msgspec.Struct, frozen=True):
    """The group that a notification is about: the part of the payload that all its alerts share."""

    receiver: str
    group_key: str
    group_labels: Labels
    common_labels: Labels
    common_annotations: Labels
    external_url: str


class Alert(msgspec.Struct, frozen=True):
    """One alert of a notification.

    ``status`` is the alert's own, never the group's: a group is firing while any of its alerts is.
    ``ends_at`` is None while the alert fires, and for a resolved alert whose ``endsAt`` is missing or zero.
    """

    fingerprint: str
    status: Status
    labels: Labels
    annotations: Labels
    starts_at: Millis
    ends_at: Millis | None
    generator_url: str


class Notification(msgspec.Struct, frozen=True):
    """The content of one webhook: its alerts in their order, and how many Alertmanager cut off by `max_alerts`."""

    group: Group
    alerts: tuple[Alert, ...]
    truncated_alerts: int


class _WireAlert(msgspec.Struct, rename="camel"):
    status: Status
    labels: dict[str, str | None]
    starts_at: str
    annotations: dict[str, str | None] | None = None
    ends_at: str | None = None
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")
    fingerprint: str | None = None
    dashboard_url: str | None = msgspec.field(default=None, name="dashboardURL")
    panel_url: str | None = msgspec.field(default=None, name="panelURL")
    image_url: str | None = msgspec.field(default=None, name="imageURL")
    silence_url: str | None = msgspec.field(default=None, name="silenceURL")


class _WirePayload(msgspec.Struct, rename="camel"):
    version: str
    alerts: list[_WireAlert]
    receiver: str | None = None
    group_key: str | None = None
    group_labels: dict[str, str | None] | None = None
    common_labels: dict[str, str | None] | None = None
    common_annotations: dict[str, str | None] | None = None
    external_url: str | None = msgspec.field(default=None, name="externalURL")
    truncated_alerts: int | None = None


class _Version(msgspec.Struct):
    version: str | int | float | None = None


_decoder = msgspec.json.Decoder(_WirePayload)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_PATH_STEP = re.compile(r"\w+")
_version_decoder = msgspec.json.Decoder(_Version)


def parse(body: bytes) -> Notification:
    """Read one webhook body.

    Raises:
        PayloadError: the body is not JSON, or neither Alertmanager's payload of version 4 nor Grafana's of version 1,
            or an alert has no labels.
    """
    payload = _decode(body.removeprefix(codecs.BOM_UTF8))
    if payload.version not in _VERSIONS:
        raise PayloadError(_wrong_version(payload.version))
    group = Group(
        receiver=payload.receiver or "",
        group_key=payload.group_key or "",
        group_labels=_without_nulls(payload.group_labels),
        common_labels=_without_nulls(payload.common_labels),
        common_annotations=_without_nulls(payload.common_annotations),
        external_url=payload.external_url or "",
    )
    alerts = tuple(_alert(index, wire) for index, wire in enumerate(payload.alerts))
    return Notification(group=group, alerts=alerts, truncated_alerts=payload.truncated_alerts or 0)


def written(notification: Notification) -> bytes:
    """Return the body of a webhook (payload v4) that `parse` reads as this notification."""
    group = notification.group
    is_firing = any(alert.status == "firing" for alert in notification.alerts)
    payload = {
        "version": "4",
        "status": "firing" if is_firing else "resolved",
        "receiver": group.receiver,
        "groupLabels": group.group_labels,
        "commonLabels": group.common_labels,
        "commonAnnotations": group.common_annotations,
        "externalURL": group.external_url,
        "groupKey": group.group_key,
        "truncatedAlerts": notification.truncated_alerts,
        "alerts": [_written_alert(alert) for alert in notification.alerts],
    }
    return msgspec.json.encode(payload)


def _written_alert(alert: Alert) -> dict[str, Any]:
    return {
        "status": alert.status,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": format_rfc3339(alert.starts_at),
        "endsAt": _NO_END if alert.ends_at is None else format_rfc3339(alert.ends_at),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def fingerprint(labels: Labels) -> str:
    """Return the fingerprint that Alertmanager computes: FNV-1a 64 over the sorted labels, 16 hex digits.

    Labels with an empty value do not count; annotations never do.
    """
    digest = _FNV_OFFSET
    for name in sorted(labels):
        if not labels[name]:
            continue
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            digest = ((digest ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def quoted_receiver(name: str) -> str:
    """Return a receiver's name as webhooks write it: with a backslash before special characters of a regex."""
    return _SPECIAL.sub(r"\\\g<0>", name)


def unquoted_receiver(name: str) -> str:
    """Return the name of a webhook's receiver as the configuration and the API write it."""
    return _QUOTED.sub(r"\1", name)


def _decode(body: bytes) -> _WirePayload:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_again(body, error)


def _decode_again(body: bytes, error: Exception) -> _WirePayload:
    """Decode with lone surrogates replaced; if that fails, too, raise a PayloadError about the original body."""
    try:
        text = body.decode()
        if "\\ud" in text or "\\uD" in text:
            spelled = json.dumps(json.loads(text), ensure_ascii=False)
            return _decoder.decode(_LONE_SURROGATE.sub("\ufffd", spelled).encode())
    except UnicodeDecodeError as invalid:
        raise PayloadError(f"the body is not UTF-8: byte {invalid.start} is {body[invalid.start]:#04x}") from None
    except (ValueError, RecursionError) as second_error:
        error = second_error
    _check_version(body)
    raise PayloadError(_explain(error, body)) from None


def _check_version(body: bytes) -> None:
    """Report a wrong version before any other mistake: a payload of another version has another structure."""
    try:
        version = _version_decoder.decode(body).version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if version not in (*_VERSIONS, None):
        raise PayloadError(_wrong_version(version)) from None


def _wrong_version(version: object) -> str:
    known = 'the bridge reads "4" (Alertmanager) and "1" (Grafana)'
    return f"version: this payload has version {json.dumps(version)}; {known}"


def _explain(error: Exception, body: bytes) -> str:
    if isinstance(error, RecursionError):
        return "the body is not an Alertmanager payload: it is nested too deep"
    if isinstance(error, msgspec.ValidationError):
        text, _, path = str(error).partition(" - at `")
        where = path.rstrip("`").removeprefix("$").lstrip(".") or "the body"
        problem = text[:1].lower() + text[1 : 2 * _MAX_EXCERPT_CHARACTERS]
        if where.endswith("[...]"):
            return f"{_not_text(body, where)}: {problem}. Fix: send it as text, in quotes"
        return f"{where}: {problem}, so this is not an Alertmanager payload of version 4"
    if not body.strip():
        return "the body is empty; an Alertmanager payload of version 4 is JSON"
    return f"the body is not JSON: {error}; it begins with {body[:_MAX_EXCERPT_CHARACTERS].decode(errors='replace')!r}"


def _not_text(body: bytes, where: str) -> str:
    """Return the path of the first value that is not a text; only the JSON on the way to it is decoded."""
    mapping = where.removesuffix("[...]")
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, LookupError):
        raw = msgspec.Raw(body)
        for step in _PATH_STEP.findall(mapping):
            raw = _items.decode(raw)[int(step)] if step.isdigit() else _members.decode(raw)[step]
        for name, value in _members.decode(raw).items():
            if bytes(value)[:1] not in (b'"', b"n"):
                return f"{mapping}[{name[:_MAX_EXCERPT_CHARACTERS]!r}]"
    return where


def _alert(index: int, wire: _WireAlert) -> Alert:
    labels = _without_nulls(wire.labels)
    if not labels:
        raise PayloadError(f"alerts[{index}].labels: the alert has no labels; Alertmanager always sends some")
    if wire.fingerprint and not _FINGERPRINT.fullmatch(wire.fingerprint):
        raise PayloadError(
            f"alerts[{index}].fingerprint: {wire.fingerprint[:_MAX_EXCERPT_CHARACTERS]!r} is not a fingerprint"
        )
    ends_at = _time(index, "endsAt", wire.ends_at) if wire.ends_at and wire.status == "resolved" else ZERO_TIME
    return Alert(
        fingerprint=wire.fingerprint or fingerprint(labels),
        status=wire.status,
        labels=labels,
        annotations=_with_links(_without_nulls(wire.annotations), wire),
        starts_at=_time(index, "startsAt", wire.starts_at),
        ends_at=ends_at if ends_at > ZERO_TIME else None,
        generator_url=wire.generator_url or "",
    )


def _with_links(annotations: Labels, wire: _WireAlert) -> Labels:
    """Add Grafana's links as annotations; an annotation of the same name wins."""
    if not (wire.dashboard_url or wire.panel_url or wire.image_url or wire.silence_url):
        return annotations
    links = {
        "dashboard_url": wire.dashboard_url,
        "panel_url": wire.panel_url,
        "image_url": wire.image_url,
        "silence_url": wire.silence_url,
    }
    return {**{name: url for name, url in links.items() if url}, **annotations}


def _time(index: int, name: str, text: str) -> Millis:
    try:
        return parse_rfc3339(text)
    except ValueError:
        problem = f"{text[:_MAX_EXCERPT_CHARACTERS]!r} is not a time in the format of RFC 3339"
        raise PayloadError(f"alerts[{index}].{name}: {problem}, such as {format_rfc3339(0)}") from None


def _without_nulls(pairs: dict[str, str | None] | None) -> Labels:
    """Return the pairs without nulls, which Alertmanager's own decoder ignores, too."""
    if not pairs:
        return {}
    if None not in pairs.values():
        return cast("Labels", pairs)
    return {name: value for name, value in pairs.items() if value is not None}
