"""The shapes of the answers: JSON bodies, AOM's and the gateway's errors, IAM's errors.

In: a status, a code, a text. Out: a response, or an exception that becomes one. It decides nothing. Rules:
the four members of an error's body [seed]; the codes of the gateway [gw] and of AOM [seed]; IAM nests its
error in one member [iam].
"""

from __future__ import annotations

import http
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

PARSE_FAILED: Final = "parse eventParam failed"

# The code and text of a status fault whose order gives none.
_USUAL: Final[dict[int, tuple[str, str]]] = {
    400: ("AOM.0400", PARSE_FAILED),
    401: ("AOM.0401", "auth failed"),
    403: ("AOM.0403", "permission denied"),
    404: ("APIGW.0101", "The API does not exist or has not been published in the environment"),
    413: ("APIGW.0201", "Request entity too large"),
    429: (
        "APIGW.0308",
        "The throttling threshold has been reached: policy ip over ratelimit,limit:1,time:1 second",
    ),
    500: ("AOM.0500", "internal server error"),
    502: ("APIGW.0201", "Backend unavailable"),
    503: ("AOM.0503", "service unavailable"),
    504: ("APIGW.0201", "Backend timeout"),
}


class RefusedError(Exception):
    """A request is refused: `status`, AOM's `code` and the `message` of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response with `value` as JSON."""
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def no_such_api() -> RefusedError:
    """Return the gateway's refusal of a path, method or project that it does not know."""
    return RefusedError(404, *_USUAL[404])


def refused(error: RefusedError, *, iam: bool = False, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a refusal as a response in the shape of AOM and the gateway, or in IAM's."""
    if error.status in {204, 304}:
        return web.Response(status=error.status, headers=headers)
    shape = _iam_shape(error) if iam else _aom_shape(error)
    return json_response(shape, error.status, headers)


def usual(status: int, code: str | None, message: str | None) -> RefusedError:
    """Return a refusal; a code or message that is None is the usual one of the status."""
    usual_code, usual_message = _USUAL.get(status, (f"AOM.0{status}", _phrase(status)))
    return RefusedError(status, code or usual_code, message or usual_message)


def _aom_shape(error: RefusedError) -> dict[str, object]:
    return {
        "error_code": error.code,
        "error_msg": error.message,
        "error_type": _phrase(error.status).upper().replace(" ", "_"),
        "trace_id": secrets.token_hex(16),
    }


def _iam_shape(error: RefusedError) -> dict[str, object]:
    return {"error": {"code": error.status, "message": error.message, "title": _phrase(error.status)}}


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
