"""Explains what one alert becomes by the rules and why, and what other rules would make of it; pure.

In: a `Mapper`, its settings, and an alert with its group and source. Out: an `Explanation`, or the `Change`s between
two mappers, which `aom-bridge map` and the playground show. It maps the alert once, and evaluates no template again:
where a field fell back to its default, the `MapResult` says so.
"""

from __future__ import annotations

import msgspec

from bridge import event as aom
from bridge.clock import Millis
from bridge.event import AomEvent, alarm_id, report
from bridge.mapping.compiled_rules import Fallback
from bridge.mapping.mapper import Mapper, MapResult
from bridge.mapping.settings import DEFAULTS_RULE, MappingSettings, RuleSettings
from bridge.mapping.severity import SeveritySettings
from bridge.notification import Alert, Group, Status


class GroupedAlert(msgspec.Struct, frozen=True):
    """One alert to map: with its source, and the group that it came with."""

    source: str
    alert: Alert
    group: Group


class TriedRule(msgspec.Struct, frozen=True):
    """A rule that was tried; ``failing``: its first matcher that does not hold, None if the rule matches."""

    name: str
    failing: str | None


class ExplainedField(msgspec.Struct, frozen=True):
    """One metadata field or annotation of an event; ``origin``: what gave it, such as a rule with its template."""

    name: str
    value: str
    origin: str


class Explanation(msgspec.Struct, frozen=True):
    """What one alert becomes, and why.

    ``heartbeat``: the heartbeat that it is a sign of; then it is no alarm, and the rest is empty. ``rules``: those that
    were tried, in order. ``variables``: the values of `mapping.vars` for people. ``names_left_out``: the labels and
    annotations that found no place within AOM's limits. ``rule``: the last rule that matched, or `DEFAULTS_RULE`.
    ``is_dropped``: whether that rule drops the alert; then there are no fields. ``timeout``: milliseconds. ``report``:
    the event as it would be reported to AOM now; of a resolved alert, as its firing would be.
    """

    source: str
    fingerprint: str
    alertname: str
    status: Status
    heartbeat: str | None = None
    rules: tuple[TriedRule, ...] = ()
    variables: dict[str, str] = {}
    fallbacks: tuple[Fallback, ...] = ()
    names_left_out: tuple[str, ...] = ()
    rule: str = ""
    target: str = ""
    is_dropped: bool = False
    fields: tuple[ExplainedField, ...] = ()
    annotations: tuple[ExplainedField, ...] = ()
    timeout: Millis | None = None
    report: AomEvent | None = None


class Change(msgspec.Struct, frozen=True):
    """A value that two mappers give differently; None: that one gives none."""

    key: str
    old: str | None
    new: str | None


def explain(settings: MappingSettings, mapper: Mapper, grouped: GroupedAlert, now: Millis) -> Explanation:
    """Explain what an alert becomes.

    Args:
        settings: those of the mapper.
        mapper: maps it.
        grouped: the alert.
        now: the time, for the report.
    """
    source, alert, group = grouped.source, grouped.alert, grouped.group
    name = alert.labels.get("alertname", "")
    sign = mapper.switches.sign(source, alert.labels)
    if sign is not None:
        return Explanation(source, alert.fingerprint, name, alert.status, heartbeat=sign.heartbeat)
    result = mapper.map(source, alert, group)
    event, origins = result.mapped.event, _origins(settings, alert, result)
    own_id = alarm_id((source, alert.fingerprint), alert.starts_at)
    return Explanation(
        source,
        alert.fingerprint,
        name,
        alert.status,
        rules=tuple(TriedRule(*tried) for tried in mapper.explain(alert, group)),
        variables=mapper.variables(source, alert, group),
        fallbacks=result.fallbacks,
        names_left_out=result.names_left_out,
        rule=result.mapped.rule,
        target=result.mapped.target,
        is_dropped=event is None,
        fields=_fields(event.metadata, origins) if event else (),
        annotations=_fields(event.annotations, origins, "annotations.") if event else (),
        timeout=event.timeout if event else None,
        report=report(event, alarm_id=own_id, starts_at=alert.starts_at, now=now) if event else None,
    )


def differences(old: Mapper, new: Mapper, grouped: GroupedAlert) -> tuple[Change, ...]:
    """Return what differs between what two mappers make of an alert; nothing: it becomes the same."""
    before, after = _flat(old, grouped), _flat(new, grouped)
    return tuple(
        Change(key, before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    )


def _flat(mapper: Mapper, grouped: GroupedAlert) -> dict[str, str]:
    sign = mapper.switches.sign(grouped.source, grouped.alert.labels)
    if sign is not None:
        return {"heartbeat": sign.heartbeat}
    mapped = mapper.map(grouped.source, grouped.alert, grouped.group).mapped
    flat = {"rule": mapped.rule}
    if mapped.event is None:
        return {**flat, "dropped": "yes"}
    flat |= {"target": mapped.target, "timeout": str(mapped.event.timeout)}
    flat |= mapped.event.metadata
    return flat | {f"annotations.{name}": text for name, text in mapped.event.annotations.items()}


def _fields(values: dict[str, str], origins: dict[str, str], prefix: str = "") -> tuple[ExplainedField, ...]:
    return tuple(ExplainedField(name, value, origins[prefix + name]) for name, value in values.items())


def _origins(settings: MappingSettings, alert: Alert, result: MapResult) -> dict[str, str]:
    """Return the origin of each metadata field, and of each annotation as ``annotations.<name>``."""
    event = result.mapped.event
    if event is None:
        return {}
    matched = [rule for name in result.matched for rule in settings.rules if rule.name == name]
    origins = {field: _field_origin(settings, matched, alert, field) for field in event.metadata}
    origins |= {f"annotations.{name}": _annotation_origin(settings, matched, name) for name in event.annotations}
    for fallback in result.fallbacks:
        if fallback.field in origins:
            origins[fallback.field] = f"a fallback: {fallback.rule} gave nothing ({fallback.problem})"
    return origins


def _field_origin(settings: MappingSettings, matched: list[RuleSettings], alert: Alert, field: str) -> str:
    if field in aom.BRIDGE_KEYS:
        return "the bridge"
    for rule in reversed(matched):
        if field == "event_severity" and rule.severity is not None:
            return f"{rule.name}: {_severity(rule.severity, alert)}"
        if field in rule.set:
            return f"{rule.name}: {rule.set[field].text}"
    if field == "event_severity":
        return f"mapping.severity: {_severity(settings.severity, alert)}"
    if field in aom.MANDATORY:
        default = getattr(settings.defaults, field)
        return f"{DEFAULTS_RULE}: {default if isinstance(default, str) else default.text}"
    name = field if field in alert.labels else field.removeprefix("label_")
    return f"label {name}"


def _severity(source: object, alert: Alert) -> str:
    if not isinstance(source, SeveritySettings):
        return str(getattr(source, "text", source))
    word = alert.labels.get(source.label, "")
    is_known = source.table()(word) is not None
    return f"{source.label}={word!r}" + ("" if is_known else ", which is not in the table: its default")


def _annotation_origin(settings: MappingSettings, matched: list[RuleSettings], name: str) -> str:
    for rule in reversed(matched):
        if name in rule.annotations:
            return f"{rule.name}: {rule.annotations[name].text}"
    if name in settings.annotations:
        return f"mapping.annotations: {settings.annotations[name].text}"
    return f"annotation {name}"
