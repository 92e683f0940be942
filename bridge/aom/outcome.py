"""The outcome of one request to AOM: a value with a closed set of reasons; no library's exception leaves `bridge.aom`.

Source of the error codes, and of what a client must do about them: AOM's API reference ("Reporting Events and
Alarms", status codes) and the API gateway's error-code page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, get_args

import msgspec

from bridge.aom.words import request_failure
from bridge.clock import SECOND, Millis, parse_http_date

Reason = Literal[
    "accepted",
    "refused",
    "too_large",
    "unauthorized",
    "forbidden",
    "not_found",
    "rate_limited",
    "unavailable",
    "foreign",
    "timeout",
    "connection",
    "not_sent",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
_BY_STATUS: dict[int, Reason] = {
    400: "refused",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    413: "too_large",
    414: "not_found",
    429: "rate_limited",
    494: "not_found",
}
_TOKEN_IS_OLD = "The token must be updated"  # noqa: S105 - this is a message of AOM, not a token
_MAX_MESSAGE_CHARACTERS = 500
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s]*@")


class Outcome(msgspec.Struct, frozen=True):
    """The answer to one request, or the reason why there is none.

    ``message`` is AOM's own message, shortened; ``retry_after`` the milliseconds that AOM asked to wait. The reason
    ``foreign`` means that a proxy or a captive portal answered, not AOM or its gateway. ``in_doubt``: an attempt has an
    unknown outcome, so AOM may have accepted the request, or may accept it later, whatever this answer says.
    """

    reason: Reason
    status: int = 0
    code: str = ""
    message: str = ""
    trace_id: str = ""
    retry_after: Millis | None = None
    in_doubt: bool = False

    @property
    def accepted(self) -> bool:
        """Whether AOM accepted the request."""
        return self.reason == "accepted"

    @property
    def refuses_events(self) -> bool:
        """Whether AOM says that the content is invalid, so that sending it again unchanged is pointless."""
        return self.reason in ("refused", "too_large")

    @property
    def refuses_content(self) -> bool:
        """Whether the content was refused, by AOM or by a proxy: a smaller batch may be accepted."""
        return self.status in (400, 413) and self.reason in ("refused", "too_large", "foreign")

    @property
    def needs_operator(self) -> bool:
        """Whether an operator must correct something: credentials, permission, or the project."""
        return self.reason in ("unauthorized", "forbidden", "not_found")

    @property
    def detail(self) -> str:
        """One line for people: AOM's message with status, code and trace id."""
        parts = [str(self.status) if self.status else "", self.code, self.message]
        trace = f"(trace {self.trace_id})" if self.trace_id else ""
        return " ".join(part for part in (*parts, trace) if part) or self.reason


class _IamError(msgspec.Struct):
    code: str | int = ""
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error_code: str = ""
    error_msg: str = ""
    error_message: str = ""
    trace_id: str = ""
    error: _IamError | None = None  # the form of IAM's errors


def read_outcome(status: int, body: bytes, retry_after: str | None, now: Millis) -> Outcome:
    """Turn an answer into an outcome.

    Success is 204, or 200 with an empty body or with JSON without an ``error_code``: both are documented. Any other 2xx
    comes from another program, such as a captive portal, and the outcome of the request is unknown. A 400 or 413 counts
    as a refusal of the content only if it has an ``error_code``, as the answers of AOM and its gateway do.
    """
    if status == 204 or (status == 200 and _is_success(body)):
        return Outcome(reason="accepted", status=status)
    error = _error_body(body)
    message = _one_line(error.error_msg or error.error_message or (error.error.message if error.error else ""))
    reason = _BY_STATUS.get(status, "unavailable")
    if _TOKEN_IS_OLD in message:
        reason = "unauthorized"
    elif (200 <= status < 300 or reason in ("refused", "too_large")) and not error.error_code:
        reason = "foreign"
        if error.error is None:  # only IAM's answers have this field
            message = (
                f"not an answer of AOM or its gateway; is there a proxy or a captive portal between? {message}".strip()
            )
    return Outcome(
        reason=reason,
        status=status,
        code=_one_line(error.error_code),
        message=message,
        trace_id=_one_line(error.trace_id),
        retry_after=_retry_after(retry_after, now),
        in_doubt=status in (502, 504) or 200 <= status < 300,
    )


def failure_text(error: Exception, mask: Callable[[str], str] = str) -> str:
    """Return why a request got no answer, in one short line without the password of a proxy's address.

    Args:
        error: the exception of the request.
        mask: removes further secrets from a text.
    """
    return _one_line(mask(_PASSWORD.sub(r"\1<secret>@", request_failure(error, proxy="proxy_url"))))


def _is_success(body: bytes) -> bool:
    """Return whether the body of a 200 is empty, or JSON without an ``error_code``."""
    if not body.strip():
        return True
    try:
        answer = msgspec.json.decode(body, type=dict[str, msgspec.Raw] | list[msgspec.Raw] | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    code = answer.get("error_code") if isinstance(answer, dict) else None
    return code is None or bytes(code) in (b"null", b'""')


def _error_body(body: bytes) -> _ErrorBody:
    try:
        return msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _ErrorBody(error_msg=body[:_MAX_MESSAGE_CHARACTERS].decode(errors="replace"))


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x20\x7f-\x9f]+", " ", text[:_MAX_MESSAGE_CHARACTERS]).strip()


def _retry_after(text: str | None, now: Millis) -> Millis | None:
    """Read a Retry-After header: seconds, or an HTTP date."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return int(text) * SECOND
    retry_at = parse_http_date(text)
    return None if retry_at is None else max(0, retry_at - now)
