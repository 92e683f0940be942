"""The webhooks that the demo replays: captured from real Alertmanagers, moved to the present; pure but for its files.

In: the present time. Out: bodies in the order in which they are sent, and the alarms that AOM must hold afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from bridge.clock import Millis, format_rfc3339, parse_rfc3339

_NO_END = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """One webhook: its title, its number of alerts by status, and its body."""

    name: str
    firing: int
    resolved: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """All webhooks, and the fingerprints that fire and that have been cleared at the end."""

    steps: tuple[ReplayStep, ...]
    firing: frozenset[str]
    cleared: frozenset[str]


def load(now: Millis) -> Replay:
    """Return the replay, its newest time moved to ``now`` and all others with it."""
    captured = [(file.name, json.loads(file.read_text(encoding="utf-8"))) for file in _files()]
    newest = max(at for _, body in captured for at in _times(body))
    firing: set[str] = set()
    cleared: set[str] = set()
    steps = []
    for name, body in captured:
        _move(body, now - newest)
        for alert in body["alerts"]:
            now_in, no_longer_in = (firing, cleared) if alert["status"] == "firing" else (cleared, firing)
            now_in.add(alert["fingerprint"])
            no_longer_in.discard(alert["fingerprint"])
        steps.append(_step(name, body))
    return Replay(tuple(steps), frozenset(firing), frozenset(cleared))


def _files() -> list[Any]:
    folder = files("bridge.demo") / "webhooks"
    return sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)


def _step(name: str, body: dict[str, Any]) -> ReplayStep:
    resolved = sum(alert["status"] == "resolved" for alert in body["alerts"])
    title = name.removesuffix(".json").partition("_")[2].replace("_", " ")
    return ReplayStep(title, len(body["alerts"]) - resolved, resolved, json.dumps(body).encode())


def _times(body: dict[str, Any]) -> Iterator[Millis]:
    for alert in body["alerts"]:
        yield parse_rfc3339(alert["startsAt"])
        if alert["endsAt"] != _NO_END:
            yield parse_rfc3339(alert["endsAt"])


def _move(body: dict[str, Any], shift: Millis) -> None:
    for alert in body["alerts"]:
        for key in ("startsAt", "endsAt"):
            if alert[key] != _NO_END:
                alert[key] = format_rfc3339(parse_rfc3339(alert[key]) + shift)
