"""What AOM must hold in the long run, what it held, and the story of each alarm.

An alert that fires, is not suppressed and goes to the bridge must have one open alarm; one that does not fire, or that
goes elsewhere, must have none. Of a suppressed alert the alarm stays as it was when the suppression began. Where that
is not known, since its notification was on the way then, both are right.
"""

import asyncio
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta

_KNOWN_AFTER = timedelta(seconds=8)
"""How long an alert must have been as it is before a suppression, for its alarm to be known."""

_SHOWN_AFTER = timedelta(seconds=5)
"""How long a bridge must have run and an alert have fired, for the bridge to know how long its posts are valid."""

_ESTABLISHED_AFTER = timedelta(seconds=25)
"""How long an alert must have fired, and every bridge have run, for no clear of before to be on the way any more."""

_POLL = 0.2
_MAX_LINES = 80


class Alert:
    """One alert that fires and resolves, and what is to be said of its alarm."""

    def __init__(self, name, **labels):
        self.name, self.labels = name, labels
        self.is_firing, self.silence = False, None
        self.changed_at = datetime.now(UTC)
        self.kept = None  # while it is suppressed: whether its alarm is open; None: unknown
        self.was_shown = False  # whether a bridge knows the validity of its posts
        self.wrong_since, self.held = None, 0
        self.wanted_since = None  # since when it fires for the bridge and is not suppressed
        self.cleared_by_hand_at = datetime.now(UTC)
        self.lines = []


class Story:
    """Follows all alerts.

    Args:
        world: what runs.
        alerts: all alerts.
    """

    def __init__(self, world, alerts):
        self._world = world
        self.alerts = {one.name: one for one in alerts}
        self.figures = Counter()
        self.wrong_for = []
        self.blinked = []
        self._began = datetime.now(UTC)
        self._lines = []
        self._watching = None

    def start(self):
        """Begin to watch AOM."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self):
        """End it."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def tell(self, text, *names):
        """Write a line of the story: of some alerts, or of all."""
        line = f"{(datetime.now(UTC) - self._began).total_seconds():8.1f}s {text}"
        for lines in [self.alerts[name].lines for name in names] or [self._lines]:
            lines.append(line)

    def happened(self, figure, text, *names):
        """Count what happened, and write a line of the story."""
        self.figures[figure] += 1
        self.tell(text, *names)

    def fired(self, alert):
        """Note that an alert fires now."""
        self.note_suppression()
        if self.is_suppressed(alert):
            alert.kept = None if alert.held or alert.kept is None or not self._is_steady(alert) else False
        alert.is_firing, alert.changed_at = True, datetime.now(UTC)
        alert.was_shown = alert.was_shown and alert.held > 0
        self.happened("fired", "fires", alert.name)

    def resolved(self, alert):
        """Note that an alert resolves now."""
        self.note_suppression()
        alert.is_firing, alert.changed_at = False, datetime.now(UTC)
        self.happened("resolved", "resolves", alert.name)

    def is_suppressed(self, alert):
        """Say whether Alertmanager suppresses an alert."""
        is_inhibited = alert.labels.get("severity") == "inhibited" and any(
            one.is_firing for one in self.alerts.values() if one.labels.get("severity") == "inhibitor"
        )
        return alert.silence is not None or is_inhibited

    def is_away(self, alert):
        """Say whether an alert goes elsewhere."""
        return self._world.is_moved and alert.labels.get("team") == "moving"

    def wanted(self, alert):
        """Say whether AOM must hold an alarm of it; None: both are right."""
        if not alert.is_firing or self.is_away(alert):
            return None if alert.held and self.needs_an_hour(alert) else False
        return alert.kept if self.is_suppressed(alert) else True

    def needs_an_hour(self, alert):
        """Say whether the absence of an alert counts only after an hour.

        A peer was started since its alarm came to AOM, and the bridge cannot know how long its posts are valid.
        """
        arrived = max((one["arrives_at"] for one in self._open(alert.name)), default=0)
        return not alert.was_shown and arrived <= self._world.peers_started_at.timestamp() * 1000

    def note_suppression(self):
        """Note of each alert whether its alarm is open; call it before an act may suppress some."""
        for alert in self.alerts.values():
            if self.is_away(alert):
                alert.kept = None
            elif not self.is_suppressed(alert):
                alert.kept = alert.held > 0 if self._is_steady(alert) else None

    def inhibitions_restarted(self):
        """Note that Alertmanager may notify what is inhibited: it sends groups before it knows its inhibitors again."""
        for alert in self.alerts.values():
            if self.is_suppressed(alert) and alert.silence is None and not alert.kept:
                alert.kept = None

    @staticmethod
    def _is_steady(alert):
        return alert.wrong_since is None and datetime.now(UTC) - alert.changed_at > _KNOWN_AFTER

    def cleared_by_hand(self, alert):
        """Note that people clear an alarm now: it comes back, but not while it is suppressed."""
        alert.kept, alert.cleared_by_hand_at = None, datetime.now(UTC)
        self.tell("people clear its alarm, if there is one", alert.name)

    def ledger_lost(self):
        """No bridge knows any more how long an alert's posts are valid."""
        for alert in self.alerts.values():
            alert.was_shown = False

    def wrong(self):
        """Give the alerts of which AOM does not hold what it must."""
        self._look()
        return [alert for alert in self.alerts.values() if not self._is_right(alert)]

    def text(self, alert, rows=()):
        """Give the story of an alert."""
        own = sorted(alert.lines[-_MAX_LINES:] + self._lines[-_MAX_LINES:], key=lambda line: float(line.split("s")[0]))
        state = f"wanted: {self.wanted(alert)}, AOM holds {alert.held}; fires: {alert.is_firing}"
        state += f", suppressed: {self.is_suppressed(alert)}, away: {self.is_away(alert)}"
        held = [f"   AOM: {one}" for one in self._open(alert.name)]
        return "\n".join([f"== {alert.name}: {state}", *held, *(f"   ledger: {row}" for row in rows), *own])

    def summary(self):
        """Give all figures on a few lines."""
        done = ", ".join(f"{name} {count}" for name, count in sorted(self.figures.items()))
        healed = ", ".join(f"{kind} {count}" for kind, count in sorted(self._world.healed().items()) if count)
        times = sorted(self.wrong_for) or [0.0]
        percentile = times[min(len(times) * 99 // 100, len(times) - 1)]
        return (
            f"{done}\nhealed: {healed or 'nothing'}\n{len(self.wrong_for)} times AOM differed: median"
            f" {statistics.median(times):.1f} s, p99 {percentile:.1f} s, longest {times[-1]:.1f} s"
        )

    async def _watch(self):
        while True:
            self._look()
            await asyncio.sleep(_POLL)

    def _look(self):
        open_alarms, now = self._world.open_alarms(), datetime.now(UTC)
        up = [one.up_since for one in self._world.bridges if one.up_since is not None]
        is_shown = bool(up) and now - max(min(up), self._world.killed_at) > self._world.takes_over_after
        for alert in self.alerts.values():
            self._held(alert, len(open_alarms.get(alert.name, ())), now)
            alert.was_shown |= is_shown and alert.is_firing and now - alert.changed_at > _SHOWN_AFTER
            self._judge(alert, now)

    def _held(self, alert, held, now):
        if held != alert.held:
            self.tell(f"AOM holds {held}", alert.name)
        if self.wanted(alert) is not True:
            alert.wanted_since = None
        elif alert.wanted_since is None:
            alert.wanted_since = now
        if alert.held and not held and self._is_established(alert, now):
            self.happened("cleared though it fires", "AOM HOLDS NONE THOUGH IT FIRES", alert.name)
            self.blinked.append(alert)
        alert.held = held

    def _is_established(self, alert, now):
        """Say whether nothing explains that an alarm is cleared."""
        begins = (alert.changed_at, alert.cleared_by_hand_at, alert.wanted_since or now, self._world.killed_at)
        return now - max(begins) > _ESTABLISHED_AFTER

    def _judge(self, alert, now):
        if self._is_right(alert):
            if alert.wrong_since is not None:
                self.wrong_for.append((now - alert.wrong_since).total_seconds())
            alert.wrong_since = None
        elif alert.wrong_since is None:
            alert.wrong_since = now

    def _is_right(self, alert):
        wanted = self.wanted(alert)
        if wanted is None or (not wanted and alert.is_firing and self._is_of_before(alert)):
            return alert.held <= 1
        return alert.held == wanted

    def _is_of_before(self, alert):
        """Say whether AOM's alarm is of an earlier firing: one that is late is kept while its alert fires."""
        began = alert.changed_at.timestamp() * 1000
        return self.is_suppressed(alert) and all(one["starts_at"] < began for one in self._open(alert.name))

    def _open(self, name):
        return self._world.open_alarms().get(name, ())
