"""Takes in one notification: parses and maps it, puts it into the ledger, and counts and logs it.

In: the body of a webhook and its source. Out: an `IntakeReport` once every alert is committed. Small notifications are
parsed and mapped by the ledger's `AlertmanagerReader`, in the ledger writer process; larger ones here, while that
process writes. This module knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bridge.ledger import Effect, IncomingAlert, IncomingNotification, Ledger, ParsedAlerts
from bridge.mapping import Mapper
from bridge.metrics import Metrics
from bridge.notification import parse, unquoted_receiver
from bridge.receiving.intake_log import IntakeLog
from bridge.receiving.large_body import parse_in_pieces
from bridge.receiving.loop_budget import LoopBudget
from bridge.receiving.parsed_notification import IntakeReport, ParsedNotification, max_alerts

_MAX_MAPPED_AT_ONCE = 100
"""Alerts mapped per iteration of the event loop, of one request or several."""

_MAX_ENCODED_AT_ONCE = 1_000
"""Alerts that are encoded in the event loop; more would block it, and are encoded on a thread."""

_MAX_SMALL_BYTES = 8 << 10
"""Up to this size the writer process parses and maps a body; larger ones are mapped here while it writes."""

_MAX_LOOP_BYTES = 1 << 20
"""Up to this size a body is parsed in the event loop; larger ones would block it, and are parsed on a thread."""


class Intake:
    """Takes in notifications.

    Args:
        mapper: maps alerts to events.
        ledger: keeps them.
        metrics: where alerts are counted.
    """

    def __init__(self, mapper: Mapper, ledger: Ledger, metrics: Metrics) -> None:
        self._mapper = mapper
        self._ledger = ledger
        self._log = IntakeLog(metrics)
        self._loop_budget = LoopBudget(_MAX_MAPPED_AT_ONCE)
        self._under_way: set[asyncio.Future[None]] = set()

    @property
    def mapper(self) -> Mapper:
        """The rules in use."""
        return self._mapper

    def reconfigure(self, mapper: Mapper) -> None:
        """Use other rules from the next notification on."""
        self._mapper = mapper

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
            if len(raw) <= _MAX_SMALL_BYTES:
                receipt = await self._ledger.put(IncomingNotification(source, raw, max_alerts(raw)), is_wanted)
                return self._noted(source, IntakeReport.unpacked(receipt.report), receipt.effects)
            size = len(raw)
            notification = parse(raw) if size <= _MAX_LOOP_BYTES else await asyncio.to_thread(parse_in_pieces, raw)
            parsed = ParsedNotification(source, notification, self._mapper, size)
            body = raw if "resolved" in parsed.report.statuses else b""
            del raw  # the parsed alerts hold what is needed, and the bodies of an alert storm are large
            alerts = await self._mapped(parsed, is_large=size > _MAX_LOOP_BYTES)
            receipt = await self._ledger.put(IncomingNotification(source, body, len(alerts), alerts), is_wanted)
            if receipt.report:
                parsed.report.add(IntakeReport.unpacked(receipt.report))
            return self._noted(source, parsed.report, receipt.effects)
        finally:
            self._under_way.discard(done)
            done.set_result(None)

    async def _mapped(self, parsed: ParsedNotification, *, is_large: bool) -> list[IncomingAlert]:
        """Map the firing alerts; the put maps a resolve only if it meets no open alarm and is no duplicate."""
        arrivals = []
        for index, alert in enumerate(parsed.alerts):
            if index % _MAX_MAPPED_AT_ONCE == 0:
                await self._loop_budget.take(min(_MAX_MAPPED_AT_ONCE, len(parsed.alerts) - index))
            arrivals.append(parsed.mapped_arrival(alert) if alert.status == "firing" else parsed.arrival(alert))
        if len(arrivals) <= _MAX_ENCODED_AT_ONCE and not is_large:
            return ParsedAlerts(arrivals).incoming()
        return await asyncio.to_thread(ParsedAlerts(arrivals).incoming)

    def _noted(self, source: str, report: IntakeReport, effects: Sequence[Effect]) -> IntakeReport:
        report.add_effects(effects)
        self._ledger.open_alarms.note_receiver(source, unquoted_receiver(report.receiver))
        self._log.note(source, report)
        return report
