"""One look at AOM's own list of a target, for people: what differs from the ledger now; it changes nothing.

In: the settings of the target and its sources, the ledger. Out: an `AomLook`. It needs no running bridge; without one
nothing is done about what differs.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from bridge.aom import AomClient, Outcome
from bridge.clock import SECOND, Clock, Millis
from bridge.ledger import Alarm, Key, OfflineLedger, OpenAtTarget, SourceKnowledge
from bridge.reconcile.audit.judge import Finding, Look, findings
from bridge.reconcile.audit.looking import Looking
from bridge.reconcile.audit.settings import TargetAuditSettings
from bridge.reconcile.audit.target_audit import policy_of

_ATTEMPT: Millis = 10 * SECOND


class AomLook(msgspec.Struct, frozen=True):
    """What one look has shown.

    ``outcome``: of the requests to AOM. ``look`` and ``findings``: None and none where AOM could not be asked.
    ``is_audited``: whether a running bridge audits the target.
    """

    outcome: Outcome
    look: Look | None
    findings: list[Finding]
    is_audited: bool


class _Offline:
    """The ledger as a look reads it, beside the running bridge."""

    def __init__(self, ledger: OfflineLedger) -> None:
        self._ledger = ledger

    async def open_at(self, target: str) -> list[OpenAtTarget]:
        return list(self._ledger.open_at(target))

    async def newest(self, keys: Collection[Key]) -> dict[Key, Alarm]:
        return self._ledger.newest_of(keys)

    async def created_at(self) -> Millis:
        return self._ledger.created_at()

    async def source_knowledge(self, source: str) -> SourceKnowledge:
        return self._ledger.source(source).of_source


async def look_once(name: str, settings: TargetAuditSettings, ledger: OfflineLedger, clock: Clock) -> AomLook:
    """Look at one target.

    Args:
        name: the target's.
        settings: what the configuration says.
        ledger: the ledger.
        clock: the time.

    Raises:
        BridgeError: a file that the target names cannot be used.
        LedgerUnavailableError: there is no ledger, or it cannot be read.
    """
    offline = _Offline(ledger)
    looking, is_audited = Looking(name, offline, offline, clock), ledger.is_audited(name)
    client = AomClient(name, settings.target, clock, _ATTEMPT)
    await client.start()
    try:
        lists = await looking.lists(client, settings.sources, with_metadata=False)
        if not lists.outcome.accepted:
            return AomLook(lists.outcome, None, [], is_audited)
        look = await looking.look(lists, settings.alertmanagers)
        return AomLook(lists.outcome, look, findings(look, policy_of(settings.target), {}), is_audited)
    finally:
        await client.stop()
