"""``POST /api/v1/playground``: tries mapping rules on pasted alerts; nothing is kept or sent.

In: JSON with the fields of `PlaygroundQuestion`. Out: a `TrialResult`, whatever it says: a mistake in the rules is an
answer, too. Although it is posted it needs only the right to read. The rules run elsewhere: what takes long is `run`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger import AlarmFilter, AlarmRecords
from bridge.mapping.explain import GroupedAlert
from bridge.mapping.playground.trial import TrialRequest, TrialResult
from bridge.web.responses import answer, failure

MAX_KEPT = 1_000
"""The most alarms of the ledger for which rules are compared."""

_MAX_BODY_BYTES = 4 << 20
"""Escapes of JSON make a text longer; the texts themselves have smaller limits."""

_MAX_BODY_SECONDS = 30
_MAX_REQUESTS = 10
"""In progress: each holds its body, while it waits for its turn."""

Run = Callable[[TrialRequest], Awaitable[TrialResult]]


class PlaygroundQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a question: those of a `TrialRequest`, and for how many of the newest alarms rules are compared."""

    webhook: str = ""
    mapping: str | None = None
    source: str | None = None
    last: Annotated[int, msgspec.Meta(ge=0, le=MAX_KEPT)] = 0


class _TooLongError(BridgeError):
    """A body over the limit."""


class PlaygroundApi:
    """The handler of ``/api/v1/playground``.

    Args:
        records: lists the alarms whose alerts are compared.
        run: runs a trial.
    """

    right: Literal["status"] = "status"

    def __init__(self, records: AlarmRecords, run: Run) -> None:
        self._records = records
        self._run = run
        self._in_progress = 0
        self._decoder = msgspec.json.Decoder(PlaygroundQuestion)

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this module."""
        return [web.post("/api/v1/playground", self.ask)]

    async def ask(self, request: web.Request) -> web.Response:
        """Answer with what was found out."""
        if self._in_progress >= _MAX_REQUESTS:
            return failure("too many trials are in progress. Fix: try again in some seconds", 503)
        self._in_progress += 1
        try:
            return await self._answer(request)
        finally:
            self._in_progress -= 1

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            question = self._decoder.decode(await _body(request))
            kept = await kept_alerts(self._records, question.last)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return failure(f"the body is not JSON with webhook, mapping, source and last: {error}", 400)
        except _TooLongError as error:
            response = failure(str(error), 413)
            response.force_close()
            return response
        except TimeoutError:
            return failure(f"the body did not arrive within {_MAX_BODY_SECONDS} s", 408)
        except LedgerUnavailableError as error:
            return failure(str(error), 503)
        result = await self._run(TrialRequest(question.webhook, question.mapping, question.source, kept))
        return answer(result)


async def kept_alerts(records: AlarmRecords, last: int) -> tuple[GroupedAlert, ...]:
    """Return the alerts of the newest alarms of the ledger, at most this number.

    Raises:
        LedgerUnavailableError: the ledger does not answer.
    """
    page = await records.search(AlarmFilter(limit=last)) if last else None
    views = page.views if page else []
    return tuple(GroupedAlert(view.alarm.source, view.context.alert, view.context.group) for view in views)


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async with asyncio.timeout(_MAX_BODY_SECONDS):
        while part := await request.content.readany():
            body += part
            if len(body) > _MAX_BODY_BYTES:
                raise _TooLongError(f"the body is over {_MAX_BODY_BYTES >> 20} MiB. Fix: send a part.")
    return bytes(body)
