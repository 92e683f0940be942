"""What every page shares: its language, addresses, when it refreshes, the texts and times of its template.

In: a request. Out: an answer with HTML. It knows nothing of alarms.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from bridge.clock import Clock, Millis
from bridge.html import Environment, moment
from bridge.web.languages import LANGUAGES, Language, chosen, language

_MAX_REFRESH_SECONDS = 3_600
REFRESH_SECONDS = 5
_environment = Environment(__package__)


@dataclass(frozen=True, slots=True)
class Footer:
    """What stands below every page: the name of this replica, and the bridge's version."""

    replica: str
    version: str


class Pages:
    """Makes the page of a request.

    Args:
        footer: what stands below each.
        clock: the time.
    """

    def __init__(self, footer: Footer, clock: Clock) -> None:
        self.footer = footer
        self._clock = clock

    def of(self, request: web.Request, *, refresh: int = 0) -> Page:
        """Return the page of a request; ``refresh``: every so many seconds unless its address says otherwise."""
        return Page(request, self.footer, self._clock(), refresh)

    def error(self, request: web.Request, sentence: str, status: int) -> web.Response:
        """Return the page of an error that one sentence tells."""
        return self.of(request).error(sentence, status)


class Page:
    """One page for one request.

    Args:
        request: the request.
        footer: what stands below it.
        now: the time.
        refresh: it is loaded again every so many seconds, unless its address says otherwise; 0: never.

    Attributes:
        language: the language of its texts.
        now: the time that its ages count from.
        asked_language: the code of the language that its address asks for; empty if it does not.
    """

    def __init__(self, request: web.Request, footer: Footer, now: Millis, refresh: int) -> None:
        self._request = request
        self._footer = footer
        self.now = now
        asked = request.query.get("lang", "")
        self.asked_language = asked if asked in LANGUAGES else ""
        self.language: Language = language(chosen(asked, request.headers.get("Accept-Language", "")))
        self._refresh = _seconds(request.query.get("refresh"), refresh)
        self._root = "../" * (request.rel_url.raw_path.count("/") - 1)  # as browsers count, who leave %2F as it is

    def url(self, path: str, **query: object) -> str:
        """Return the address of a page as seen from this one; empty values are left out."""
        pairs = [(name, each) for name, value in query.items() for each in _each(value) if each not in (None, "")]
        if self.asked_language and "lang" not in query:
            pairs.append(("lang", self.asked_language))
        return (self._root + path or "./") + ("?" + urlencode(pairs) if pairs else "")

    def here(self, **changes: object) -> str:
        """Return the address of this page with other values of its query; None removes one."""
        query = {name: self._request.query.getall(name) for name in self._request.query}
        pairs = [(name, value) for name, values in query.items() if name not in changes for value in values]
        pairs += [(name, str(value)) for name, value in changes.items() if value is not None]
        return "?" + urlencode(pairs)

    def ago(self, at: Millis | None) -> str:
        """Return how long ago a time was, or in how long it will be."""
        if at is None:
            return self.language.text("never")
        key = "in_future" if at > self.now else "ago"
        return self.language.text(key, age=self.language.span(abs(self.now - at)))

    def render(self, template: str, *, status: int = 200, **values: object) -> web.Response:
        """Return the answer with a template."""
        shared = {
            "page": self,
            "t": self.language.text,
            "word": self.language.word,
            "span": self.language.span,
            "ago": self.ago,
            "url": self.url,
            "here": self.here,
            "now": self.now,
            "language": self.language.code,
            "languages": LANGUAGES,
            "root": self._root,
            "path": self._request.path,
            "refresh": self._refresh,
            "refresh_seconds": REFRESH_SECONDS,
            "footer": self._footer,
        }
        text = _environment.render(template, **shared, status=status, **values)
        headers = {"Refresh": str(self._refresh)} if self._refresh else {}
        headers["Content-Language"] = self.language.code
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)

    def error(self, sentence: str, status: int) -> web.Response:
        """Return the page of an error that one sentence tells."""
        return self.render("error.html", status=status, sentence=sentence)

    def time(self, at: Millis | None) -> dict[str, str]:
        """Return a time as templates show it: how long ago, and when."""
        if at is None:
            return {"age": self.language.text("never"), "moment": "", "machine": ""}
        shown = moment(at)
        return {
            "age": self.ago(at),
            "moment": self.language.text("utc", moment=shown),
            "machine": shown.replace(" ", "T") + "Z",
        }


def _each(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _seconds(text: str | None, default: int) -> int:
    if text is None or not (text.isascii() and text.isdigit()):
        return default
    return min(int(text[:6]), _MAX_REFRESH_SECONDS)
