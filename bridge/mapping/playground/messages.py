"""What the bridge and the process of a trial tell each other, as JSON; pure.

In: a `TrialRequest` and the rules in use. Out: the bytes of one line with both, and of one line for each alert of the
ledger; and back. Alerts are written one by one, since one call of the encoder blocks every thread until it returns.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import msgspec

from bridge.clock import Millis
from bridge.mapping.explain import GroupedAlert
from bridge.mapping.matcher import Matcher
from bridge.mapping.playground.trial import RunningRules, TrialRequest, TrialResult

MAX_KEPT_BYTES = 8 << 20
"""Of the alerts of the ledger, written; those beyond are left out."""


class _Head(msgspec.Struct):
    request: TrialRequest
    running: RunningRules
    now: Millis


def _plain(value: object) -> object:
    if isinstance(value, Matcher):
        return [value.name, value.operator, value.value]
    raise NotImplementedError  # as msgspec asks of a hook that does not know a type


def _typed(kind: type, value: Any) -> object:  # noqa: ANN401 - the signature of msgspec's hook
    if kind is Matcher:
        return Matcher(*value)
    raise NotImplementedError  # as msgspec asks: its error then names the type


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_heads = msgspec.json.Decoder(_Head, dec_hook=_typed)
_alerts = msgspec.json.Decoder(GroupedAlert)
_results = msgspec.json.Decoder(TrialResult)


def write_request(request: TrialRequest, running: RunningRules, now: Millis) -> bytes:
    """Return a request as lines."""
    written = io.BytesIO()
    written.write(_encoder.encode(_Head(msgspec.structs.replace(request, kept=()), running, now)))
    for alert in request.kept:
        line = _encoder.encode(alert)
        if written.tell() + len(line) > MAX_KEPT_BYTES:
            break
        written.write(b"\n" + line)
    return written.getvalue()


def read_request(lines: BinaryIO) -> tuple[TrialRequest, RunningRules, Millis]:
    """Read a request to its end."""
    head = _heads.decode(lines.readline())
    kept = tuple(_alerts.decode(line) for line in lines)
    return msgspec.structs.replace(head.request, kept=kept), head.running, head.now


def write_result(result: TrialResult) -> bytes:
    """Return a result as JSON."""
    return _encoder.encode(result)


def read_result(written: bytes) -> TrialResult:
    """Read a result.

    Raises:
        DecodeError: it is none.
    """
    return _results.decode(written)
