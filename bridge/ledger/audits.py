"""The ledger as it is compared with AOM's list: the alarms that AOM should hold, and changes to them.

In: targets, alerts, and decisions that follow from AOM's list. Out: alarms, and which decisions were carried out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from bridge.clock import Millis
from bridge.ledger.alarm import Alarm, Key
from bridge.ledger.core import Core
from bridge.ledger.operations import audited, listed
from bridge.ledger.operations.audited import AuditChange, OpenAtTarget, lead_name

_MAX_AT_ONCE = 500
"""Alarms of one transaction: a webhook waits until it ends."""


class Audits:
    """Reads, and changes what differs.

    Args:
        core: the ledger's.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def created_at(self) -> Millis:
        """Return since when this ledger knows of alarms."""
        return await self._core.write(partial(audited.ensure_created_at, now=self._core.clock()))

    async def open_at(self, target: str) -> list[OpenAtTarget]:
        """Return the open alarms of a target that AOM should hold."""
        return await self._core.read(lambda c: audited.open_at(c, target))

    async def newest(self, keys: Collection[Key]) -> dict[Key, Alarm]:
        """Return the newest alarm of each of these alerts, where there is one."""
        return await self._core.read(lambda c: audited.newest(c, keys)) if keys else {}

    async def doubted_since(self, target: str, at: Millis) -> bool:
        """Say whether a push for an alarm of a target got into doubt at this time or later."""
        return await self._core.read(lambda c: audited.doubted_since(c, target, at))

    async def apply(self, changes: Sequence[AuditChange]) -> list[bool]:
        """Carry out decisions; say of each whether its alarm was still as it was when it was decided."""
        results: list[bool] = []
        for begin in range(0, len(changes), _MAX_AT_ONCE):
            some, now = changes[begin : begin + _MAX_AT_ONCE], self._core.clock()
            done, counts = await self._core.write(partial(audited.apply, changes=some, now=now))
            self._core.count(counts)
            results += done
        self._core.notify_due()
        return results

    async def lead(self, target: str, holder: str, lease: Millis, ended_at: Millis | None) -> bool:
        """Take or keep the lead for a target for the length of a lease; say whether this holder has it.

        ``ended_at``: when the last audit by this holder ended.
        """
        now, name = self._core.clock(), lead_name(target)
        taken = partial(listed.lead, source=name, holder=holder, now=now, until=now + lease, covered_at=ended_at)
        return await self._core.write(taken)

    async def give_up(self, target: str, holder: str) -> None:
        """Give up the lead for a target."""
        await self._core.write(partial(listed.give_up, source=lead_name(target), holder=holder))

    async def ended(self, targets: Collection[str]) -> dict[str, Millis]:
        """Return when the last audit of each of these targets ended, where there was one."""
        known = await self._core.read(listed.covered)
        return {target: known[lead_name(target)] for target in targets if lead_name(target) in known}
