"""The `heartbeats:` section: which alerts are signs of life, how often they come, and the alarm when they do not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from bridge.clock import HOUR, MINUTE, SECOND, Millis
from bridge.event import Severity
from bridge.mapping.matcher import Matchers
from bridge.mapping.switches import Switch, Switches
from bridge.notification import HEARTBEAT_MISSING
from bridge.typed_yaml.scalars import DurationField
from bridge.typed_yaml.section import Problems

_MIN_TIME: Millis = SECOND
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN_LABELS = ("alertname", "heartbeat")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSettings:
    """One heartbeat.

    Attributes:
        name: the heartbeat's name, which the alarm and the metrics show.
        match: matchers of labels, which are needed: the alerts that are signs of life, and never alarms, such as
            `alertname="Watchdog"`.
        source: only alerts of this source are signs; empty: those of every source.
        by: labels whose values tell several switches apart, such as `[cluster]`; each is late and missing by itself.
            Empty: one switch, expected from the start.
        every: how often a sign is expected, at least 1s; after that the heartbeat is late. Longer than the time between
            two posts of the alert, as the bridge says if it is not.
        missing_after: how long there may be no sign before the alarm is raised; at least twice `every`.
        hold: for how long a late switch holds back the clears of absent alerts at most.
        severity: the severity of the alarm.
        target: the target of the alarm, by its name; empty: the default one.
        paused: with true no alarm is raised, and one that is open is cleared. For planned work.
    """

    name: str
    match: tuple[Matchers, ...] = ()
    source: str = ""
    by: tuple[str, ...] = ()
    every: DurationField = 5 * MINUTE
    missing_after: DurationField = 15 * MINUTE
    hold: DurationField = HOUR
    severity: Severity = "Critical"
    target: str = ""
    paused: bool = False

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        problems: Problems = []
        if not _NAME.fullmatch(self.name):
            problems.append(("name", f"{self.name[:80]!r} is not a name. Fix: 1 to 64 of A-Z a-z 0-9 _ . and -."))
        if not any(matchers.each for matchers in self.match):
            problems.append(("match", "it is empty, so every alert would be a sign. Fix: match: [alertname=Watchdog]."))
        for index, label in enumerate(self.by):
            if not label or label in _OWN_LABELS or label in self.by[:index]:
                fix = f"Fix: a label other than {' and '.join(_OWN_LABELS)}, once each, such as cluster."
                problems.append((f"by[{index}]", f"{label[:80]!r} cannot tell switches apart. {fix}"))
        for key in ("every", "missing_after"):
            if getattr(self, key) < _MIN_TIME:
                problems.append((key, "it must be at least 1s. Fix: a longer duration, or no line for the default."))
        if self.missing_after < self.every:
            problems.append(("missing_after", "it is shorter than every. Fix: at least twice as long as every."))
        return problems

    def doubts(self) -> Problems:
        """Return what can be right and seldom is: pairs of the key and the sentence."""
        doubts: Problems = []
        if self.missing_after < 2 * self.every:
            text = f"one sign that comes late raises {HEARTBEAT_MISSING}. Fix: at least twice as long as every."
            doubts.append(("missing_after", text))
        return doubts

    @property
    def switch(self) -> Switch:
        """Which alerts are signs of it."""
        return Switch(
            name=self.name,
            source=self.source,
            match=tuple(one for each in self.match for one in each.each),
            by=self.by,
            every=self.every,
            missing_after=None if self.paused else self.missing_after,
        )


class HeartbeatConfig(msgspec.Struct, frozen=True):
    """What the configuration says of heartbeats.

    ``heartbeats``: the settings of each. ``sources``: every source of alerts. ``default_target``: where their alarms go
    if they name no target; ``timeouts``: the `alarm_timeout` of each target.
    """

    heartbeats: tuple[HeartbeatSettings, ...] = ()
    sources: tuple[str, ...] = ()
    default_target: str = ""
    timeouts: Mapping[str, Millis] = {}

    @property
    def switches(self) -> Switches:
        """Which alerts are signs of which heartbeat."""
        return Switches([one.switch for one in self.heartbeats])
