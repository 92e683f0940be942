"""Credentials that somebody must be asked for: obtained when needed, renewed in time, once for all who need them.

In: a way to obtain a grant. Out: the grant, or a `CredentialError`. While the present grant lives it serves, and the
next one is fetched beside the requests. Who refuses us is not asked again at once: IAM locks an account after a few
wrong passwords. It does no I/O itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Protocol

import msgspec

from bridge.aom.auth.grant import CredentialError, RequestAuth
from bridge.aom.outcome import Outcome, words_of
from bridge.backoff import backoff
from bridge.clock import MINUTE, SECOND, Clock, Millis, format_duration
from bridge.log import logger

_RENEW_AT = 0.8
_AFTER_REFUSAL: Millis = 5 * MINUTE
_MAX_PAUSE_AFTER_REFUSAL: Millis = 30 * MINUTE
"""IAM locks an account after five wrong passwords within fifteen minutes by default."""

_MAX_PAUSE_AFTER_OUTAGE: Millis = MINUTE
_BETWEEN_REFUSED: Millis = 5 * SECOND
"""Between two renewals because AOM refused: an AOM that refuses every token must not become a storm on IAM."""

_log = logger("aom")


class Obtained(msgspec.Struct, frozen=True):
    """A grant, and until when it lives; ``expires_at`` None: that is not known, and it is asked for again later."""

    grant: RequestAuth
    expires_at: Millis | None
    renew_at: Millis


class CredentialSource(Protocol):
    """Where grants come from."""

    name: str

    async def obtain(self, now: Millis) -> Obtained:
        """Ask for a grant; raises `CredentialError`."""

    def revision(self) -> object:
        """Return what changes when there is a reason to ask again at once: the secret itself was changed."""


def renew_at(now: Millis, expires_at: Millis) -> Millis:
    """Return when a grant is renewed: at 80 % of its life."""
    return now + int(max(0, expires_at - now) * _RENEW_AT)


class RenewingCredentials:
    """Credentials from an origin.

    Args:
        origin: where they come from.
        target: whose they are, for the log.
        clock: the time.
    """

    def __init__(self, origin: CredentialSource, target: str, clock: Clock) -> None:
        self._origin = origin
        self._target = target
        self._clock = clock
        self._held: Obtained | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: CredentialError | None = None
        self._failures = 0
        self._next_try: Millis = 0
        self._tried: object = None
        self._renewed_at: Millis = 0

    @property
    def expires_at(self) -> Millis | None:
        """When the present grant ends; None where there is none, or that is not known."""
        return None if self._held is None else self._held.expires_at

    async def get(self) -> RequestAuth:
        """Return a grant; one that is old still serves while it lives, and is renewed meanwhile."""
        now, held = self._clock(), self._held
        if held is None or (held.expires_at is not None and now >= held.expires_at):
            return await self._renewed()
        if now >= held.renew_at and self._may_try(now):
            self._begin()
        return held.grant

    async def renew(self, refused: RequestAuth) -> bool:
        """Ask for another grant because AOM refused this one, unless somebody has just done so; say if there is one."""
        if self._held is not None and self._held.grant != refused:
            return True
        now = self._clock()
        if now - self._renewed_at < _BETWEEN_REFUSED and self._task is None:
            return False
        self._renewed_at = now
        held, self._held = self._held, None
        try:
            return await self._renewed() != refused
        except CredentialError as error:
            if not error.outcome.needs_operator:
                self._restore(held)
            return False

    def _restore(self, held: Obtained | None) -> None:
        """Take the old grant again while nobody gives a new one: AOM may have refused it by mistake."""
        if self._held is None:
            self._held = held

    async def close(self) -> None:
        """Give up what is being asked for."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, CredentialError):
                await self._task

    async def _renewed(self) -> RequestAuth:
        if self._task is None and not self._may_try(self._clock()) and self._error is not None:
            raise self._error
        await asyncio.shield(self._begin())
        if self._held is None:  # AOM has refused it before we came to use it
            raise CredentialError(Outcome("unavailable", message="the credentials were refused meanwhile"))
        return self._held.grant

    def _may_try(self, now: Millis) -> bool:
        must_wait = 0 < self._next_try - now <= _MAX_PAUSE_AFTER_REFUSAL  # beyond that the clock was set back
        if not must_wait or self._tried is None:
            return True
        try:
            return self._origin.revision() != self._tried
        except CredentialError:
            return False

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"credentials-{self._target}")
            self._task.add_done_callback(_retrieve)
        return self._task

    async def _run(self) -> None:
        try:
            self._tried = self._origin.revision()
            self._held = self._sound(await self._origin.obtain(self._clock()))
        except CredentialError as error:
            self._failed(error)
            raise
        except Exception as error:  # noqa: BLE001 - an origin is others' code, and may raise anything
            unknown = CredentialError(Outcome("unavailable", message=f"{self._origin.name}: {words_of(error)}"))
            self._failed(unknown)
            raise unknown from None
        else:
            if self._failures:
                _log.info("credentials are there again", target=self._target, origin=self._origin.name)
            self._failures, self._error, self._next_try = 0, None, 0
        finally:
            self._task = None

    def _sound(self, obtained: Obtained) -> Obtained:
        """Return a grant that is not asked for again at once because our clock says that it has ended already."""
        now = self._clock()
        if obtained.expires_at is None or obtained.expires_at > now:
            return obtained
        _log.warning(
            "credentials came that have ended already by our clock. Fix: synchronize it (NTP)", target=self._target
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
                "no credentials could be had; everything is kept, and changed files are noticed",
                target=self._target,
                origin=self._origin.name,
                detail=error.outcome.detail,
                next_try_in=format_duration(wait),
            )

    def _wait(self, error: CredentialError) -> Millis:
        if error.outcome.needs_operator:
            return min(_MAX_PAUSE_AFTER_REFUSAL, _AFTER_REFUSAL << min(self._failures - 1, 8))
        asked = error.outcome.retry_after
        return backoff(self._failures, least=SECOND, most=_MAX_PAUSE_AFTER_OUTAGE, random=random.random, asked=asked)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at the error, which nobody waits for when the renewal ran beside the requests; it is logged already."""
    if not task.cancelled():
        task.exception()
