"""A model of the ledger in a few lines: per alert the list of its alarms, and AOM's open alarms.

It knows neither rows nor transactions: only what the table of rules says of one step after another.
"""

from dataclasses import dataclass, field

from ledger_driver import REASSERT

from bridge.clock import HOUR
from bridge.ledger import transitions

KINDS = {"a": "alarm", "b": "alarm", "e": "event"}
"""The alerts, and what the mapping makes of each."""


@dataclass
class Episode:
    """What the model knows of one alarm: how its alert stands, what AOM was told, and who is at work on it."""

    kind: str
    frozen: str
    note: str
    start: int
    newest: tuple[int, int]
    seen: int
    ready: int
    end: int | None = None
    told: bool = False
    doubt: bool = False
    done: str = ""
    refresh: bool = False
    reported: tuple[int, int] = (0, 0)
    holder: str | None = None
    given_up: bool = False
    finished: int = 0
    opened_by: str | None = None
    ended_by: str | None = None

    @property
    def is_open(self):
        return self.end is None and not self.done

    @property
    def state(self):
        if self.done or not self.told:
            return self.done or "report_due"
        return "reported" if self.end is None else "clear_due"

    @property
    def action(self):
        """What is to be done for it: report, clear or nothing."""
        due = {"report_due": "report", "clear_due": "clear", "reported": "report" if self.refresh else None}
        return due.get(self.state)

    def due(self, now):
        """Note that there is something to do; a worker that holds it decides himself when."""
        if self.holder is None:
            self.ready = now

    def release(self, ready, *, in_doubt):
        """A try decided nothing."""
        self.holder, self.ready, self.doubt = None, ready, self.doubt or in_doubt

    def finish(self, word, now):
        self.done, self.refresh, self.holder, self.finished = word, False, None, now

    def clear(self, now, *, doubt):
        """AOM took its clear, and a report in doubt may come after it."""
        self.doubt = doubt
        self.finish("cleared", now)

    def clear_next(self, now):
        """AOM has been told of it, or may have been, and it has ended."""
        self.told, self.done, self.refresh = True, "", False
        self.due(now)
        if self.kind == "event":
            self.finish("cleared", now)


@dataclass
class Held:
    """A claim in a worker's hands, and the ids that its look-up found in AOM."""

    claim: object
    episode: Episode
    name: str
    ids: set = field(default_factory=set)
    has_reached: bool = False

    @property
    def is_held(self):
        return self.episode.holder == self.claim.alarm.claimed_by


class Model:
    """The table of rules: per alert the list of its episodes, and AOM's open alarms."""

    def __init__(self):
        self.alerts = {name: [] for name in KINDS}
        self.aom = {}
        self.opened = 0

    def put(self, alert, note, now):
        """Take in one alert; give the outcome."""
        episodes = self.alerts[alert.fingerprint]
        last = episodes[-1] if episodes else None
        waits = last is not None and last.done == "rejected" and last.end is None
        if alert.status == "firing":
            return self._fire(episodes, last, alert, note, now, known=waits or (last is not None and last.is_open))
        end = now if alert.ends_at is None else alert.ends_at
        if last is not None and last.is_open and end <= last.newest[0] and alert.starts_at != last.newest[1]:
            return "stale"
        if last is not None and (last.is_open or waits):
            return self._end(last, end, now)
        is_own = last is not None and last.ended_by is not None
        is_own = is_own and ((alert.ends_at or 0) > last.newest[0] or alert.starts_at == last.newest[1])
        if last is not None and last.end is not None and (end <= last.end or is_own):
            if is_own:
                last.end, last.ended_by = end, None
            return "duplicate"
        return self._born(episodes, last, alert, note, now, end=end)

    def end_listed(self, name, cause, end, now):
        """End the alarm of an alert that Alertmanager's API no longer shows as firing; its own resolve may follow."""
        effect = self._end(self.alerts[name][-1], end, now)
        self.alerts[name][-1].ended_by = cause
        return effect

    def raise_listed(self, alert, note, now):
        """Raise an alert that Alertmanager's API shows and that has no alarm without an end."""
        effect = self.put(alert, note, now)
        if effect == "new":
            self.alerts[alert.fingerprint][-1].opened_by = "missing"
        return effect

    def holds(self, name):
        """Say whether the newest alarm of an alert has no end: open, or rejected and not resolved."""
        last = self.alerts[name][-1] if self.alerts[name] else None
        return last is not None and (last.is_open or (last.done == "rejected" and last.end is None))

    def _end(self, last, end, now):
        last.end, last.given_up = end, False
        if last.told or (last.done and last.doubt):
            last.clear_next(now)
        return "resolved"

    def _born(self, episodes, last, alert, note, now, end=None):
        if note is None:
            return "dropped"
        fired = min(alert.starts_at, now)
        kind = KINDS[alert.fingerprint]
        one = Episode(kind, note, note, alert.starts_at, (fired, alert.starts_at), now, now, end)
        if end is not None:
            one.clear_next(now)
        if end is None and last is not None and last.state == "clear_due" and last.holder is None:
            last.ready = min(last.ready, now)
        one.doubt = (
            last is not None and last.doubt and bool(last.done) and now - last.finished < transitions.INHERITED_FOR
        )
        episodes.append(one)
        return "new" if end is None else "orphan"

    def _fire(self, episodes, last, alert, note, now, known):
        if not known:
            return self._born(episodes, last, alert, note, now)
        last.seen, last.start = now, alert.starts_at
        if min(alert.starts_at, now) >= last.newest[0]:
            last.newest = (min(alert.starts_at, now), alert.starts_at)
        is_changed = note not in (None, last.note)
        last.note = note or last.note
        if last.done and is_changed:
            last.done, last.frozen = "", note
            last.due(now)
        needed = last.reported[1] != last.start or now - last.reported[0] >= REASSERT
        if last.state == "reported" and last.kind == "alarm" and not last.refresh and needed:
            last.refresh = True
            last.due(now)
        return "repeat"

    def claimable(self, action, now):
        """Give per alert the oldest unfinished alarm, where it waits for this action."""
        heads = {name: next((e for e in episodes if not e.done), None) for name, episodes in self.alerts.items()}
        return {name: e for name, e in heads.items() if e and e.action == action and e.ready <= now}

    def reach(self, held):
        """Let a push take effect in AOM, once."""
        if held.has_reached:
            return
        held.has_reached = True
        if held.claim.action == "clear":
            if self.aom.get(held.name) in held.ids:
                del self.aom[held.name]
        elif held.name not in self.aom:
            self.opened += 1
            self.aom[held.name] = self.opened

    def accepted(self, episode, sent, now):
        """AOM took a report."""
        episode.told, episode.holder, episode.ready, episode.reported = True, None, now, (now, sent)
        episode.refresh = episode.end is None and episode.start != sent and episode.kind == "alarm"
        if episode.end is not None:
            episode.clear_next(now)

    def refused(self, episode, action, now):
        """AOM refused a push for good; what it holds is not given up."""
        episode.holder, episode.ready, episode.refresh = None, now, False
        if episode.end is not None and action == "report" and (episode.told or episode.doubt):
            episode.clear_next(now)
        elif action == "clear" or not episode.told:
            episode.finish("rejected", now)
            episode.given_up = action == "clear" or episode.end is None

    def doubted(self, name, now):
        """A push of a lost claim may have opened an alarm behind the newest episode's back."""
        self._doubt(self.alerts[name][-1], now)

    def hand_on(self, name, episode, now):
        """An alarm that has finished leaves its doubt to the next one of its alert."""
        episodes = self.alerts[name]
        later = episodes[episodes.index(episode) + 1 :]
        if episode.done and episode.doubt and later:
            self._doubt(next((one for one in later if not one.done), later[-1]), now)

    @staticmethod
    def _doubt(last, now):
        if last.done == "expired":
            return
        last.doubt = True
        if last.state == "clear_due":
            last.holder = None  # a clear in flight may have gone out before that report
            last.due(now)
        if last.end is not None and last.done and last.kind == "alarm":
            last.clear_next(now)

    def release(self, now, token=None):
        """Make due what one worker holds, or all."""
        for one in (one for episodes in self.alerts.values() for one in episodes if one.holder is not None):
            if token in (None, one.holder):
                one.release(now, in_doubt=True)

    def expire(self, now):
        for name, episodes in self.alerts.items():
            for one in episodes:
                is_quiet = one.state == "reported" and not one.refresh
                if is_quiet and now - max(one.seen, one.reported[0]) >= HOUR + transitions.EXPIRY_GRACE:
                    one.finish("expired", now)
                    self.aom.pop(name, None)

    def must_be_open(self):
        """Give the alerts that fire, and those of which a refusal or AOM's age decides."""
        lasts = {name: episodes[-1] for name, episodes in self.alerts.items() if episodes and KINDS[name] == "alarm"}
        open_now = {name for name, last in lasts.items() if last.is_open}
        return open_now, {
            name for name, last in lasts.items() if last.done == "expired" or (last.done and last.given_up)
        }
