"""Says of a webhook of Alertmanager whether it can be to the bridge, by the path of its URL; pure.

In: a `Webhook` as a configuration shows it. Out: whether its path is one of the bridge's, and whether it looks as if it
should be. A URL that is in a file, masked or made by a template is not known, and nothing is said against it.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from yarl import URL

from bridge.reconcile.routing import Webhook

_NAME = "webhook"
_DEFAULT_PORT = 9876
_LIKENESS = 0.8
_TEMPLATE_MARKS = frozenset("{}<>$")
"""What a path has that a template or a placeholder fills."""


def may_be_ours(webhook: Webhook, sources: Collection[str] = ()) -> bool:
    """Say whether a path ends in `/webhook` or `/webhook/SOURCE`, or is not known; a prefix may be a proxy's.

    Args:
        webhook: the webhook.
        sources: the names that SOURCE may have; none: they are not known.
    """
    url = _known(webhook)
    if url is None:
        return True
    before, last = ("", *_parts(url))[-2:]
    return last == _NAME or (before == _NAME and last in (sources or {last} - {""}))


def is_at_our_port(webhook: Webhook) -> bool:
    """Say whether a webhook names the bridge's default port, as those of other services hardly do."""
    url = _known(webhook)
    return url is not None and url.explicit_port == _DEFAULT_PORT


def is_misspelled(webhook: Webhook) -> bool:
    """Say whether a path is not the bridge's and reads nearly so, such as `/webhok`."""
    url = _known(webhook)
    words = [] if url is None else [part.lower() for part in _parts(url)[-2:]]
    return not may_be_ours(webhook) and bool(get_close_matches(_NAME, words, cutoff=_LIKENESS))


def _known(webhook: Webhook) -> URL | None:
    """Return the URL if its path is known."""
    if not webhook.url.startswith(("http:", "https:")):
        return None
    try:
        url = URL(webhook.url)
    except ValueError:
        return None
    return None if _TEMPLATE_MARKS & set(url.path) else url


def _parts(url: URL) -> tuple[str, ...]:
    """Return the parts of a path; a slash at its end counts for nothing, as at the bridge."""
    parts = url.parts
    return parts[:-1] if len(parts) > 1 and not parts[-1] else parts
