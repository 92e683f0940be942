"""Reads the alerts that a person pastes to try rules with; pure.

In: the body of a webhook, or a list of alerts as ``GET /api/v2/alerts`` answers it. Out: each alert with its group, or
a `PayloadError` with what is wrong and where, as of a webhook. An alert of a list fires, unless it says itself that it
has resolved; its group holds what the list tells: the first of its receivers.
"""

from __future__ import annotations

import codecs

import msgspec

from bridge.errors import PayloadError
from bridge.mapping.explain import GroupedAlert
from bridge.notification import Alert, Group, Notification, parse, quoted_receiver, written

_STATUSES = (b'"firing"', b'"resolved"')


class Pasted(msgspec.Struct, frozen=True):
    """The alerts, and how many Alertmanager cut off by `max_alerts`."""

    alerts: tuple[GroupedAlert, ...]
    truncated: int = 0


class _Receiver(msgspec.Struct):
    name: str


_Item = dict[str, msgspec.Raw]
_items = msgspec.json.Decoder(list[_Item])
_receivers = msgspec.json.Decoder(list[_Receiver])


def read_pasted(text: str, source: str) -> Pasted:
    """Read alerts; a blank text holds none.

    Raises:
        PayloadError: the text is neither a webhook's body nor a list of alerts.
    """
    body = text.encode(errors="replace").removeprefix(codecs.BOM_UTF8).strip()
    if not body:
        return Pasted(())
    if body.startswith(b"["):
        return Pasted(tuple(GroupedAlert(source, *pair) for pair in _listed(body)))
    notification = parse(body)
    alerts = tuple(GroupedAlert(source, alert, notification.group) for alert in notification.alerts)
    return Pasted(alerts, notification.truncated_alerts)


def as_pasted(grouped: GroupedAlert) -> str:
    """Return the text of a webhook with one alert, such as one that the ledger keeps."""
    notification = Notification(grouped.group, (grouped.alert,), truncated_alerts=0)
    return msgspec.json.format(written(notification), indent=2).decode() + "\n"


def _listed(body: bytes) -> list[tuple[Alert, Group]]:
    try:
        items = _items.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"this is no list of alerts: {error}. Fix: paste all of it, from [ to ].") from None
    alerts = parse(msgspec.json.encode({"version": "4", "alerts": [_as_sent(item) for item in items]})).alerts
    return [(alert, _group(alert, item)) for alert, item in zip(alerts, items, strict=True)]


def _as_sent(item: _Item) -> _Item:
    """Return an alert of a list as a webhook has it: there the status is a word, and the end is that of a resolve."""
    status = item.get("status", msgspec.Raw())
    return item if bytes(status) in _STATUSES else {**item, "status": msgspec.Raw(_STATUSES[0])}


def _group(alert: Alert, item: _Item) -> Group:
    return Group(
        receiver=_receiver(item),
        group_key="",
        group_labels={},
        common_labels=alert.labels,
        common_annotations=alert.annotations,
        external_url="",
    )


def _receiver(item: _Item) -> str:
    """Return the first receiver, as webhooks write it."""
    try:
        return next((quoted_receiver(one.name) for one in _receivers.decode(item.get("receivers", b"[]"))), "")
    except msgspec.DecodeError:
        return ""
