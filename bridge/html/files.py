"""The files beside the pages: the stylesheet and the icon.

In: a file's name. Out: its bytes and content type.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

_TYPES = {"style.css": "text/css", "icon.svg": "image/svg+xml"}


def asset_names() -> tuple[str, ...]:
    """Return the names of the files."""
    return tuple(_TYPES)


@cache
def asset(name: str) -> tuple[bytes, str]:
    """Return the content of one of the files, and its content type.

    Raises:
        KeyError: there is no such file.
    """
    return (files(__package__) / name).read_bytes(), _TYPES[name]


def style_version() -> str:
    """Return a short hash of the stylesheet, which stands in its address: a new version is loaded at once."""
    return hashlib.sha256(asset("style.css")[0]).hexdigest()[:8]
