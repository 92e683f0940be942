"""How often each peer may do what costs us something: guess a password, fill the log; pure.

In: a peer's address. Out: whether it may once more. What is remembered is bounded, however many peers there are.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

_AT_ONCE = 10
_SECONDS_EACH = 6.0
_MAX_PEERS = 10_000


class PeerRateLimiter:
    """So many at once for each peer, and so many more each minute; what it remembers is bounded.

    Args:
        monotonic: seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._peers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str) -> bool:
        """Take one of the peer's; False when it has none left."""
        key, now = _network(peer), self._monotonic()
        left, at = self._peers.pop(key, (float(_AT_ONCE), now))
        left = min(float(_AT_ONCE), left + (now - at) / _SECONDS_EACH)
        may = left >= 1
        self._peers[key] = (left - 1 if may else left, now)
        if len(self._peers) > _MAX_PEERS:
            self._peers.popitem(last=False)
        return may

    def give_back(self, peer: str) -> None:
        """Give back what was taken for something that was right."""
        key = _network(peer)
        if key in self._peers:
            left, at = self._peers[key]
            self._peers[key] = (left + 1, at)


def _network(peer: str) -> str:
    """Return what one owner has: an IPv4 address, or a /64 of IPv6."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((int(address), 64), strict=False).network_address)
