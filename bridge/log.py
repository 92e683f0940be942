"""Logs in the format of Prometheus's components: one line for each event, logfmt or JSON, on standard error.

A module gets its logger from `logger(component)` and logs constant text with key-value pairs. Secrets are never logged:
a value that holds one is a `bridge.typed_yaml.secret.Secret`, whose ``repr`` is ``<secret>``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO, cast

if TYPE_CHECKING:
    import structlog

Format = Literal["logfmt", "json"]
LEVELS = ("debug", "info", "warn", "error")
_LEVEL_WORDS = {"warning": "warn", "critical": "error"}
_MAX_VALUE_CHARACTERS = 2_048
_THROTTLE_SECONDS = 1.0
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that could forge a line, control a terminal or reverse text; logfmt's renderer escapes only newlines."""
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
"""Printable ASCII without the space, the quote, the equals sign and the backslash."""
_SPACED = re.compile(r"[ !#-\[\]-~]+")
"""The same with the space and the equals sign, which must be quoted."""


class _Stream:
    """The stream of the bridge's own lines; it can collect lines and write them at once, which costs less.

    Args:
        stream: the stream that the lines are written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] | None = None
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Write text, or collect it inside of `together`."""
        with self._lock:  # another thread may log while the collected lines are written
            if self._lines is None:
                self._stream.write(text)
            else:
                self._lines.append(text)

    def flush(self) -> None:
        """Flush the stream, unless lines are being collected."""
        if self._lines is None:
            self._stream.flush()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Collect the lines that are logged inside and write them at the end."""
        self._lines = []
        try:
            yield
        finally:
            with self._lock:
                lines, self._lines = self._lines, None
                self._stream.write("".join(lines))
                self._stream.flush()


_stream: _Stream | None = None


def together() -> contextlib.AbstractContextManager[None]:
    """Collect all lines that are logged inside and write them at once at the end; nothing may be awaited inside."""
    return contextlib.nullcontext() if _stream is None else _stream.together()


class _Logger:
    """A logger that imports the library with its first line, since most commands write none."""

    def __init__(self, component: str) -> None:
        self._component = component

    @cached_property
    def _bound(self) -> structlog.typing.FilteringBoundLogger:
        import structlog  # noqa: PLC0415 - see the class

        bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=self._component)
        return bound

    def __getattr__(self, name: str) -> object:
        return getattr(self._bound, name)


def logger(component: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a component; each of its lines carries the component's name."""
    return cast("structlog.typing.FilteringBoundLogger", _Logger(component))


class ThrottledLine:
    """A log line that is written at most once a second, from the event loop.

    The first occurrence is logged at once; of those within the next second, only the last one, with their ``count``.

    Args:
        log: writes the line with the given fields.
    """

    def __init__(self, log: Callable[..., object]) -> None:
        self._log = log
        self._pending = 0
        self._last: dict[str, object] = {}
        self._is_waiting = False

    def add(self, **fields: object) -> None:
        """Count one more occurrence, and log it now or within a second."""
        self._pending += 1
        self._last = fields
        if not self._is_waiting:
            self._write()

    def _write(self) -> None:
        self._is_waiting = self._pending > 0
        if self._is_waiting:
            self._log(count=self._pending, **self._last)
            self._pending = 0
            asyncio.get_running_loop().call_later(_THROTTLE_SECONDS, self._write)


def configure(level: str, fmt: Format, stream: TextIO | None = None, *, for_good: bool = False) -> None:
    """Send all lines, the libraries' own included, to one stream in one format.

    Args:
        level: the lowest level that is written.
        fmt: the format of the lines.
        stream: the stream to write to; standard error by default.
        for_good: loggers may cache this configuration, which makes each line cheaper.
    """
    import structlog  # noqa: PLC0415 - a command that logs nothing does not wait for it

    global _stream  # noqa: PLW0603 - there is one for the process, like structlog's own configuration
    own = _stream = _Stream(stream or sys.stderr)
    min_level = getattr(logging, {"warn": "WARNING"}.get(level, level.upper()))
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        _prometheus_keys,
    ]
    structlog.configure(
        processors=[*shared, _renderer(fmt)],
        wrapper_class=structlog.make_filtering_bound_logger(min_level),
        logger_factory=lambda *_: structlog.WriteLogger(cast("TextIO", own)),
        cache_logger_on_first_use=for_good,
    )
    _send_libraries_lines(shared, fmt, stream or sys.stderr)


def _send_libraries_lines(shared: list[Any], fmt: Format, stream: TextIO) -> None:
    import structlog  # noqa: PLC0415 - a command that logs nothing does not wait for it

    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(fmt)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


class _Renderers(NamedTuple):
    """The library's own."""

    json: structlog.processors.JSONRenderer
    logfmt: structlog.processors.LogfmtRenderer


@lru_cache(maxsize=1)
def _renderers() -> _Renderers:
    import structlog  # noqa: PLC0415 - a command that logs nothing does not wait for it

    json = structlog.processors.JSONRenderer(ensure_ascii=False)
    return _Renderers(json, structlog.processors.LogfmtRenderer(bool_as_flag=False))


def _renderer(fmt: Format) -> Any:  # noqa: ANN401 - structlog types its processors as Any
    if fmt == "json":
        return _json
    return _logfmt


def _json(logger: object, method: str, event: dict[str, Any]) -> str:
    text = str(_renderers().json(logger, method, event))
    return _CONTROL.sub(lambda char: f"\\u{ord(char[0]):04x}", text)


def _logfmt(_logger: object, _method: str, event: dict[str, Any]) -> str:
    return " ".join([f"{key}={_rendered(value)}" for key, value in event.items()])


def _rendered(value: object) -> str:
    """Render one value; fast path for plain words and numbers, the library's renderer for all others."""
    if type(value) is int:
        return str(value)
    return _text(value) if type(value) is str else _quoted(value)


@lru_cache(maxsize=1_024)
def _text(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return f'"{value}"' if _SPACED.fullmatch(value) else _quoted(value)


def _quoted(value: object) -> str:
    text = _renderers().logfmt(None, "", {"k": value})[len("k=") :]
    return _CONTROL.sub(lambda char: char[0].encode("unicode_escape").decode(), text)


def _prometheus_keys(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Name and order the keys as Prometheus does, and truncate long values, which a client could fill the disk with."""
    level = event.pop("level")
    named = {"ts": event.pop("ts"), "level": _LEVEL_WORDS.get(level, level)}
    if "component" in event:
        named["component"] = event.pop("component")
    named["msg"] = event.pop("event", "")
    named |= event
    for key, value in named.items():
        if isinstance(value, str) and len(value) > _MAX_VALUE_CHARACTERS and key != "exception":
            named[key] = value[:_MAX_VALUE_CHARACTERS] + "…"
    return named
