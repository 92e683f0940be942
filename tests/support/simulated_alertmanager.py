"""Alertmanagers for the simulation: alerts that fire and resolve at random, and the webhooks that tell of them.

In: chance, and a bridge to post to. Out: the truth, `Alert.is_firing`. A group of alerts is told by one Alertmanager or
an HA pair whose timers differ: each takes a snapshot, the second one waits `PEER_WAIT`, asks the gossiped notification
log whether anything is new, and posts the snapshot that is old by then. So stale firings and stale resolves come as
measured with real ones. Times are those of Alertmanager, scaled down.

One thing is kinder than the real one: where the bridge last heard otherwise, or may have, since there was no answer or
since a peer was late, the truth is posted, also where the real one would fall silent; no bridge could know better by
webhooks alone.
"""

import asyncio
import json
from dataclasses import dataclass, field

from webhooks import alert, payload

from bridge.clock import DAY, SECOND, ZERO_TIME

GROUP_INTERVAL = 4.0
PEER_WAIT = 2.5
REPEAT_INTERVAL = 45.0
GOOD = range(200, 300)


@dataclass
class Alert:
    """What is true of one alert; times in epoch milliseconds. ``kind``: "plain", "without a start", "of long ago"."""

    name: str
    kind: str
    starts_at: int = 0
    ends_at: int = 0
    is_firing: bool = False

    def __post_init__(self):
        self.fingerprint = self.wire()["fingerprint"]

    def wire(self):
        """Give the alert as it stands in a webhook written now."""
        return alert(self.name, starts_at=self.starts_at, ends_at=None if self.is_firing else self.ends_at)

    def fire(self, random, now):
        """Fire now, sometimes with the start of last time, as after an outage of Prometheus."""
        if self.kind == "without a start":
            self.starts_at = ZERO_TIME
        elif self.kind == "of long ago":
            self.starts_at = self.starts_at or now - 20 * DAY
        elif not self.starts_at or random.random() > 0.5:
            self.starts_at = random.randint(max(self.ends_at + 1, now - 20 * SECOND), now)
        self.is_firing = True

    def resolve(self, now):
        self.ends_at, self.is_firing = now, False


@dataclass
class IncomingAlert:
    """The notification log's word on a group: who was told to fire and to have resolved, and when."""

    firing: set = field(default_factory=set)
    resolved: set = field(default_factory=set)
    at: float = float("-inf")


class Group:
    """One group of alerts, told by one Alertmanager or a pair.

    Args:
        alerts: its alerts.
        peers: how many Alertmanagers there are.
        random: the only source of chance.
        post: posts a body to a bridge and gives the status, or None where the outcome is unknown.
        note: writes a line into an alert's history.
    """

    def __init__(self, alerts, peers, random, post, note):
        self.alerts = alerts
        self.unsure = set()
        self.is_parted = False
        self._heard = {}
        self._random = random
        self._post = post
        self._note = note
        self.peers = [Peer(self, number, random) for number in range(peers)]

    def changed(self, one):
        """Let every Alertmanager know how an alert stands; one that never fired before is not kept."""
        for peer in self.peers:
            if one.is_firing or one.fingerprint in peer.view:
                peer.view[one.fingerprint] = (one.is_firing, one.wire())

    def part(self):
        """Cut the pair's gossip."""
        self.is_parted = True

    def heal(self):
        """Let the pair gossip again: the newer entry wins."""
        self.is_parted = False
        newest = max((peer.log for peer in self.peers), key=lambda entry: entry.at)
        for peer in self.peers:
            peer.log = newest

    def told(self, peer, entry):
        """Keep what a notification has told, and gossip it."""
        for other in self.peers:
            if other is peer or not self.is_parted:
                other.log = entry

    def is_owed(self, snapshot):
        """Say whether the bridge last heard otherwise of something, or may have."""
        heard = self._heard
        return bool(self.unsure & snapshot.keys()) or any(
            heard.get(f, word[0]) != word[0] for f, word in snapshot.items()
        )

    async def send(self, peer, snapshot):
        """Post once; say whether it was acknowledged."""
        body = json.dumps(payload(*(wire for _, wire in snapshot.values()))).encode()
        for fingerprint, (is_firing, wire) in snapshot.items():
            word = "firing" if is_firing else f"resolved {wire['endsAt'][11:23]}"
            self._note(fingerprint, f"peer {peer.number} posts: {word}, started {wire['startsAt'][11:23]}")
        status = await self._post(body)
        for fingerprint in snapshot:
            self._note(fingerprint, f"  peer {peer.number} hears {status or 'nothing'}")
        if status is None:
            self.unsure |= snapshot.keys()
            for other in self.peers:
                firing, resolved = other.log.firing - snapshot.keys(), other.log.resolved - snapshot.keys()
                other.log = IncomingAlert(firing, resolved, other.log.at)
        elif status in GOOD:
            self.unsure -= snapshot.keys()
            self._heard |= {fingerprint: is_firing for fingerprint, (is_firing, _) in snapshot.items()}
        return status in GOOD if status is not None else False


class Peer:
    """One Alertmanager's view of a group."""

    def __init__(self, group, number, random):
        self.group = group
        self.number = number
        self.view = {}
        self.log = IncomingAlert()
        self._random = random

    async def run(self):
        """Flush at every group interval, for ever."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._random.uniform(0, GROUP_INTERVAL))
        while True:
            due = loop.time() + GROUP_INTERVAL
            await self._flush(due)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _flush(self, until):
        snapshot = dict(self.view)
        if self.number and not self.group.is_parted:
            await asyncio.sleep(PEER_WAIT)
        if not snapshot or not self._needs_update(snapshot):
            self._forget_resolved(snapshot)
            return
        loop, wait = asyncio.get_running_loop(), 0.3
        while not await self.group.send(self, snapshot):
            await asyncio.sleep(wait * self._random.uniform(0.5, 1.5))
            wait = min(wait * 1.5, 3.0)
            if loop.time() > until:
                return
        firing, resolved = _parts(snapshot)
        self.group.told(self, IncomingAlert(firing, resolved, loop.time()))
        self._forget_resolved(snapshot)

    def _needs_update(self, snapshot):
        firing, resolved = _parts(snapshot)
        entry = self.log
        if self.group.is_owed(snapshot) or not firing <= entry.firing:
            return True
        if not firing:
            return bool(entry.firing)
        return not resolved <= entry.resolved or asyncio.get_running_loop().time() - entry.at >= REPEAT_INTERVAL

    def _forget_resolved(self, snapshot):
        for fingerprint, (is_firing, wire) in snapshot.items():
            if not is_firing and self.view.get(fingerprint) == (is_firing, wire):
                del self.view[fingerprint]


def _parts(snapshot):
    firing = {fingerprint for fingerprint, (is_firing, _) in snapshot.items() if is_firing}
    return firing, snapshot.keys() - firing
