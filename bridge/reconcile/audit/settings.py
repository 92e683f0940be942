"""What the audits of AOM's list need of the configuration, for all targets and for one.

In: sections of the configuration. Out: values. Nothing is asked or decided here.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bridge.aom.settings import TargetSettings
from bridge.reconcile.settings import AlertmanagerSettings


class TargetAuditSettings(msgspec.Struct, frozen=True):
    """What the configuration says: the target, every source of alarms, and the Alertmanager of each that names one."""

    target: TargetSettings
    sources: tuple[str, ...]
    alertmanagers: Mapping[str, AlertmanagerSettings]


class AuditSettings(msgspec.Struct, frozen=True):
    """What the configuration says: the targets, every source, and the Alertmanager of each source that names one.

    ``own``: the sources of the bridge's own alarms.
    """

    targets: Mapping[str, TargetSettings]
    sources: tuple[str, ...]
    alertmanagers: Mapping[str, AlertmanagerSettings]
    own: tuple[str, ...]

    @property
    def every_source(self) -> tuple[str, ...]:
        """The sources of every alarm that the bridge may have reported: its own alarms included."""
        return (*self.sources, *self.own)

    def of(self, target: str) -> TargetAuditSettings:
        """Return what it says for one target."""
        return TargetAuditSettings(self.targets[target], self.every_source, self.alertmanagers)
