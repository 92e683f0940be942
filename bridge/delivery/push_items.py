"""Encodes alarms as the entries of a push, and cuts them into pushes that AOM takes.

In: claims, and for clears the ids under which AOM holds them. Out: `PushItem`s, and batches of them. It sends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import msgspec

from bridge import event
from bridge.aom import MAX_BODY_BYTES
from bridge.clock import Clock, Millis
from bridge.delivery.id_lookup import ListedMatches
from bridge.event import AomEvent
from bridge.ledger import Claim

_MAX_ENCODED_IN_A_ROW = 10
"""Events that are encoded before webhooks are served again."""

_OVERHEAD_BYTES = 64


class PushItem(msgspec.Struct, frozen=True):
    """One alarm with its entries in a push: one for a report, one for each of `ids` for a clear.

    ``is_guess`` and ``doubt_at`` as in a `ListedMatches`; ``sent_start``: the start that a report carries.
    """

    claim: Claim
    entries: tuple[bytes, ...]
    ids: tuple[str, ...] = ()
    is_guess: bool = False
    doubt_at: Millis | None = None
    sent_start: Millis | None = None

    @property
    def size(self) -> int:
        """Bytes in the body of a push."""
        return sum(len(entry) + 1 for entry in self.entries)

    def one_by_one(self) -> list[PushItem]:
        """Return one item for each entry."""
        pairs = zip(self.entries, self.ids, strict=True)
        return [msgspec.structs.replace(self, entries=(entry,), ids=(aom_id,)) for entry, aom_id in pairs]


class PushItems:
    """Makes the items of pushes to one target.

    Args:
        encode: encodes one entry as the client does.
        batch_size: the most events in one push.
        clock: the time.
    """

    def __init__(self, encode: Callable[[AomEvent], bytes], batch_size: int, clock: Clock) -> None:
        self._encode = encode
        self._batch_size = batch_size
        self._clock = clock

    async def reports(self, claims: Sequence[Claim]) -> list[PushItem]:
        """Return the reports of these claims."""
        items = []
        for number, claim in enumerate(claims):
            if number % _MAX_ENCODED_IN_A_ROW == 0:
                await asyncio.sleep(0)  # webhooks have their turn
            items.append(self._report(claim))
        return items

    def _report(self, claim: Claim) -> PushItem:
        alarm = claim.alarm
        was_told_before = (
            alarm.first_sent_start is None and alarm.first_reported_at is not None
        )  # by an earlier version
        entry = event.report(
            claim.event,
            alarm_id=alarm.id,
            starts_at=alarm.fired_at,
            now=self._clock(),
            first_start=alarm.earliest_at if was_told_before else alarm.first_sent_start,
            true_start=alarm.starts_at,
        )
        return PushItem(claim, (self._encode(entry),), sent_start=entry.starts_at)

    def clear(self, found: ListedMatches) -> PushItem:
        """Return the clear of one alarm, with an entry for each id."""
        alarm, now = found.claim.alarm, self._clock()
        ends_at = now if alarm.ends_at is None else alarm.ends_at
        entries = [
            event.clear(found.claim.event, aom_id=aom_id, starts_at=alarm.fired_at, ends_at=ends_at, now=now)
            for aom_id in found.aom_ids
        ]
        encoded = tuple(map(self._encode, entries))
        return PushItem(found.claim, encoded, found.aom_ids, found.is_guess, found.doubt_at)

    def batches(self, items: Sequence[PushItem]) -> Iterator[list[PushItem]]:
        """Cut into pushes that AOM takes: by events and by bytes."""
        batch: list[PushItem] = []
        events, size = 0, _OVERHEAD_BYTES
        for item in items:
            if batch and (events + len(item.entries) > self._batch_size or size + item.size > MAX_BODY_BYTES):
                yield batch
                batch, events, size = [], 0, _OVERHEAD_BYTES
            batch.append(item)
            events, size = events + len(item.entries), size + item.size
        if batch:
            yield batch
