"""Audits one target again and again: reads AOM's list, and puts what follows from it into the ledger.

In: the settings of the target, its client, the ledger. Out: alarms that are due again, taken over or ended, metrics,
log lines. Of several bridges on one ledger one audits. What differs is decided by `judge`, and which differences are
certain by `memory`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from bridge.aom import AomClient, TargetSettings
from bridge.clock import SECOND, Clock, Millis
from bridge.errors import LedgerUnavailableError
from bridge.ledger import Ledger
from bridge.log import ThrottledLine, logger
from bridge.reconcile.audit import changes
from bridge.reconcile.audit.judge import Finding, Look, Policy, findings
from bridge.reconcile.audit.looking import Looking
from bridge.reconcile.audit.memory import AuditMemory, after
from bridge.reconcile.audit.settings import TargetAuditSettings
from bridge.reconcile.audit.telling import AuditOutcome, AuditTelling

_LIST_EACH = 6
"""The list is read at every sixth audit, whatever the counts say."""

_MAX_ASKED_ALONE = 100
_MAX_AGE: Millis = 30 * SECOND
_MIN_LEASE: Millis = 15 * SECOND
_LEASES = 3
_POLL: Millis = SECOND

_log = logger("audit")


def policy_of(target: TargetSettings) -> Policy:
    """Return the settings of a target that decide."""
    return Policy(target.lookup_wait, target.audit_adopt, accepts=target.cleared_elsewhere == "accept")


class TargetAudit:
    """The audit of one target.

    Args:
        name: the target's.
        settings: what the configuration says.
        client: returns the target's client; None while it has none.
        ledger: the ledger.
        telling: where findings are shown.
        clock: the time.
        holder: the name of this bridge among those on the same ledger.
    """

    def __init__(
        self,
        name: str,
        settings: TargetAuditSettings,
        client: Callable[[], AomClient | None],
        ledger: Ledger,
        *,
        telling: AuditTelling,
        clock: Clock,
        holder: str,
    ) -> None:
        self.settings = settings
        self._name = name
        self._client = client
        self._ledger = ledger
        self._telling = telling
        self._clock = clock
        self._holder = holder
        self._policy = policy_of(settings.target)
        self._looking = Looking(name, ledger.audits, ledger.open_alarms, clock)
        self._memory = AuditMemory()
        self._ghosts: Counter[int] = Counter()
        self._number = 0
        self._listed_at: Millis = 0
        self._ended_at: Millis | None = None
        self._pause = settings.target.audit
        self._task: asyncio.Task[None] | None = None
        self._unavailable = ThrottledLine(partial(_log.error, "AOM's list cannot be compared without the ledger"))

    def start(self) -> None:
        """Begin to audit."""
        self._task = asyncio.create_task(self._run(), name=f"audit-{self._name}")

    async def stop(self) -> None:
        """End to audit, and give up the lead."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            with contextlib.suppress(LedgerUnavailableError):  # then the lease ends by itself
                await self._ledger.audits.give_up(self._name, self._holder)

    async def _run(self) -> None:
        while True:
            try:
                if await self._leads():
                    await self.audit()
            except LedgerUnavailableError as error:
                self._unavailable.add(target=self._name, error=str(error))
            except Exception:  # noqa: BLE001 - whatever it was, the next audit may do better
                _log.exception("unexpected error in an audit; retrying", target=self._name)
            await asyncio.sleep(self._pause / 1000)

    async def _leads(self) -> bool:
        lease = max(_LEASES * self._pause, _MIN_LEASE)
        leads = await self._ledger.audits.lead(self._name, self._holder, lease, self._ended_at)
        if not leads:
            self._memory = AuditMemory()
            self._telling.forget(self._name)
        return leads

    async def audit(self) -> None:
        """Audit once, after what is due; where something differs, the next look comes after `lookup_wait`."""
        await self._until_idle()
        client = self._client()
        if client is None:
            return
        if not await self._is_list_needed(client):
            self._pause = self.settings.target.audit
            return
        listed_at = self._clock()
        lists = await self._looking.lists(client, self.settings.sources, with_metadata=self._policy.adopts)
        if not lists.outcome.accepted:
            self._telling.outcome(self._name, "failed", lists.outcome)
            return
        look = await self._looking.look(lists, self.settings.alertmanagers)
        self._listed_at = listed_at
        is_blind = not look.is_plausible and any(one.reported_at is not None for one in look.open_alarms.values())
        outcome: AuditOutcome = "blind" if is_blind else "complete" if look.is_complete else "incomplete"
        self._telling.outcome(self._name, outcome)
        await self._decide(client, look)

    async def _decide(self, client: AomClient, look: Look) -> None:
        found = findings(look, self._policy, self._ghosts)
        self._memory, due = after(
            self._memory, found, look.at, apart=self._policy.lookup_wait, open_now=len(look.open_alarms)
        )
        self._telling.findings(self._name, due, self._memory)
        acting = [one for one in due if one.action != "tell"]
        await self._act(look, await self._confirmed(client, acting))
        is_waiting = any(one.action != "tell" for one in found if one not in acting)
        self._pause = (
            min(self._policy.lookup_wait, self.settings.target.audit) if is_waiting else self.settings.target.audit
        )
        if look.is_complete and not any(one.action == "adopt" for one in found if one not in acting):
            self._ended_at = self._clock()
            await self._leads()

    async def _until_idle(self) -> None:
        """Wait while alarms are due for the target, for as long as until the next audit at most."""
        due = self._ledger.due
        for _ in range(self.settings.target.audit // _POLL):
            if due.waiting(self._name, "report") + due.waiting(self._name, "clear") <= 0:
                return
            await asyncio.sleep(_POLL / 1000)  # the ledger tells when alarms become due, not when none is

    async def _is_list_needed(self, client: AomClient) -> bool:
        """Say whether the list is read: at the start, after a doubt, where something differed, or the counts differ."""
        number, self._number = self._number, self._number + 1
        if number % _LIST_EACH == 0 or self._memory.since:
            return True
        if await self._ledger.audits.doubted_since(self._name, self._listed_at):
            return True
        outcome, count = await self._looking.count(client, self.settings.sources)
        if outcome.needs_operator:
            return True  # a user may have the right to list and not the right to count
        if not outcome.accepted:
            self._telling.outcome(self._name, "failed", outcome)
            return False
        if count == await self._looking.expected():
            self._telling.outcome(self._name, "complete")
            return False
        return True

    async def _confirmed(self, client: AomClient, due: Sequence[Finding]) -> list[Finding]:
        """Return those of these findings that still hold when AOM is asked for an absent alarm alone."""
        absent = [one for one in due if one.kind == "cleared_elsewhere"]
        others = [one for one in due if one.kind != "cleared_elsewhere"]
        # The others of many wait for the next look.
        asked = [(one, await self._looking.is_shown(client, one.key)) for one in absent[:_MAX_ASKED_ALONE]]
        return [*others, *(one for one, is_shown in asked if is_shown is False)]

    async def _act(self, look: Look, due: Sequence[Finding]) -> None:
        """Put what follows from findings into the ledger."""
        now = self._clock()
        known = [(one, change) for one in due if (change := changes.of_known(one, now)) is not None]
        done = await self._ledger.audits.apply([change for _, change in known])
        for (one, change), is_done in zip(known, done, strict=True):
            if is_done:
                self._ghosts[change.seq] += one.kind == "ghost"
                self._telling.acted(self._name, one)
        for source in dict.fromkeys(one.key[0] for one in due if one.kind == "unknown"):
            await self._bring_in(look, source, [one for one in due if one.kind == "unknown" and one.key[0] == source])

    async def _bring_in(self, look: Look, source: str, due: Sequence[Finding]) -> None:
        """Take over, or end, the alarms of a source that only AOM holds; of several of one alert the first."""
        known = await self._ledger.open_alarms.source_knowledge(source)
        receivers = self.settings.alertmanagers[source].receivers or sorted(known.receivers)
        timeout, now = self.settings.target.alarm_timeout, self._clock()
        first = {one.key: one for one in reversed(due)}
        made = [(one, changes.of_unknown(one, look, receivers, timeout, now)) for one in first.values()]
        wanted = [(one, change) for one, change in made if change is not None]
        effects = await self._ledger.open_alarms.apply(source, None, [change for _, change in wanted], _MAX_AGE)
        for (one, _), effect in zip(wanted, effects, strict=True):
            if effect in ("new", "orphan"):
                self._telling.acted(self._name, one)
