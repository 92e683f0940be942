"""A token bucket per peer: limits password guesses and log lines; pure.

In: a peer's address. Out: whether the peer may do it once more. The number of remembered peers is bounded.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

_BURST = 10
_REFILL_SECONDS = 6.0
_MAX_PEERS = 10_000


class PeerRateLimiter:
    """A token bucket for each peer: a burst of ten, and one more every six seconds.

    Args:
        monotonic: a clock in seconds that never goes back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._peers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str) -> bool:
        """Take one of the peer's tokens; return False if it has none left."""
        key, now = _network(peer), self._monotonic()
        tokens, updated_at = self._peers.pop(key, (float(_BURST), now))
        tokens = min(float(_BURST), tokens + (now - updated_at) / _REFILL_SECONDS)
        is_allowed = tokens >= 1
        self._peers[key] = (tokens - 1 if is_allowed else tokens, now)
        if len(self._peers) > _MAX_PEERS:
            self._peers.popitem(last=False)
        return is_allowed

    def give_back(self, peer: str) -> None:
        """Return a token that was taken for a password that turned out to be right."""
        key = _network(peer)
        if key in self._peers:
            tokens, updated_at = self._peers[key]
            self._peers[key] = (tokens + 1, updated_at)


def _network(peer: str) -> str:
    """Return the network that belongs to one owner: an IPv4 address, or a /64 of IPv6."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((int(address), 64), strict=False).network_address)
