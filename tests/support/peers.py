"""Short words for the answers of Alertmanager's peers, for tests of what they prove; times in milliseconds."""

from bridge.clock import MINUTE, SECOND
from bridge.ledger import HeldAlarm
from bridge.notification import fingerprint
from bridge.reconcile.answers import ListedAlert, PeerStatus
from bridge.reconcile.coverage import PeerAnswer, Round

T0 = 1_800_000_000_000
CONFIG = """
route: {receiver: aom, group_wait: 10s, group_interval: 1m, repeat_interval: 4h}
receivers: [{name: aom, webhook_configs: [{url: <secret>}]}, {name: mail}]
"""


def print_of(name):
    """Give the fingerprint of the alert with this name."""
    return fingerprint({"alertname": name})


def listed(name="a", *, at=T0, validity=4 * MINUTE, age=10 * SECOND, receivers=("aom",), suppressed=False, start=T0):
    """Give an alert as a peer lists it, whose last post is this old."""
    return ListedAlert(
        fingerprint=print_of(name),
        labels={"alertname": name},
        annotations={},
        starts_at=start,
        ends_at=at - age + validity,
        updated_at=at - age,
        generator_url="",
        receivers=tuple(receivers),
        is_suppressed=suppressed,
    )


def status(name="one", *, started=T0 - 10 * MINUTE, peers=None, state="ready", config=CONFIG):
    """Give a peer's status."""
    return PeerStatus(name, state, started, dict.fromkeys((name,) if peers is None else peers, ""), "0.33.1", config)


def answer(*alerts, url="http://one", at=T0, date=..., muting=None, **own):
    """Give a peer's valid answer; ``date``: by its own clock, ours by default."""
    own.setdefault("name", url.removeprefix("http://"))
    return PeerAnswer(
        url, status(**own), at, at if date is ... else date, {one.fingerprint: one for one in alerts}, muting or {}
    )


def round_of(*answers, at=T0, failures=None, listed=True):
    """Give a round that took no time."""
    return Round(at, at, answers, failures or {}, is_listed=listed)


def held(name="a", *, seq=1, state="reported", fired=T0 - 5 * MINUTE, seen=None, reported=None, timeout=5 * 86_400_000):
    """Give the newest alarm of an alert, without an end."""
    return HeldAlarm(print_of(name), seq, state, fired, fired, fired if seen is None else seen, reported, timeout)
