"""Says of each field of an event where it comes from, for `aom-bridge map`; pure.

In: the settings, the alert, and what it became. Out: a line for each field. It repeats no rule of the mapping: where a
value fell back, the result says so.
"""

from __future__ import annotations

from bridge import event as aom
from bridge.mapping.mapper import MapResult
from bridge.mapping.settings import DEFAULTS_RULE, MappingSettings, RuleSettings
from bridge.mapping.severity import SeveritySettings
from bridge.notification import Alert


def origins(settings: MappingSettings, alert: Alert, result: MapResult) -> dict[str, str]:
    """Return for each field of the metadata, and each annotation as ``annotations.<name>``, where it comes from."""
    event = result.mapped.event
    if event is None:
        return {}
    matched = [rule for name in result.matched for rule in settings.rules if rule.name == name]
    found = {field: _of_field(settings, matched, alert, field) for field in event.metadata}
    found |= {f"annotations.{name}": _of_annotation(settings, matched, name) for name in event.annotations}
    for fallback in result.fallbacks:
        if fallback.field in found:
            found[fallback.field] = f"a fallback: {fallback.rule} gave nothing ({fallback.problem})"
    return found


def _of_field(settings: MappingSettings, matched: list[RuleSettings], alert: Alert, field: str) -> str:
    if field in aom.OURS:
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
    known = source.table()(word) is not None
    return f"{source.label}={word!r}" + ("" if known else ", which is not in the table: its default")


def _of_annotation(settings: MappingSettings, matched: list[RuleSettings], name: str) -> str:
    for rule in reversed(matched):
        if name in rule.annotations:
            return f"{rule.name}: {rule.annotations[name].text}"
    if name in settings.annotations:
        return f"mapping.annotations: {settings.annotations[name].text}"
    return f"annotation {name}"
