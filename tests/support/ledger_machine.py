"""The machine that drives a real ledger beside its model: notifications, workers that stall and crash, and time.

The model says what each alarm must be after every step; its AOM merges the reports of one alert, as the real one does.
"""

import asyncio
import contextlib
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from ledger_driver import GROUP, READER, REASSERT, T0, known, notification
from ledger_model import KINDS, Held, Model
from ledger_rows import listing

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.event import Event, Mapped
from bridge.ledger import ACTIONS, ArrivedAlert, Ledger, LedgerSettings, ListedChange, Settlement
from bridge.ledger.decisions import Cleared, Refused, Reported, Rescheduled
from bridge.ledger.operations import queries
from bridge.notification import Alert

LEASE = MINUTE
MAX_TIME: int = 2 * MINUTE
"""A push of unknown outcome reaches AOM until then or never (`lookup_wait`)."""
QUIET = 60
"""Rounds of delivery after which nothing may be left to do."""


@st.composite
def alerts(draw):
    """Give one alert relative to now, and the version that the mapping makes of it (None: dropped)."""
    second = st.sampled_from([-60, -30, -1, 0, 60])
    end = draw(st.sampled_from([-60, -30, -29, -1, 0, 1, None]))
    status = draw(st.sampled_from(["firing", "firing", "resolved"]))
    note = draw(st.sampled_from(["Major", "Minor", "Minor", "Major", None]))
    return draw(st.sampled_from("aaaabe")), status, draw(second), end, note


plain = st.tuples(
    st.sampled_from("aaaabe"), st.sampled_from(["firing", "resolved"]), st.just(0), st.none(), st.just("Major")
)
several = st.lists(st.lists(alerts(), min_size=1, max_size=3), min_size=1, max_size=3)
notifications = plain.map(lambda one: [[one]]) | alerts().map(lambda one: [[one]]) | several
whom = st.integers(0, 5)
hows = st.sampled_from(["accept", "all"] * 2 + ["refuse", "release", "overtake"] * 2 + ["reach", "stop", "crash"])
waits = st.sampled_from([0, SECOND, 3 * MINUTE])
times = st.sampled_from([1, SECOND, LEASE, MAX_TIME, REASSERT, 3 * HOUR])


def move(kind, **arguments):
    """Give one kind of step with what it needs."""
    return st.tuples(st.just(kind), st.fixed_dictionaries(arguments))


ANSWER = move("answer", which=whom, how=hows, wait=waits, reaches=st.booleans(), in_doubt=st.booleans())
MOVES = [
    move("put", who=whom, together=notifications, then=st.booleans()),
    move("put", who=whom, together=notifications, then=st.booleans()),
    move("end_listed", who=whom, name=st.sampled_from("aabe"), is_late=st.booleans()),
    move("raise_listed", who=whom, name=st.sampled_from("aabe"), note=st.sampled_from(["Major", "Minor", None])),
    move("claim", who=whom, limit=st.sampled_from([1, 100])),
    move("deliver", who=whom),
    *[ANSWER] * 4,
    move("wait", who=whom, wait=times),
]


class LedgerMachine(RuleBasedStateMachine):
    """On SQLite: two workers of one process; a crash ends both, and the next start finds the file."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.now = T0
        self.held = []
        self.tokens = 0
        self.url = self.make()
        self.ledgers = self.run(self.opened())

    def make(self):
        self.folder = contextlib.ExitStack()
        folder = self.folder.enter_context(tempfile.TemporaryDirectory(prefix="aom-bridge-model-"))
        return f"sqlite:///{Path(folder) / 'ledger.db'}"

    def run(self, coroutine):
        return self.runner.run(coroutine)

    async def opened(self):
        settings = LedgerSettings(url=self.url, lease=LEASE, history=999 * DAY)
        ledger = Ledger(settings, {"t": REASSERT}, lambda: self.now, READER)
        await ledger.open()
        ledger._watcher.cancel()  # time passes only when told
        return [ledger]

    @rule(what=st.one_of(MOVES))
    def step(self, what):
        """One step; a single rule, so that every run can do everything. Who has no work in hand gets some."""
        name, arguments = what
        if name == "answer" and not self.held:
            self.put(0, [[("a", "firing", 0, None, "Major")]], then=True)
        else:
            getattr(self, name)(**arguments)

    def ledger(self, who):
        return self.ledgers[who % len(self.ledgers)]

    def put(self, who, together, then):
        """Several notifications that come at the same moment share one transaction; a worker may look at once."""
        puts = [[self.arrival(*one) for one in notification] for notification in together]

        async def all_at_once():
            receipts = await asyncio.gather(*(self.ledger(who).put(notification(arrivals)) for arrivals in puts))
            return [receipt.effects for receipt in receipts]

        expected = [
            [self.model.put(a.alert, note, self.now) for a, (*_, note) in zip(some, notification, strict=True)]
            for some, notification in zip(puts, together, strict=True)
        ]
        assert self.run(all_at_once()) == expected
        if then:
            self.claim(who, 100)

    def arrival(self, name, status, start, end, note):
        one = {"event_name": name, "event_severity": note, "event_type": KINDS[name], "resource_id": name}
        mapped = Mapped(Event(one, {"message": note}, HOUR) if note else None, "t", "r")
        ends_at = None if status == "firing" or end is None else self.now + end * SECOND
        alert = Alert(name, status, {"alertname": name}, {}, self.now + start * SECOND, ends_at, "")
        return ArrivedAlert(source="s", alert=alert, group=GROUP, mapped=partial(known, mapped))

    def end_listed(self, who, name, is_late):
        """The API no longer shows an alert; a change that comes late is refused, since a webhook came meanwhile."""
        held = {one.fingerprint: one for one in self.run(self.ledger(who).open_alarms.held("s"))}
        assert set(held) == {one for one in KINDS if self.model.holds(one)}
        if name not in held:
            return
        one = held[name]
        end = min(one.newest_fired_at + 1, self.now)
        last_seen = one.last_seen - is_late
        change = ListedChange("vanished", name, one.seq, last_seen, one.state, ends_at=end)
        expected = None if is_late else self.model.end_listed(name, "vanished", end, self.now)
        assert self.listed(who, change) == expected

    def raise_listed(self, who, name, note):
        """The API shows an alert that no webhook told; one that has an alarm by now is left alone."""
        last = self.run(self.ledger(who).open_alarms.ended("s", [name])).get(name)
        noted = (None, None, None) if last is None else (last.seq, last.last_seen, last.state)
        arrival = self.arrival(name, "firing", 0, None, note)
        change = ListedChange("missing", name, *noted, bodies=(notification([arrival]).body,))
        if self.model.holds(name):  # decided before a webhook opened it
            assert self.listed(who, ListedChange("missing", name, None, None, None, bodies=change.bodies)) is None
            return
        assert self.listed(who, change) == self.model.raise_listed(arrival.alert, note, self.now)

    def listed(self, who, change):
        """Apply a change that follows from what the API shows; give its effect."""
        alarms = self.ledger(who).open_alarms
        assert self.run(alarms.lead("s", "me", LEASE))
        (effect,) = self.run(alarms.apply("s", "me", [change], MINUTE))
        return effect

    def claim(self, who, limit):
        """A worker gets what waits: of each alert the oldest, if no other worker holds it."""
        for action in ACTIONS:
            self.tokens += 1
            token = f"w{self.tokens}."
            could = self.model.claimable(action, self.now)
            claims = self.run(self.ledger(who).due.claim("t", action, token, limit))
            assert len(claims) == min(limit, len(could)), (action, could, claims)
            for claim in claims:
                self.held.append(self.begun(claim, action, token, could))

    def begun(self, claim, action, token, could):
        """Check one claim; what the worker sees in AOM now is what its clear will be for."""
        name, event = claim.alarm.fingerprint, claim.event
        one = could.pop(name)
        newest = self.model.alerts[name][-1]
        behind = newest is not one and not newest.done and newest.state != "clear_due"  # a mere clear hurries nothing
        assert (claim.action, claim.has_successor, claim.alarm.starts_at) == (action, behind, one.start)
        assert (event.metadata["event_severity"], event.annotations["message"]) == (one.frozen, one.note)
        one.doubt = one.doubt or one.holder is not None
        one.holder, one.ready = token, self.now + LEASE
        return Held(claim, one, name, {self.model.aom.get(name)} - {None})

    def deliver(self, who):
        """A healthy worker delivers one round, and settles each claim in one transaction."""
        before = len(self.held)
        self.claim(who, 100)
        mine, self.held = self.held[before:], self.held[:before]
        for action in ACTIONS:
            self.settle(*(self.accepted(held) for held in mine if held.claim.action == action))

    def answer(self, which, how, wait, reaches, in_doubt):
        """AOM answers or does not, perhaps long after the claim was lost; or the worker is overtaken, or ends."""
        held = self.held[which % len(self.held)]
        match how:
            case "reach":  # its answer is on the way for long
                self.reach(held)
            case "overtake":
                self.now += LEASE
                self.claim(which, 100)
            case "stop":
                self.stop(held.claim.alarm.claimed_by, which)
            case "crash":
                self.crash(reaches)
            case "all":  # of its claim, in one transaction
                mine = [other for other in self.held if other.claim.alarm.claimed_by == held.claim.alarm.claimed_by]
                self.held = [other for other in self.held if other not in mine]
                self.settle(*(self.accepted(other) for other in mine))
            case _:
                self.held.remove(held)
                self.end(held, how, wait, reaches=reaches, in_doubt=in_doubt or held.has_reached)

    def end(self, held, how, wait, *, reaches, in_doubt):
        """Settle one claim; what AOM has taken it does not refuse, and its worker vanishes instead."""
        if how == "accept":
            self.settle(self.accepted(held))
        elif how == "refuse" and not held.has_reached:
            step = Refused(held.claim.action, "refused", "")
            self.settle((held, step, False, partial(self.model.refused, held.episode, held.claim.action, self.now)))
        elif how == "release":
            if in_doubt and reaches:
                self.model.reach(held)
            self.settle(self.rescheduled(held, wait, in_doubt=in_doubt))

    def accepted(self, held):
        """AOM takes it; a clear that may have missed its alarm comes again, as the sender decides."""
        self.model.reach(held)
        alarm, one, now = held.claim.alarm, held.episode, self.now
        if held.claim.action == "report":
            step = Reported(alarm.starts_at)
            return held, step, True, partial(self.model.accepted, one, alarm.starts_at, now)
        told = [alarm.doubt_at or 0, 0 if held.ids else alarm.reported_at or 0]
        left = max(told) if now - max(told) < MAX_TIME else None
        if held.claim.has_successor or left is None:
            step = Cleared(named=("x",), doubt_at=left)
            return held, step, False, partial(one.clear, now, doubt=left is not None)
        return self.rescheduled(held, MINUTE, in_doubt=False)

    def rescheduled(self, held, wait, *, in_doubt):
        """Nothing is decided."""
        due_at = self.now + wait
        step = Rescheduled(due_at, "retrying", "timeout", "", in_doubt=in_doubt)
        return held, step, in_doubt, partial(held.episode.release, due_at, in_doubt=in_doubt)

    def settle(self, *ends):
        """Settle as the settler does: what a lost report may have done is a doubt."""
        ledger = self.ledger(self.tokens)
        claims = [held.claim.alarm for held, *_ in ends]
        steps = [Settlement(alarm, step) for alarm, (_, step, *_) in zip(claims, ends, strict=True)]
        changed = self.run(ledger.due.settle(steps))
        assert changed == {held.claim.alarm.seq for held, *_ in ends if held.is_held}
        for held, _, may_be_taken, effect in ends:
            if held.is_held:
                effect()
                self.model.hand_on(held.name, held.episode, self.now)
            elif may_be_taken and held.claim.action == "report":
                self.doubt(ledger, held)

    def doubt(self, ledger, held):
        self.run(ledger.due.mark_doubtful([held.claim.alarm.key]))
        self.model.doubted(held.name, self.now)

    def stop(self, token, who):
        """A worker stops in good order; what was in flight is in doubt."""
        self.run(self.ledger(who).due.release(token))
        self.held = [held for held in self.held if held.claim.alarm.claimed_by != token]
        self.model.release(self.now, token)

    def crash(self, reaches):
        """The process ends in the middle of its pushes; the next start makes them due again."""
        self.vanish(reaches)
        self.run(self.ledgers[0].close())
        self.ledgers = self.run(self.opened())
        self.model.release(self.now)

    def vanish(self, reaches):
        for held in self.held if reaches else ():
            self.reach(held)
        self.held.clear()

    def reach(self, held):
        """AOM accepts a push whose worker may never settle it; after its lease the ledger cannot know."""
        if held.is_held:
            self.model.reach(held)

    def wait(self, who, wait):
        """Time passes: a moment, a lease, until a repeat is reported again, until an alarm expires."""
        self.now += wait
        self.run(self.ledger(who).upkeep())
        self.model.expire(self.now)

    @invariant()
    def the_rows_are_the_models(self):
        """No row is lost or too many, one is open at most, each is as the table says, and the counts are the rows'."""
        views, counted = self.run(self.ledgers[0]._core.read(lambda c: (listing(c), queries.counts(c))))
        rows = {name: [view.alarm for view in reversed(views) if view.alarm.fingerprint == name] for name in KINDS}
        for name, found in rows.items():
            seen = [(r.state, r.ends_at, r.refresh_due, r.claimed_by, r.doubt_at is not None) for r in found]
            expected = [(e.state, e.end, e.refresh, e.holder, e.doubt) for e in self.model.alerts[name]]
            causes = [(e.opened_by, e.ended_by) for e in self.model.alerts[name]]
            assert [(row.opened_by, row.ended_by) for row in found] == causes, name
            assert seen == expected, name
            assert sum(row.is_open for row in found) <= 1
        kept = Counter()
        for ledger in self.ledgers:
            kept.update(ledger.counts())
        assert {key: n for key, n in kept.items() if n} == counted

    def teardown(self):
        """Deliver all until quiet: AOM holds exactly what fires."""
        try:
            self.deliver_all()
            expected, undecided = self.model.must_be_open()
            assert set(self.model.aom) - undecided - {"e"} == expected
        finally:
            self.close()

    def deliver_all(self):
        self.held.clear()
        for _ in range(QUIET):
            self.now += 3 * MINUTE
            self.deliver(0)
            if not any(one.action for episodes in self.model.alerts.values() for one in episodes):
                return
        raise AssertionError("it never becomes quiet")

    def close(self):
        self.run(asyncio.wait_for(asyncio.gather(*(ledger.close() for ledger in self.ledgers)), 20))
        self.runner.close()
        self.folder.close()


class PostgresMachine(LedgerMachine):
    """On PostgreSQL: two replicas; a worker vanishes, and its lease lapses."""

    folder = contextlib.ExitStack()
    place = ""

    def make(self):
        with psycopg.connect(self.place) as connection:
            connection.execute("TRUNCATE alarms, alarm_contents, alarm_search")
            connection.execute("UPDATE ledger_counters SET value = 0")
        return self.place

    async def opened(self):
        return await super().opened() + await super().opened()

    def crash(self, reaches):
        self.vanish(reaches)
