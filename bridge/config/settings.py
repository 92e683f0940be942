"""The configuration file as settings, and the checks between its sections.

In: the text of one file and the environment. Out: `Settings`, or a `ConfigError` that holds all problems. YAML is read
by `bridge.typed_yaml.reader`; the settings of each section are defined in the package that uses them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.aom.settings import TargetSettings
from bridge.clock import Millis
from bridge.config.placeholders import with_targets
from bridge.delivery.settings import DeliverySettings
from bridge.ledger.settings import LedgerSettings
from bridge.mapping import Mapper, MappingSettings, Surroundings, TargetTimes
from bridge.notification import CANARY, HEARTBEATS, OWN_SOURCES
from bridge.receiving.settings import WebSettings
from bridge.reconcile import AuditSettings, CanarySettings, HeartbeatConfig, HeartbeatSettings, PingSettings
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.typed_yaml.document import compose
from bridge.typed_yaml.problems import ConfigError, Problem, read_file, suggest
from bridge.typed_yaml.reader import Reader, SectionText
from bridge.typed_yaml.section import Problems

_SOURCE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file. Every setting but the targets has a default.

    Attributes:
        targets: the AOM projects that alarms go to, by a name of yours. Of several one is called `default`; rules
            choose the others.
        source: the name of the Alertmanager cluster that posts to `/webhook`. Equal labels from two sources are two
            alerts, so each cluster needs a name of its own. Change it only while no alarm is open.
        sources: the names of further clusters; each posts to `/webhook/NAME`. Add one for each Alertmanager or Grafana
            that shares this bridge.
        store: the ledger's database and its limits. A change needs a restart.
        web: limits for request bodies. A change needs a restart.
        delivery: how alarms are batched, sent and tried again.
        mapping: how alerts become alarms; `docs/mapping.md` builds it up by examples.
        alertmanagers: the Alertmanagers whose API the bridge asks, to end and raise alarms of which no webhook tells;
            one entry for each source.
        heartbeats: alerts that always fire: signs of life, which are no alarms. If one stops, an alarm is raised.
        ping: an address outside that is called only while the whole chain works, as healthcheck services take it.
        canary: an alarm of the bridge's own that goes through the whole chain, and is measured.
    """

    targets: dict[str, TargetSettings]
    source: str = "default"
    sources: tuple[str, ...] = ()
    store: LedgerSettings = field(default_factory=LedgerSettings)
    web: WebSettings = field(default_factory=WebSettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    mapping: MappingSettings = field(default_factory=MappingSettings)
    alertmanagers: tuple[AlertmanagerSettings, ...] = ()
    heartbeats: tuple[HeartbeatSettings, ...] = ()
    ping: PingSettings = field(default_factory=PingSettings)
    canary: CanarySettings = field(default_factory=CanarySettings)

    @property
    def heartbeat_config(self) -> HeartbeatConfig:
        """What the watch of heartbeats needs of the whole file."""
        return HeartbeatConfig(self.heartbeats, self.all_sources, self.default_target, self._timeouts)

    @property
    def audit_settings(self) -> AuditSettings:
        """What the audits of AOM's list need of the whole file."""
        own = (HEARTBEATS, CANARY) if self.canary.interval else (HEARTBEATS,)
        return AuditSettings(self.targets, self.all_sources, self.by_source, own)

    @property
    def surroundings(self) -> Surroundings:
        """What the mapping section needs of the whole file."""
        return Surroundings(
            targets={
                name: TargetTimes(target.alarm_timeout, target.reassert_after) for name, target in self.targets.items()
            },
            default_target=self.default_target,
            sources=self.all_sources,
            heartbeats=tuple(one.switch for one in self.heartbeats),
            has_alertmanagers=bool(self.alertmanagers),
        )

    @property
    def _timeouts(self) -> dict[str, Millis]:
        return {name: target.alarm_timeout for name, target in self.targets.items()}

    @property
    def by_source(self) -> dict[str, AlertmanagerSettings]:
        """The Alertmanager of each source that names one."""
        return {one.source or self.source: one for one in self.alertmanagers}

    @property
    def default_target(self) -> str:
        """The target of alerts for which no rule names one: the only target, or the one named ``default``."""
        return next(iter(self.targets)) if len(self.targets) == 1 else "default"

    @property
    def alarm_timeout(self) -> Millis:
        """The shortest `alarm_timeout` of all targets."""
        return min((target.alarm_timeout for target in self.targets.values()), default=0)

    @property
    def all_sources(self) -> tuple[str, ...]:
        """Every source that ``/webhook/{source}`` accepts; the first one is the source of ``/webhook``."""
        return tuple(dict.fromkeys((self.source, *self.sources)))

    def mapper(self) -> Mapper:
        """Return the mapper for the rules."""
        return self.surroundings.mapper(self.mapping)

    def problems(self) -> Problems:
        """Return the problems between the sections: pairs of the path and the sentence."""
        problems = []
        for path, name in [("source", self.source), *((f"sources[{i}]", name) for i, name in enumerate(self.sources))]:
            if name in OWN_SOURCES:
                problems.append((path, f"{name} is the source of the bridge's own alarms. Fix: another name."))
            if not _SOURCE.fullmatch(name):
                problems.append((path, f"{name!r} is not a name. Fix: 1 to 64 of A-Z a-z 0-9 _ . and -."))
        problems += self._alertmanager_problems()
        problems += self._heartbeat_problems()
        if not self.targets:
            problems.append(("targets", "there is none. Fix: describe one AOM project under targets.default."))
        elif len(self.targets) > 1 and "default" not in self.targets:
            problems.append(("targets", "of several targets one must be called default. Fix: rename the usual one."))
        return problems + [(f"mapping.{key}", text) for key, text in self.surroundings.problems(self.mapping)]

    def _alertmanager_problems(self) -> Problems:
        problems: Problems = []
        seen: set[str] = set()
        for index, one in enumerate(self.alertmanagers):
            name = one.source or self.source
            if name not in self.all_sources:
                text = f"no source is called {name!r}. Fix: {suggest(name, self.all_sources)}"
                problems.append((f"alertmanagers[{index}].source", text))
            if name in seen:
                text = f"source {name!r} is there already. Fix: write all of its peers under one urls."
                problems.append((f"alertmanagers[{index}]", text))
            seen.add(name)
        return problems

    def _heartbeat_problems(self) -> Problems:
        problems: Problems = []
        names = [one.name for one in self.heartbeats]
        for index, one in enumerate(self.heartbeats):
            path = f"heartbeats[{index}]"
            if one.name in names[:index]:
                problems.append((f"{path}.name", f"{one.name!r} is there already. Fix: another name, or use by."))
            if one.source and one.source not in self.all_sources:
                text = f"no source is called {one.source!r}. Fix: {suggest(one.source, self.all_sources)}"
                problems.append((f"{path}.source", text))
            if one.target and one.target not in self.targets:
                text = f"no target is called {one.target!r}. Fix: {suggest(one.target, self.targets)}"
                problems.append((f"{path}.target", text))
        return problems

    def doubts(self) -> Problems:
        """Return valid but probably unintended combinations: pairs of the path and the sentence."""
        of_mapping = self.surroundings.doubts(self.mapping)
        return self._audit_doubts() + [(f"mapping.{key}", text) for key, text in of_mapping]

    def _audit_doubts(self) -> Problems:
        doubts: Problems = []
        for name, target in self.targets.items():
            if target.audit_adopt and not target.audit:
                doubts.append((f"targets.{name}.audit_adopt", "it does nothing with audit: 0s. Fix: audit: 10m."))
            elif target.audit_adopt and set(self.by_source) != set(self.all_sources):
                text = "alarms of a source without alertmanagers are not taken over: nothing tells whether they fire"
                doubts.append((f"targets.{name}.audit_adopt", f"{text}. Fix: alertmanagers for every source."))
            elif target.audit_adopt and not all(one.receivers for one in self.alertmanagers):
                text = "a lost ledger has forgotten the receivers, too: until a webhook names one, nothing is raised"
                doubts.append((f"targets.{name}.audit_adopt", f"{text}. Fix: receivers in alertmanagers."))
        return doubts


@dataclass(frozen=True, slots=True)
class Shown:
    """A configuration as people may see it.

    Attributes:
        yaml: the file as YAML, without its secrets.
        mapping: its mapping section alone, which can be read again.
    """

    yaml: str = ""
    mapping: SectionText = field(default_factory=lambda: SectionText("mapping: {}\n", {}))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration file that was loaded.

    Attributes:
        settings: the settings.
        missing: what does not exist now and may exist later: variables with ``allow_unset``, and files of secrets.
        doubts: settings that are valid but probably not intended.
        shown: the file, without its secrets.
    """

    settings: Settings
    missing: list[Problem]
    doubts: list[Problem]
    shown: Shown


def load(
    file: str,
    env: Mapping[str, str] | None = None,
    *,
    raw: bytes | None = None,
    allow_unset: bool = False,
    needs_targets: bool = True,
) -> Loaded:
    """Read a configuration file.

    Args:
        file: its path.
        env: the variables for ``${VAR}``; the process's own by default.
        raw: its content; None: read the file.
        allow_unset: take a variable that is not set as the text ``unset`` instead of a mistake.
        needs_targets: False: where there are none, take some by which nothing can be sent.

    Raises:
        ConfigError: with every mistake.
    """
    reader = Reader(file, os.environ if env is None else env, allow_unset=allow_unset)
    node = compose(read_file(file) if raw is None else raw, file)
    settings = reader.read(node if needs_targets else with_targets(node), Settings, "")
    if reader.problems or not isinstance(settings, Settings):
        raise ConfigError(file, reader.problems)
    _doubt_relative_ledger(reader, settings, file)
    # Unset variables are all replaced by the same word, and would make different rules look equal.
    doubts = [] if allow_unset and reader.missing else sorted(reader.doubts)
    mapping = reader.section("mapping")
    return Loaded(settings, sorted(reader.missing), doubts, Shown(reader.shown(node), mapping))


def _doubt_relative_ledger(reader: Reader, settings: Settings, file: str) -> None:
    """Doubt a path that would be another one if it were relative to the configuration, as readers may think."""
    path = settings.store.relative_file
    if path is None or Path(file).absolute().parent == Path.cwd():
        return
    text = f"it is relative to the working directory, where it is {path.absolute()}: started elsewhere, the bridge has"
    reader.doubt_at("store.url", f"{text} another ledger. Fix: sqlite:///{path.absolute()}.")
