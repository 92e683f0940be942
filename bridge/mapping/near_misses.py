"""Free names that are almost one of AOM's names, and were probably meant to be it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from bridge.mapping.severity import normalized

_MIN_SIMILARITY = 0.85
"""The similarity from which a name counts as misspelt: ``resource_name`` is not taken for ``resource_type``."""


def near_misses(names: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that differs from a known one only by spelling or case, with a sentence about it."""
    known_by_normal_form = {normalized(name): name for name in known}
    for name in names:
        near = get_close_matches(normalized(name), known_by_normal_form, n=1, cutoff=_MIN_SIMILARITY)
        field = known_by_normal_form[near[0]] if near else name
        if field != name:
            yield name, f"{name!r} is a name of its own beside AOM's {field}. Fix: write {field}."
