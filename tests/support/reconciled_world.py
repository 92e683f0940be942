"""A small world for the rules of reconciliation: alerts, senders, peers that restart, webhooks that are lost.

In: chance, and a policy that says which alarms to end and which to raise after each round. Out: the alarms that were
ended although their alerts fire, and the alarms that differ when everything has been quiet for long. A sender posts to
every peer that is up, at worst every half of the validity of its posts, as measured with Prometheus. A peer that starts
has forgotten everything. Time passes in steps; nothing waits for a clock.
"""

from dataclasses import dataclass, field

from peers import T0, answer, held, print_of, round_of
from peers import listed as listed_alert

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.ledger import SourceKnowledge
from bridge.reconcile.comparison import Memory, compare
from bridge.reconcile.settings import AlertmanagerSettings

STEP = 10 * SECOND
INTERVAL = 30 * SECOND
NAMES = ("a", "b", "c")
VALIDITIES = {"a": 2 * MINUTE, "b": 4 * MINUTE, "c": 40 * MINUTE}
SETTINGS = AlertmanagerSettings(
    urls=("http://one", "http://two"), receivers=("aom",), interval=INTERVAL, settle=MINUTE, missing_after=2 * MINUTE
)


@dataclass
class Peer:
    """One Alertmanager: when it was started, and until when each post is valid."""

    name: str
    started: int
    is_up: bool = True
    posts: dict = field(default_factory=dict)

    def listed(self, now):
        """Give the alerts that it lists."""
        return [
            listed_alert(name, at=now, validity=VALIDITIES[name], age=now - updated)
            for name, updated in self.posts.items()
            if updated + VALIDITIES[name] > now
        ]

    def restart(self, now):
        self.started, self.is_up, self.posts = now, True, {}


class World:
    """Alerts that fire, two peers, and the alarms that the ledger holds open.

    Args:
        random: chance.
        policy: given the world and a comparison, returns the alarms to end and those to raise.
    """

    def __init__(self, random, policy):
        self.random, self.policy = random, policy
        self.now = T0
        self.peers = [Peer("one", T0 - HOUR), Peer("two", T0 - HOUR)]
        self.firing = {}
        self.alarms = {}
        self.knowledge = {}
        self.longest = None
        self.memory = Memory()
        self.ended_here = set()
        self.wrong = []
        self.seq = 0

    def live(self, steps, *, quiet=False):
        """Let time pass."""
        for _ in range(steps):
            if not quiet:
                self.chance()
            for name, due in self.firing.items():
                if due <= self.now:
                    self.post(name)
            if (self.now - T0) % INTERVAL == 0:
                self.round()
            self.now += STEP

    def settle(self):
        """Bring every peer up, and let time pass in which nothing happens."""
        for peer in self.peers:
            if not peer.is_up:
                peer.restart(self.now)
        self.live(3 * HOUR // STEP, quiet=True)

    def chance(self):
        """Let something happen, or nothing."""
        what = self.random.random()
        name, peer = self.random.choice(NAMES), self.random.choice(self.peers)
        if what < 0.04 and name not in self.firing:
            self.fire(name)
        elif what < 0.07 and name in self.firing:
            self.resolve(name)
        elif what < 0.075:
            peer.is_up = False
        elif (what < 0.09 and not peer.is_up) or what < 0.095:
            peer.restart(self.now)

    def fire(self, name):
        self.post(name)
        if self.random.random() < 0.8:
            self.open(name)

    def post(self, name):
        """Post an alert to every peer that is up; the next time at worst after half of its validity."""
        for peer in self.peers:
            if peer.is_up:
                peer.posts[name] = self.now
        self.firing[name] = self.now + self.random.choice((1, 2)) * VALIDITIES[name] // 4

    def resolve(self, name):
        """Let an alert end; its webhook may be lost, as under a silence."""
        del self.firing[name]
        for peer in self.peers:
            if peer.is_up:
                peer.posts.pop(name, None)
        if self.random.random() < 0.5:
            self.alarms.pop(print_of(name), None)

    def open(self, name):
        self.seq += 1
        self.alarms[print_of(name)] = held(name, seq=self.seq, fired=self.now, seen=self.now)
        self.ended_here.discard(name)

    def round(self):
        """Ask every peer, compare, and do what the policy says."""
        names = [peer.name for peer in self.peers if peer.is_up]
        answers = [
            answer(
                *peer.listed(self.now),
                url=f"http://{peer.name}",
                name=f"{peer.name}-{peer.started}",
                at=self.now,
                started=peer.started,
                peers=[f"{other.name}-{other.started}" for other in self.peers if other.is_up],
            )
            for peer in self.peers
            if peer.is_up
        ]
        failures = {f"http://{peer.name}": "down" for peer in self.peers if not peer.is_up}
        latest = round_of(*answers, at=self.now, failures=failures)
        of_source = SourceKnowledge(frozenset(), self.longest)
        comparison = compare(
            SETTINGS, self.memory, latest, self.alarms, self.knowledge, of_source, alarm_timeout=5 * DAY
        )
        self.memory = comparison.memory
        self.longest = comparison.longest_validity or self.longest
        for fingerprint, known in comparison.learned.items():
            if known is None:
                self.knowledge.pop(fingerprint, None)
            else:
                self.knowledge[fingerprint] = known
        assert names or not comparison.shown
        self.act(*self.policy(self, comparison))

    def act(self, ended, raised):
        for name in ended:
            self.alarms.pop(print_of(name))
            self.ended_here.add(name)
            if name in self.firing:
                self.wrong.append((self.now, name))
        for name in raised:
            self.open(name)

    def differing(self):
        """Give the alerts whose alarm is not as it should be."""
        return {name for name in NAMES if (name in self.firing) != (print_of(name) in self.alarms)}


def by_the_rules(world, comparison):
    """Be the policy of the bridge, without the brake."""
    now = comparison.latest.ended_at
    names = {print_of(name): name for name in NAMES}
    ended = [names[one.fingerprint] for one in comparison.ended if one.is_due(now)]
    raised = []
    for fingerprint, (sighting, track) in comparison.missing.items():
        reopened = names[fingerprint] in world.ended_here
        one = comparison.rules.of_missing(fingerprint, sighting, track, is_reopened=reopened)
        if one is not None and one.is_due(now):
            raised.append(names[fingerprint])
    return ended, raised


def by_one_read(world, comparison):
    """Be the first naive reconciler: what the first peer's list lacks has resolved."""
    listed = comparison.latest.answers[0].alerts if comparison.latest.answers else {}
    absent = [name for name in NAMES if print_of(name) in world.alarms and print_of(name) not in listed]
    return absent, [name for name in NAMES if print_of(name) in listed and print_of(name) not in world.alarms]


def by_three_reads(world, comparison):
    """Be the second naive reconciler: what no peer has listed three times in a row has resolved."""
    counts = world.__dict__.setdefault("absences", {})
    for name in NAMES:
        is_absent = print_of(name) in world.alarms and print_of(name) not in comparison.shown
        counts[name] = counts.get(name, 0) + 1 if is_absent else 0
    raised = [name for name in NAMES if print_of(name) in comparison.shown and print_of(name) not in world.alarms]
    return [name for name, count in counts.items() if count >= 3], raised
