"""Runs the audit of every target, and the checks of targets; reloads change which.

In: the settings of targets and sources, their clients, the ledger. Out: a running `TargetAudit` for each target whose
`audit` is not 0s. A target that takes alarms over holds back what only Alertmanager's API shows until its first audit
has ended.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from functools import partial

from bridge.aom import AomClient, TargetSettings
from bridge.clock import Clock
from bridge.ledger import Ledger
from bridge.metrics import Metrics
from bridge.reconcile.audit.settings import AuditSettings
from bridge.reconcile.audit.target_audit import TargetAudit
from bridge.reconcile.audit.target_checks import Check, TargetChecks
from bridge.reconcile.audit.telling import AuditTelling

_MAX_HOST_CHARACTERS = 40


class Auditor:
    """Audits every target.

    Args:
        settings: what the configuration says.
        clients: the running clients by target; it changes as they do.
        ledger: the ledger.
        metrics: where findings are shown.
        clock: the time.
    """

    def __init__(
        self,
        settings: AuditSettings,
        clients: Mapping[str, AomClient],
        ledger: Ledger,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._ledger = ledger
        self._telling = AuditTelling(metrics)
        self._clock = clock
        self._holder = f"{socket.gethostname()[:_MAX_HOST_CHARACTERS]}-{secrets.token_hex(4)}"
        self._audits: dict[str, TargetAudit] = {}
        self._checks = TargetChecks(self._targets, clients, settings.sources[0], metrics=metrics, clock=clock)
        self._has_adopted = False

    def checks(self) -> Mapping[str, Mapping[Check, str]]:
        """Return what was tried last at each target: what does not work with the fix, or the empty text if it works."""
        return self._checks.results

    async def start(self) -> None:
        """Begin the audits."""
        await self._ledger.audits.created_at()
        self._start_missing()
        self._checks.start()

    async def stop(self) -> None:
        """End them."""
        await self._checks.stop()
        for name in list(self._audits):
            await self._stop(name)

    async def reconfigure(self, settings: AuditSettings) -> None:
        """Use other settings; targets whose settings are the same go on."""
        self._settings = settings
        for name, audit in list(self._audits.items()):
            if name not in settings.targets or audit.settings != settings.of(name):
                await self._stop(name)
        self._start_missing()

    async def may_raise(self) -> bool:
        """Say whether alerts may be raised that only the API shows: every target that takes over has done so."""
        adopting = [name for name, one in self._settings.targets.items() if one.audit_adopt and one.audit]
        if not self._has_adopted or not adopting:
            self._has_adopted = len(await self._ledger.audits.ended(adopting)) == len(adopting) if adopting else True
        return self._has_adopted

    def _targets(self) -> Mapping[str, TargetSettings]:
        return self._settings.targets

    def _start_missing(self) -> None:
        for name, target in self._settings.targets.items():
            if target.audit and name not in self._audits:
                self._audits[name] = TargetAudit(
                    name,
                    self._settings.of(name),
                    partial(self._clients.get, name),
                    self._ledger,
                    telling=self._telling,
                    clock=self._clock,
                    holder=self._holder,
                )
                self._audits[name].start()

    async def _stop(self, name: str) -> None:
        await self._audits.pop(name).stop()
        self._telling.forget(name)
