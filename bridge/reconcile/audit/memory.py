"""Which findings of an audit are certain: those that two looks have shown, and that the brake does not hold back; pure.

In: the findings of each look. Out: those to act on, and the memory for the next look.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import msgspec

from bridge.clock import Millis
from bridge.reconcile.audit.judge import CHANGES_AOM, Finding

_MIN_BRAKED = 5
_PART = 0.1


class AuditMemory(msgspec.Struct, frozen=True):
    """What the looks at one target have shown.

    ``since``: when each finding was shown first, if each look since has shown it. ``braked``: the changes that wait
    because they are many, or have waited until this look; ``braked_since``: since when there are no others.
    """

    since: Mapping[Hashable, Millis] = {}
    braked: frozenset[Hashable] = frozenset()
    braked_since: Millis = 0


def after(
    before: AuditMemory, found: Sequence[Finding], at: Millis, *, apart: Millis, open_now: int
) -> tuple[AuditMemory, list[Finding]]:
    """Return the memory after a look, and the findings to act on.

    Args:
        before: the memory after the look before.
        found: what the look has shown.
        at: its time.
        apart: the least time between two looks that prove a finding.
        open_now: how many alarms are open.
    """
    since = {one.identity: before.since.get(one.identity, at) for one in found}
    due = [one for one in found if at - since[one.identity] >= apart]
    changes = frozenset(one.identity for one in due if one.action in CHANGES_AOM)
    if len(changes) <= max(_MIN_BRAKED, _PART * open_now):
        return AuditMemory(since), due
    braked_since = before.braked_since if before.braked and changes <= before.braked else at
    memory = AuditMemory(since, changes, braked_since)
    # The same set must stand for as long again before all of it goes.
    return memory, due if at - braked_since >= apart else [one for one in due if one.identity not in changes]
