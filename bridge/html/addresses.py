"""Addresses in pages; pure.

In: an address of an alert or a configuration, which is untrusted. Out: the address if a page may link to it.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_MAX_CHARACTERS = 4_000
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")


def web_address(text: str) -> str:
    """Return an http or https address with a host; the empty text for anything else, which is shown and not linked."""
    if len(text) > _MAX_CHARACTERS or _UNPRINTABLE.search(text):
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.hostname else ""
