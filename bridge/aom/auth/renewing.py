"""Credentials that are obtained from a service: when they are needed, renewed in time, once for all requests.

In: a `CredentialSource`. Out: a grant, or a `CredentialError`. A grant is used until it expires, and the next one is
obtained while requests still use it. After a refusal the source is not asked again at once: IAM locks an account after
a few wrong passwords. It does no I/O itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from typing import Protocol

from bridge.aom.auth.grant import CredentialError, RequestAuth
from bridge.aom.outcome import Outcome, failure_text
from bridge.backoff import backoff
from bridge.clock import MINUTE, SECOND, Clock, Millis, format_duration
from bridge.log import logger

_RENEW_AT = 0.8
_AFTER_REFUSAL: Millis = 5 * MINUTE
_MAX_PAUSE_AFTER_REFUSAL: Millis = 30 * MINUTE
"""IAM locks an account after five wrong passwords within fifteen minutes by default."""

_MAX_PAUSE_AFTER_OUTAGE: Millis = MINUTE
_BETWEEN_REFUSED: Millis = 5 * SECOND
"""Least time between two renewals because AOM refused: an AOM that refuses every token must not flood IAM."""

_log = logger("aom")


@dataclass(frozen=True, slots=True)
class Obtained:
    """What a source gave."""

    grant: RequestAuth
    """The grant."""

    expires_at: Millis | None
    """When it expires; None where that is not known."""

    renew_at: Millis
    """When to obtain the next one."""


class CredentialSource(Protocol):
    """A service or a provider that gives grants."""

    name: str

    async def obtain(self, now: Millis) -> Obtained:
        """Return a new grant; raises `CredentialError`."""

    def revision(self) -> object:
        """Return a value that changes with the secret, so that a retry need not wait; raises `CredentialError`."""


def renew_at(now: Millis, expires_at: Millis) -> Millis:
    """Return when a grant is renewed: after 80 % of its lifetime."""
    return now + int(max(0, expires_at - now) * _RENEW_AT)


class RenewingCredentials:
    """Credentials from a source.

    Args:
        source: gives the grants.
        target: the target's name, for the log.
        clock: the time.
    """

    def __init__(self, source: CredentialSource, target: str, clock: Clock) -> None:
        self._source = source
        self._target = target
        self._clock = clock
        self._current: Obtained | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: CredentialError | None = None
        self._failures = 0
        self._next_try: Millis = 0
        self._tried: object = None
        self._renewed_at: Millis = 0

    @property
    def expires_at(self) -> Millis | None:
        """When the present grant expires; None where there is none, or that is not known."""
        return None if self._current is None else self._current.expires_at

    async def get(self) -> RequestAuth:
        """Return a grant; one that is due for renewal is still used until it expires, and is renewed meanwhile."""
        now, current = self._clock(), self._current
        if current is None or (current.expires_at is not None and now >= current.expires_at):
            return await self._renewed()
        if now >= current.renew_at and self._may_try(now):
            self._begin()
        return current.grant

    async def renew(self, refused: RequestAuth) -> bool:
        """Obtain another grant after AOM refused this one, unless that was just done; return whether there is one."""
        if self._current is not None and self._current.grant != refused:
            return True
        now = self._clock()
        if now - self._renewed_at < _BETWEEN_REFUSED and self._task is None:
            return False
        self._renewed_at = now
        old, self._current = self._current, None
        try:
            return await self._renewed() != refused
        except CredentialError as error:
            if not error.outcome.needs_operator:
                self._restore(old)
            return False

    def _restore(self, old: Obtained | None) -> None:
        """Use the old grant again when no new one could be obtained: AOM may have refused it by mistake."""
        if self._current is None:
            self._current = old

    async def close(self) -> None:
        """Cancel a renewal that is under way."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, CredentialError):
                await self._task

    async def _renewed(self) -> RequestAuth:
        if self._task is None and not self._may_try(self._clock()) and self._error is not None:
            raise self._error
        await asyncio.shield(self._begin())
        if self._current is None:  # AOM refused it for another request before this one could use it
            raise CredentialError(Outcome("unavailable", message="AOM refused the new credentials meanwhile"))
        return self._current.grant

    def _may_try(self, now: Millis) -> bool:
        must_wait = (
            0 < self._next_try - now <= _MAX_PAUSE_AFTER_REFUSAL
        )  # a longer wait means that the clock was set back
        if not must_wait or self._tried is None:
            return True
        try:
            return self._source.revision() != self._tried
        except CredentialError:
            return False

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"credentials-{self._target}")
            self._task.add_done_callback(_retrieve)
        return self._task

    async def _run(self) -> None:
        try:
            self._tried = self._source.revision()
            self._current = self._sound(await self._source.obtain(self._clock()))
        except CredentialError as error:
            self._failed(error)
            raise
        except Exception as error:  # noqa: BLE001 - a source runs code of other projects, which may raise anything
            unknown = CredentialError(Outcome("unavailable", message=f"{self._source.name}: {failure_text(error)}"))
            self._failed(unknown)
            raise unknown from None
        else:
            if self._failures:
                _log.info("credentials available again", target=self._target, origin=self._source.name)
            self._failures, self._error, self._next_try = 0, None, 0
        finally:
            self._task = None

    def _sound(self, obtained: Obtained) -> Obtained:
        """Return a grant that is not renewed at once because it is already expired by the local clock."""
        now = self._clock()
        if obtained.expires_at is None or obtained.expires_at > now:
            return obtained
        _log.warning(
            "received credentials that are already expired by the local clock. Fix: synchronize it (NTP)",
            target=self._target,
        )
        return Obtained(obtained.grant, None, now + _AFTER_REFUSAL)

    def _failed(self, error: CredentialError) -> None:
        self._failures += 1
        wait = self._wait(error)
        self._next_try = self._clock() + wait
        is_new = self._error is None or self._error.outcome.reason != error.outcome.reason
        self._error = error
        if is_new:
            log = _log.error if error.outcome.needs_operator else _log.warning
            log(
                "no credentials; alarms are kept, and changed files are picked up",
                target=self._target,
                origin=self._source.name,
                detail=error.outcome.detail,
                next_try_in=format_duration(wait),
            )

    def _wait(self, error: CredentialError) -> Millis:
        if error.outcome.needs_operator:
            return min(_MAX_PAUSE_AFTER_REFUSAL, _AFTER_REFUSAL << min(self._failures - 1, 8))
        asked = error.outcome.retry_after
        return backoff(
            self._failures, min_wait=SECOND, max_wait=_MAX_PAUSE_AFTER_OUTAGE, random=random.random, asked=asked
        )


def _retrieve(task: asyncio.Task[None]) -> None:
    """Retrieve the error, which is logged already: no request awaits a renewal that ran in the background."""
    if not task.cancelled():
        task.exception()
