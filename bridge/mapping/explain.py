"""Explains where each field of an event comes from, for `aom-bridge map`; pure.

In: the settings, the alert, and its `MapResult`. Out: a line for each field. It does not evaluate the mapping again:
where a field fell back to its default, the result says so.
"""

from __future__ import annotations

from bridge import event as aom
from bridge.mapping.mapper import MapResult
from bridge.mapping.settings import DEFAULTS_RULE, MappingSettings, RuleSettings
from bridge.mapping.severity import SeveritySettings
from bridge.notification import Alert


def explain_fields(settings: MappingSettings, alert: Alert, result: MapResult) -> dict[str, str]:
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
