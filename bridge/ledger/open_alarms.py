"""The ledger as it is compared with Alertmanager: alarms without an end, what is known of them, and changes to them.

In: sources, fingerprints, and changes that follow from what Alertmanager's API shows. Out: alarms, and the effect of
each change. A change is applied under the put lock, to the alarm for which it was decided, or not at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from bridge.clock import Millis
from bridge.errors import LedgerUnavailableError
from bridge.ledger.alarm import Effect
from bridge.ledger.core import Core
from bridge.ledger.operations import listed, queries
from bridge.ledger.operations.listed import (
    EndedAlarm,
    HeldAlarm,
    Knowledge,
    ListedChange,
    ListedDifference,
    SourceKnowledge,
)
from bridge.ledger.operations.put import Refusal
from bridge.ledger.writer.messages import ListedRequest
from bridge.notification import Labels

_MAX_RECEIVERS = 1_000
"""Senders choose the names, so there is no other bound."""

_MAX_STORED_AT_ONCE = 500
"""Rows of one transaction: a webhook waits until it ends."""

T = TypeVar("T")


class OpenAlarms:
    """Compares, learns and changes.

    Args:
        core: the ledger's.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._noted: set[tuple[str, str]] = set()
        self._storing: set[asyncio.Task[None]] = set()

    async def held(self, source: str) -> list[HeldAlarm]:
        """Return the newest alarm of each alert of a source that has no end."""
        return await self._core.read(lambda c: listed.held(c, source))

    async def ended(self, source: str, fingerprints: Collection[str]) -> dict[str, EndedAlarm]:
        """Return the newest alarm of each of these alerts, where there is one."""
        return await self._core.read(lambda c: listed.ended(c, source, fingerprints))

    async def labels(self, seqs: Collection[int]) -> dict[int, Labels]:
        """Return the labels of the alerts of these alarms, by the alarms' numbers."""
        views = await self._core.read(lambda c: queries.of_seqs(c, seqs))
        return {view.alarm.seq: view.context.alert.labels for view in views}

    async def knowledge(self, source: str) -> dict[str, Knowledge]:
        """Return what is known of the alerts of a source, by their fingerprints."""
        return await self._core.read(lambda c: listed.knowledge(c, source))

    async def source_knowledge(self, source: str) -> SourceKnowledge:
        """Return what is known of a source itself."""
        return await self._core.read(lambda c: listed.source_knowledge(c, source))

    async def learn(
        self, source: str, changed: Mapping[str, Knowledge | None], longest_validity: Millis | None = None
    ) -> None:
        """Store what is known of alerts (None: forget it), and the longest validity of the source."""
        for part in _parts(changed):
            await self._core.write(partial(listed.learn, source=source, changed=part))
        if longest_validity is not None:
            await self._core.write(partial(listed.learn_source, source=source, longest_validity=longest_validity))

    async def differences(self, source: str) -> dict[str, ListedDifference]:
        """Return the differences of a source after the last round, by fingerprint."""
        return await self._core.read(lambda c: listed.differences(c, source))

    async def differing(self, source: str) -> dict[str, ListedDifference]:
        """Return those differences of a source after the last round that are not over, by fingerprint."""
        return await self._core.read(lambda c: listed.differing(c, source))

    async def store_differences(self, source: str, changed: Mapping[str, ListedDifference | None]) -> None:
        """Store differences that have changed; None: there is none any more."""
        for part in _parts(changed):
            await self._core.write(partial(listed.store_differences, source=source, changed=part))

    def note_receiver(self, source: str, receiver: str) -> None:
        """Store in the background that a notification of a source has named a receiver, the first time that it does."""
        if (source, receiver) not in self._noted and len(self._noted) < _MAX_RECEIVERS:
            self._noted.add((source, receiver))
            storing = asyncio.create_task(self._store_receiver(source, receiver), name="ledger-receiver")
            self._storing.add(storing)
            storing.add_done_callback(self._storing.discard)

    async def _store_receiver(self, source: str, receiver: str) -> None:
        try:
            await self._core.write(partial(listed.learn_source, source=source, receivers=[receiver]))
        except LedgerUnavailableError:
            self._noted.discard((source, receiver))  # the next notification tries again

    async def lead(self, source: str, holder: str, lease: Millis, covered_at: Millis | None = None) -> bool:
        """Take or keep the lead for a source for the length of a lease; say whether this holder has it.

        ``covered_at``: when every peer answered, if the last round of this holder tells.
        """
        now = self._core.clock()
        taken = partial(listed.lead, source=source, holder=holder, now=now, until=now + lease, covered_at=covered_at)
        return await self._core.write(taken)

    async def covered(self) -> dict[str, Millis]:
        """Return when every peer of each source has answered last, by the source."""
        return await self._core.read(listed.covered)

    async def give_up(self, source: str, holder: str) -> None:
        """Give up the lead for a source."""
        await self._core.write(partial(listed.give_up, source=source, holder=holder))

    async def apply(
        self, source: str, holder: str | None, changes: Sequence[ListedChange], max_age: Millis
    ) -> list[Effect | None]:
        """Apply changes; return the effect of each, None if its alarm was another one by then, or the lead was lost.

        Args:
            source: the source.
            holder: who has decided the changes, and must lead; None: any bridge.
            changes: the changes, at most one for each alert.
            max_age: for how long from now they may be applied.

        Raises:
            LedgerUnavailableError: the transaction failed, or was not committed in time; nothing was applied.
        """
        expires_at = time.monotonic() + max_age / 1000
        request = ListedRequest(source, holder, list(changes), self._core.put_parameters(), expires_at)
        result = await self._core.transactions.execute(request)
        self._core.count(result.changes)
        asyncio.get_running_loop().call_soon(self._core.notify_due, result.due)
        return [None if isinstance(effects, Refusal) else effects[-1] for effects in result.effects]


def _parts(changed: Mapping[str, T]) -> Iterator[dict[str, T]]:
    """Cut a mapping into parts that a transaction stores without a webhook noticing it."""
    items = iter(changed.items())
    while part := dict(islice(items, _MAX_STORED_AT_ONCE)):
        yield part
