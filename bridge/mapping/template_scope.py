"""The names that templates see for one alert; pure.

In: an alert with its group and source. Out: its `AlertScope`; times are RFC 3339 texts in UTC. The names that
few templates use are built when a template looks at them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from weakref import proxy

from bridge.clock import format_rfc3339
from bridge.mapping.filters import MAX_TEXT_CHARACTERS
from bridge.mapping.template import Template
from bridge.notification import Alert, Group

_MAX_MAP_ITEMS = 200
"""The most labels or annotations that templates see when their total length exceeds `MAX_TEXT_CHARACTERS`."""


class AlertScope(dict[str, Any]):
    """The names that templates see, and their values for one alert."""

    __slots__ = ("__weakref__", "_alert", "_group", "_vars")

    def __init__(self, source: str, alert: Alert, group: Group, templates: Mapping[str, Template]) -> None:
        super().__init__(source=source, labels=_limited(alert.labels), annotations=_limited(alert.annotations))
        self._alert = alert
        self._group = group
        self._vars = templates

    def __missing__(self, name: str) -> Mapping[str, Any]:
        """Build ``alert``, ``group`` or ``vars`` at its first use."""
        value: Mapping[str, Any]
        if name == "alert":
            value = _alert(self._alert)
        elif name == "group":
            value = _group(self._group)
        elif name == "vars":
            value = Vars(self._vars, self)
        else:
            raise KeyError(name)
        self[name] = value
        return value


class VarError(ValueError):
    """The template of one of ``mapping.vars`` failed for this alert."""


class Vars(Mapping[str, str]):
    """The values of `mapping.vars` for one alert; each is rendered at most once, when a template looks at it."""

    def __init__(self, templates: Mapping[str, Template], scope: AlertScope) -> None:
        self._templates = templates
        self._scope = proxy(scope)  # weak: a reference cycle would live until the garbage collector runs
        self._values: dict[str, str] = {}
        self._problems: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Return the value.

        Raises:
            VarError: its template fails for this alert; the text names the variable.
        """
        if name not in self._values and name not in self._problems:
            self._render(name)
        if name in self._problems:
            raise VarError(self._problems[name])
        return self._values[name]

    def describe(self, name: str) -> str:
        """Return the value, or the problem of its template, for people."""
        try:
            return repr(self[name])
        except VarError as error:
            return f"nothing ({error})"

    def __contains__(self, name: object) -> bool:
        return name in self._templates

    def __iter__(self) -> Iterator[str]:
        return iter(self._templates)

    def __len__(self) -> int:
        return len(self._templates)

    def _render(self, name: str) -> None:
        try:
            self._values[name] = self._templates[name].render(self._scope)
        except VarError as error:
            self._problems[name] = str(error)
        except Exception as error:  # noqa: BLE001 - a user's template can raise anything
            self._problems[name] = f"vars.{name}: {type(error).__name__}: {error}"


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "status": alert.status,
        "fingerprint": alert.fingerprint,
        "generator_url": alert.generator_url[:MAX_TEXT_CHARACTERS],
        "starts_at": format_rfc3339(alert.starts_at),
        "ends_at": "" if alert.ends_at is None else format_rfc3339(alert.ends_at),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "receiver": group.receiver[:MAX_TEXT_CHARACTERS],
        "group_key": group.group_key[:MAX_TEXT_CHARACTERS],
        "group_labels": _limited(group.group_labels),
        "common_labels": _limited(group.common_labels),
        "common_annotations": _limited(group.common_annotations),
        "external_url": group.external_url[:MAX_TEXT_CHARACTERS],
    }


def _limited(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return a map that is short enough for templates; AOM takes no more of a value than is left."""
    if len("".join(values.values())) <= MAX_TEXT_CHARACTERS:
        return values
    items = list(values.items())[:_MAX_MAP_ITEMS]
    return {name[:MAX_TEXT_CHARACTERS]: value[:MAX_TEXT_CHARACTERS] for name, value in items}
