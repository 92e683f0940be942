"""Near misses: a name that can be anything, and was probably meant to be one of AOM's; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from bridge.mapping.severity import squeezed

_CLOSE = 0.85
"""Two letters of ten that differ; ``resource_name`` is no miss of ``resource_type``."""


def near_misses(names: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give each name that is nearly a known one, but for spelling and case, with a sentence about it."""
    meant = {squeezed(one): one for one in known}
    for name in names:
        near = get_close_matches(squeezed(name), meant, n=1, cutoff=_CLOSE)
        if near and name != meant[near[0]]:
            field = meant[near[0]]
            yield name, f"{name!r} is a name of its own beside AOM's {field}. Fix: write {field}."
