"""The rules: which alarms differ from what Alertmanager says, and when that is certain."""

import dataclasses

import pytest
from msgspec.structs import replace
from peers import CONFIG, T0, answer, held, listed, print_of, round_of

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.ledger import Knowledge, SourceKnowledge
from bridge.reconcile.comparison import Memory, compare
from bridge.reconcile.rules import Brake, Difference, braked
from bridge.reconcile.settings import AlertmanagerSettings

INTERVAL = 30 * SECOND
SETTINGS = AlertmanagerSettings(
    urls=("http://one",), receivers=("aom",), interval=INTERVAL, settle=MINUTE, missing_after=2 * MINUTE
)
A = print_of("a")
UP = T0 - 10 * MINUTE
"""When the peers were started: before the alarms below were heard of last, which is `held`'s default."""


class Source:
    """A source over several rounds; the ledger holds what it is told to."""

    def __init__(self, settings=SETTINGS, *, alarms=(), knowledge=None, longest=None, receivers=()):
        self.settings = settings
        self.held = {alarm.fingerprint: alarm for alarm in alarms}
        self.knowledge = dict(knowledge or {})
        self.of_source = SourceKnowledge(frozenset(receivers), longest)
        self.memory = Memory()
        self.now = T0
        self.last = None

    def round(self, *answers, **more):
        """Make a round half a minute after the last one; give its comparison."""
        latest = round_of(*answers, at=self.now, **more)
        self.last = compare(
            self.settings, self.memory, latest, self.held, self.knowledge, self.of_source, alarm_timeout=5 * DAY
        )
        self.memory = self.last.memory
        for name, known in self.last.learned.items():
            self.knowledge[name] = known
        self.now += INTERVAL
        return self.last

    def one(self, *alerts, **more):
        """Make a round in which the only peer shows these alerts, posted half a minute ago at most."""
        return self.round(answer(*(alert(self.now) for alert in alerts), at=self.now, started=UP, **more))

    def due(self):
        """Give the kinds of the differences whose time is up."""
        return [one.kind for one in self.last.ended if one.is_due(self.last.latest.ended_at)]

    def missing(self, name="a", *, reopened=False):
        """Say whether an alert without an alarm is to be raised."""
        fingerprint = print_of(name)
        if fingerprint not in self.last.missing:
            return False
        sighting, track = self.last.missing[fingerprint]
        one = self.last.rules.of_missing(fingerprint, sighting, track, is_reopened=reopened)
        return one is not None and one.is_due(self.last.latest.ended_at)


def firing(name="a", **more):
    """Give what makes a listed alert of a time."""
    return lambda at: listed(name, at=at, **more)


def rounds_until(source, step, most=400):
    """Count the rounds until a difference of an alarm is due."""
    for count in range(1, most + 1):
        step()
        if source.due():
            return count
    return None


def test_an_alarm_whose_alert_is_listed_does_not_differ():
    """However long it fires, and however often it is looked at."""
    source = Source(alarms=[held()])
    for _ in range(20):
        assert source.one(firing()).ended == []


def test_an_alert_that_vanished_is_ended_once_its_webhook_had_time_to_come():
    """The only peer has been up since before its last firing, so no restart can be the cause of the absence."""
    source = Source(alarms=[held()])
    source.one(firing())
    assert rounds_until(source, source.one) == 5  # two minutes after the first round that lacked it
    assert source.due() == ["vanished"]
    source = Source(replace_settings(vanished="keep"), alarms=[held()])
    assert rounds_until(source, source.one, 30) is None


def replace_settings(**changes):
    """Give the settings with some changes."""
    return dataclasses.replace(SETTINGS, **changes)


def test_a_webhook_in_between_starts_the_wait_anew():
    """A firing that was received after the first round that lacked it proves that the absence was another one."""
    source = Source(alarms=[held()])
    for _ in range(4):
        source.one()
    source.held = {A: held(seen=source.now - SECOND)}
    assert rounds_until(source, source.one) == 5


def test_after_a_restart_an_absence_counts_only_when_every_sender_had_time_to_post_again():
    """W is 1.25 times the validity of its posts, as the ledger knows it; unknown: the longest of the source, or 1 h."""
    for knowledge, longest, wait in (
        ({A: Knowledge(validity=20 * MINUTE)}, None, 25 * MINUTE),
        ({}, 4 * HOUR, 5 * HOUR),
        ({}, MINUTE, 75 * MINUTE),
    ):
        source = Source(alarms=[held()], knowledge=knowledge, longest=longest)

        def step(source=source):
            source.round(answer(at=source.now, started=T0 - SECOND))

        assert rounds_until(source, step, 1_000) == wait // INTERVAL + 1


def test_a_peer_that_does_not_answer_holds_back_every_end():
    """Nothing is known of its list; reports of what others list go on."""
    source = Source(replace_settings(urls=("http://one", "http://two")), alarms=[held()])
    for _ in range(50):
        source.round(answer(at=source.now, peers=("one", "two"), started=UP), failures={"http://two": "time-out"})
        assert source.due() == []


def test_an_alert_that_one_of_two_peers_lists_is_not_absent():
    """Its sender may post to that one only."""
    source = Source(replace_settings(urls=("http://one", "http://two")), alarms=[held()])
    for _ in range(50):
        at = source.now
        source.round(
            answer(at=at, peers=("one", "two"), started=UP),
            answer(listed(at=at), url="http://two", at=at, peers=("one", "two"), started=UP),
        )
        assert source.last.ended == []


@pytest.mark.parametrize("how", ["suppressed", "unrouted"])
def test_where_no_webhook_can_come_two_rounds_are_enough(how):
    """What was suppressed or without a route to us when it was listed last has no resolve to wait for."""
    source = Source(alarms=[held()])
    source.one(firing(suppressed=how == "suppressed", receivers=("aom" if how == "suppressed" else "mail",)))
    assert rounds_until(source, source.one) == 2


def test_a_suppressed_alert_keeps_its_alarm_unless_the_settings_say_otherwise():
    """It fires; `silenced: clear` ends it after two rounds, also where it is inhibited."""
    source = Source(alarms=[held()])
    assert rounds_until(source, lambda: source.one(firing(suppressed=True)), 30) is None
    source = Source(replace_settings(silenced="clear"), alarms=[held()])
    assert rounds_until(source, lambda: source.one(firing(suppressed=True))) == 2
    assert source.due() == ["silenced"]


def test_an_alert_without_a_route_to_us_is_ended_after_the_longer_wait():
    """Routes may be changed back, or a peer not be reloaded yet: W and the time for a webhook since the last change."""
    source = Source(alarms=[held()], knowledge={A: Knowledge(validity=4 * MINUTE)})
    other = firing(receivers=("mail",))
    assert rounds_until(source, lambda: source.one(other)) == (5 + 2) * MINUTE // INTERVAL + 1
    assert source.due() == ["unrouted"]
    source = Source(replace_settings(unrouted="keep"), alarms=[held()])
    assert rounds_until(source, lambda: source.one(other), 60) is None


def test_nothing_is_unrouted_or_missing_while_none_of_our_receivers_is_known():
    """Neither named nor learnt, or without a webhook in the peer's configuration: then no route says anything."""
    for source in (
        Source(replace_settings(receivers=()), alarms=[held()]),
        Source(replace_settings(receivers=("mail",)), alarms=[held()]),
    ):
        assert rounds_until(source, lambda source=source: source.one(firing(), firing("b")), 60) is None
        assert not source.missing("b")


def test_receivers_that_webhooks_have_named_are_ours():
    """Without `receivers:` the ledger tells which ones have sent."""
    source = Source(replace_settings(receivers=()), receivers=("aom",))
    for _ in range(6):
        source.one(firing())
    assert source.missing()


def test_an_alert_without_an_alarm_is_raised_once_its_webhook_had_time_to_come():
    """Two minutes in which every round showed it active, ours and confirmed by its sender."""
    source = Source()
    shown = []
    for _ in range(6):
        source.one(firing())
        shown.append(source.missing())
    assert shown == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    "alert",
    [
        firing(suppressed=True),
        firing(receivers=("mail",)),
        firing(validity=15 * SECOND, age=6 * SECOND),
        lambda _at: listed(at=T0 - 50 * MINUTE, age=0, validity=HOUR),
    ],
    ids=["suppressed", "not ours", "about to end", "not confirmed"],
)
def test_what_may_not_fire_for_us_is_not_raised(alert):
    """A webhook would not come for it, or its sender may have fallen silent."""
    source = Source()
    for _ in range(20):
        source.one(alert)
        assert not source.missing()


def test_a_round_that_shows_otherwise_starts_the_wait_of_a_missing_alert_anew():
    """Every valid round must have shown it active; a round without any answer proves nothing either way."""
    source = Source()
    for _ in range(3):
        source.one(firing())
    source.one(firing(suppressed=True))
    for _ in range(4):
        source.one(firing())
    assert not source.missing()
    source.one(firing())
    assert source.missing()


def test_an_alert_whose_routes_are_muted_at_times_is_raised_only_where_a_peer_shows_that_it_is_not():
    """Before 0.28 no peer tells, so there it is never raised."""
    config = CONFIG.replace("repeat_interval: 4h", "mute_time_intervals: [nights]")
    for muting, is_raised in (({}, False), ({A: True}, False), ({A: False}, True)):
        source = Source()
        for _ in range(8):
            source.one(firing(), muting=muting, config=config)
        assert source.missing() is is_raised


def test_an_alert_whose_alarm_was_ended_here_is_raised_after_two_rounds():
    """Alertmanager believes that the bridge knows it, so no webhook will come."""
    source = Source()
    source.one(firing())
    assert not source.missing(reopened=True)
    source.one(firing())
    assert source.missing(reopened=True)
    assert not source.missing()


def test_an_alert_that_flaps_waits_twice_as_long_each_time():
    """At most one validity and the time for a webhook."""
    for strikes, minutes in ((1, 4), (2, 8), (3, 12), (30, 12)):
        known = Knowledge(validity=10 * MINUTE, strikes=strikes)
        source = Source(alarms=[held()], knowledge={A: known})
        assert rounds_until(source, source.one) == minutes * MINUTE // INTERVAL + 1


def test_a_strike_is_counted_when_an_alert_fires_again_within_its_validity():
    """One that fires again later starts with a clean record."""
    for again, strikes in ((3 * MINUTE, 2), (5 * MINUTE, 0)):
        known = Knowledge(validity=4 * MINUTE, strikes=1, cleared_at=T0 - 10 * MINUTE)
        source = Source(alarms=[held(seen=T0 - 10 * MINUTE + again)], knowledge={A: known})
        source.one(firing())
        assert source.knowledge[A] == Knowledge(validity=4 * MINUTE, strikes=strikes)


def test_the_validity_of_posts_is_learnt_and_not_written_again_for_milliseconds():
    """Two posts differ by some milliseconds; a shorter one is taken only where it is much shorter."""
    source = Source(alarms=[held()])
    learned = [source.one(firing(validity=v)).learned for v in (240_000, 239_990, 240_004, 239_000, 60_000)]
    assert [one[A].validity if one else None for one in learned] == [240_000, None, 240_004, None, 60_000]


def test_what_is_known_of_an_alert_is_forgotten_when_it_is_over():
    """After its alarm has ended, and after the time in which it might fire again soon."""
    source = Source(knowledge={A: Knowledge(validity=MINUTE), print_of("b"): Knowledge(MINUTE, cleared_at=T0 - SECOND)})
    assert source.one().learned == {A: None}


def brakes(*sets, open_now=100, part=0.1, wait=MINUTE):
    """Give for each round whether its changes may be made; an uppercase letter is an alert that is not due yet."""
    brake, now, results = Brake(), T0, []
    for number, names in enumerate(sets):
        differences = [
            Difference("vanished", name.lower(), 1, T0, now if name.islower() else None, "coverage") for name in names
        ]
        count = open_now[number] if isinstance(open_now, list) else open_now
        brake, may = braked(brake, differences, now, open_now=count, part=part, wait=wait)
        results.append(may)
        now += INTERVAL
    return results


def test_the_brake_lets_few_changes_pass():
    """Five, or a tenth of what was open."""
    assert brakes("abcde", open_now=6) == [True]
    assert brakes("abcdefghij", open_now=100) == [True]
    assert brakes("abcdefghijk", open_now=100) == [False]


def test_the_brake_lets_many_changes_pass_once_the_same_ones_have_waited():
    """Others among them start the wait anew; some that are over do not."""
    many = "abcdefghijkl"
    assert brakes(many, many, many) == [False, False, True]
    assert brakes(many, many[1:], many[1:]) == [False, False, True]
    assert brakes(many, many + "m", many + "m", many + "m") == [False, False, False, True]


def test_the_brake_counts_what_was_open_when_the_first_alert_differed():
    """Others may have resolved since, as they do in the same incident, which makes the rest no larger part."""
    assert brakes("ABCDEFGHIJ", "abcdefghij", open_now=[100, 20]) == [True, True]
    assert brakes("", "abcdefghij", open_now=[100, 20]) == [True, False]


def test_the_end_of_a_held_alarm_is_never_after_the_round():
    """A clear names the alarms that began before its end: it must not lie in the future."""
    source = Source(alarms=[held()])
    shown = source.one(firing()).latest.ended_at
    source.one()
    assert source.memory.tracks[A].shown_at == shown


def test_a_rejected_alarm_is_ended_like_an_open_one():
    """AOM may hold an earlier report of it, and a re-fire must find no old row."""
    source = Source(alarms=[held(state="rejected")])
    assert rounds_until(source, source.one) == 5


def test_mimir_covers_by_the_lists_alone():
    """Its status comes from any replica and proves nothing; an absence counts after W of complete rounds."""
    settings = replace_settings(kind="mimir")
    source = Source(settings, alarms=[held()], knowledge={A: Knowledge(validity=4 * MINUTE)})

    def step():
        one = answer(at=source.now, date=None)
        source.round(replace(one, status=None))

    assert rounds_until(source, step) == 5 * MINUTE // INTERVAL + 1
