"""Where a page of HTML leads, and a walk along all of it; no browser.

In: an address. Out: what each page that can be reached from there answers, as `Visit`s.
"""

from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import parse_qsl, urldefrag, urlencode, urljoin, urlsplit

import aiohttp

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
"""What a browser says of itself: programs get errors as plain text."""


class Visit(NamedTuple):
    """One answer.

    ``referrer``: the page that leads there. ``language``: of an HTML page, else the empty text. ``ids``: what fragments
    may name. ``fragments``: those that links to it have named.
    """

    address: str
    referrer: str
    status: int
    language: str
    ids: frozenset
    fragments: set


class _Reader(HTMLParser):
    """Reads the links, ids and language of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.language = [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        if tag == "html":
            self.language = attributes["lang"]


def _key(address):
    """Give an address without what only makes a page load itself again."""
    parts = urlsplit(address)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "refresh"]
    return parts._replace(query=urlencode(query)).geturl()


async def walk(start, *, most=400, languages=("en",)):
    """Visit what can be reached from an address at the same origin, each address once; give the visits.

    Args:
        start: the address.
        most: how many addresses at most.
        languages: links that ask for another one are not followed.
    """
    origin, waiting, visits = urlsplit(start)[:2], [(start, "")], {}
    async with aiohttp.ClientSession(headers=BROWSER) as session:
        while waiting and len(visits) < most:
            address, referrer = waiting.pop(0)
            bare, fragment = urldefrag(address)
            if (visit := visits.get(_key(bare))) is None:
                visit, links = await _visit(session, bare, referrer)
                visits[_key(bare)] = visit
                found = [urljoin(bare, link) for link in links]
                waiting += [(link, bare) for link in found if _leads_on(link, origin, languages)]
            visit.fragments.add(fragment)
    return list(visits.values())


async def _visit(session, address, referrer):
    async with session.get(address, allow_redirects=False) as response:
        text = await response.text()
        read = _Reader(text if response.content_type == "text/html" else "")
    return Visit(address, referrer, response.status, read.language, frozenset(read.ids), set()), read.links


def _leads_on(link, origin, languages):
    parts = urlsplit(link)
    return parts[:2] == origin and dict(parse_qsl(parts.query)).get("lang", languages[0]) in languages
