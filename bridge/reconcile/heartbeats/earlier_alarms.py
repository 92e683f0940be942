"""Ends open alarms whose alerts have become signs of a heartbeat: they were raised before it was declared.

In: the switches, the open alarms of every source. Out: alarms that are ended. Alerts that come later end their alarms
by themselves, in a put; this is for those that come seldom or never again.
"""

from __future__ import annotations

from collections.abc import Iterable

from bridge.clock import SECOND, Clock, Millis
from bridge.ledger import Heartbeats, ListedChange, OpenAlarms
from bridge.log import logger
from bridge.mapping.switches import Switches

_PAGE = 500
_MAX_AGE: Millis = 5 * SECOND
_MAX_TRIES = 10
"""An alarm changes once or twice between a look and its end: its report is sent, and its alert is posted once more."""

_log = logger("heartbeats")


async def end_earlier_alarms(
    switches: Switches, sources: Iterable[str], ledger: Heartbeats, open_alarms: OpenAlarms, clock: Clock
) -> bool:
    """End the open alarms of all alerts that are signs of a heartbeat; return whether none is left.

    Args:
        switches: the heartbeats.
        sources: the sources of alerts.
        ledger: tells the labels of open alarms.
        open_alarms: the alarms.
        clock: the time.

    Raises:
        LedgerUnavailableError: some may not have been looked at.
    """
    is_done = True
    for source in sources:
        after = 0
        while page := await ledger.open_labels(source, after, _PAGE):
            after = page[-1][0]
            signs = {seq for seq, labels in page if switches.sign(source, labels) is not None}
            if signs and not await _end(source, signs, open_alarms, clock):
                is_done = False
    return is_done


async def _end(source: str, seqs: set[int], open_alarms: OpenAlarms, clock: Clock) -> bool:
    """End these alarms, and return whether none is left; one that changes meanwhile is ended as it is then."""
    count, is_done = 0, False
    for _ in range(_MAX_TRIES):
        changes = [
            ListedChange("heartbeat", one.fingerprint, one.seq, one.last_seen, one.state, ends_at=clock())
            for one in await open_alarms.held(source)
            if one.seq in seqs
        ]
        effects = await open_alarms.apply(source, None, changes, _MAX_AGE)
        count += sum(effect == "resolved" for effect in effects)
        is_done = None not in effects
        if is_done:
            break
    _log.info("alarms ended whose alerts are signs of a heartbeat now", source=source, alarms=count)
    return is_done
