"""Takes in one notification: parses and maps it, puts it into the ledger, and counts and logs it.

In: the body of a webhook and its source. Out: an `IntakeReport` once every alert is committed. This module alone knows
that a ledger writer process exists: it parses and maps small notifications there, and larger ones here, while that
process writes. It knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Sequence

from bridge.ledger import Effect, IncomingNotification, Ledger, ParsedAlerts
from bridge.mapping import Mapper
from bridge.metrics import Metrics
from bridge.notification import parse
from bridge.receiving.intake_log import IntakeLog
from bridge.receiving.large_body import parse_in_pieces
from bridge.receiving.loop_budget import LoopBudget
from bridge.receiving.parsed_notification import IntakeReport, ParsedNotification, RawNotification

_MAX_MAPPED_AT_ONCE = 100
"""Alerts mapped per iteration of the event loop, of one request or several."""

_MAX_ENCODED_AT_ONCE = 1_000
"""Alerts that are encoded in the event loop; more would block it, and are encoded on a thread."""

_MAX_SMALL_BYTES = 8 << 10
"""Up to this size the writer process parses and maps a body; larger ones are mapped here while it writes."""

_MAX_LOOP_BYTES = 1 << 20
"""Up to this size a body is parsed in the event loop; larger ones would block it, and are parsed on a thread."""

_MAX_RULES_BYTES = 64 << 10
"""Up to this size the pickled rules are sent to the writer process with each raw notification."""


class Intake:
    """Takes in notifications.

    Args:
        mapper: maps alerts to events.
        ledger: keeps them.
        metrics: where alerts are counted.
    """

    def __init__(self, mapper: Mapper, ledger: Ledger, metrics: Metrics) -> None:
        self._mapper = mapper
        self._rules = pickle.dumps(mapper)
        self._ledger = ledger
        self._log = IntakeLog(metrics)
        self._loop_budget = LoopBudget(_MAX_MAPPED_AT_ONCE)
        self._under_way: set[asyncio.Future[None]] = set()

    def reconfigure(self, mapper: Mapper) -> None:
        """Use other rules from the next notification on."""
        self._mapper = mapper
        self._rules = pickle.dumps(mapper)

    async def settled(self) -> None:
        """Wait until the notifications that are being handled now are kept or refused."""
        under_way = set(self._under_way)
        if under_way:
            await asyncio.wait(under_way)

    async def keep(self, source: str, raw: bytes, is_wanted: Callable[[], bool]) -> IntakeReport:
        """Keep the alerts of one notification durably; count and log it.

        Args:
            source: the name of its source.
            raw: its body.
            is_wanted: asked just before the commit; False: the client has disconnected.

        Raises:
            PayloadError: the body is no payload, or holds more alerts than one transaction takes.
            AbandonedError: the client has disconnected, and nothing was kept.
            LedgerUnavailableError: nothing was kept.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(done)
        try:
            if self._ledger.has_writer and len(raw) <= _MAX_SMALL_BYTES and len(self._rules) <= _MAX_RULES_BYTES:
                effects, packed = await self._ledger.put(
                    IncomingNotification(RawNotification(source, raw, self._rules)), is_wanted
                )
                return self._noted(source, IntakeReport.unpacked(packed), effects)
            size = len(raw)
            notification = parse(raw) if size <= _MAX_LOOP_BYTES else await asyncio.to_thread(parse_in_pieces, raw)
            parsed = ParsedNotification(source, notification, self._mapper, size)
            unmapped = RawNotification(source, raw, self._rules) if "resolved" in parsed.report.statuses else None
            del raw  # the parsed alerts hold what is needed, and the bodies of an alert storm are large
            incoming = await self._map(parsed, unmapped, is_large=size > _MAX_LOOP_BYTES)
            effects, packed = await self._ledger.put(incoming, is_wanted)
            if packed:
                parsed.report.add(IntakeReport.unpacked(packed))
            return self._noted(source, parsed.report, effects)
        finally:
            self._under_way.discard(done)
            done.set_result(None)

    async def _map(
        self, parsed: ParsedNotification, unmapped: RawNotification | None, *, is_large: bool
    ) -> IncomingNotification:
        """Map the firing alerts; the put maps a resolve only if the ledger has no row for it."""
        arrivals = []
        for index, alert in enumerate(parsed.alerts):
            if index % _MAX_MAPPED_AT_ONCE == 0:
                await self._loop_budget.take(min(_MAX_MAPPED_AT_ONCE, len(parsed.alerts) - index))
            arrivals.append(parsed.mapped_arrival(alert) if alert.status == "firing" else parsed.arrival(alert))
        if len(arrivals) <= _MAX_ENCODED_AT_ONCE and not is_large:
            return IncomingNotification(unmapped, ParsedAlerts(arrivals))
        return await asyncio.to_thread(IncomingNotification, unmapped, ParsedAlerts(arrivals))

    def _noted(self, source: str, report: IntakeReport, effects: Sequence[Effect]) -> IntakeReport:
        report.add_effects(effects)
        self._log.note(source, report)
        return report
