"""An AOM for the simulation: a small model of its own, behind HTTP connections that exist only in memory.

In: requests of the bridge's real HTTP client. Out: answers, broken connections, silence; and alarms that open late.
It shares no code with the emulator, so that the two cannot be wrong in the same way. Facts: AOM API reference,
"Reporting Events and Alarms" and "Querying Events and Alarms"; what that leaves open is a switch.
"""

import asyncio
import errno
import json
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import aiohttp
from simulated_wire import Wire

MANDATORY = {"event_name", "event_severity", "event_type", "resource_provider", "resource_type", "resource_id"}
YEAR_2000 = 946_684_800_000
MAX_TIMEOUT = 15 * 86_400_000
ACCEPTED = ((204, b""), (200, b""), (200, b'{"errorCode":null}'))
REFUSED = (400, b'{"error_code":"AOM.0400","error_msg":"parse eventParam failed","trace_id":"t"}')
GATEWAY = b'{"error_code":"APIGW.%d","error_msg":"simulated","request_id":"r"}'
SILENT = (
    (503, GATEWAY % 201, {}),
    (503, b"", {"Retry-After": "1"}),
    (500, b'{"error_code":"AOM.0500","error_msg":"internal"}', {}),
    (429, GATEWAY % 308, {}),
)
UNAUTHORIZED = ((403, GATEWAY % 302, {}),)
SIGN_IN = ((200, b"<html>sign in</html>", {"Content-Type": "text/html"}),)
PROXIES = (
    *SIGN_IN,
    (200, b'{"error_code":"AOM.0500","error_msg":"internal"}', {}),
    (206, b"", {}),
    (400, b"<html>bad request</html>", {}),
    (413, b"<html>too large</html>", {}),
)
"""What something between the bridge and AOM may answer, or AOM itself in an odd moment: nothing took effect."""


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What the documentation leaves open; times in seconds.

    ``late``: so long after its client saw a request fail it may still take effect. ``empties``: now and then the lists
    show nothing for a while. ``odd``: the lists hold an entry of somebody else's that has no id.
    ``proxies``: something between answers as AOM never does. ``odd_starts``: alerts without a start, or of long ago.
    """

    ids: str = "assigned"
    same_alarm: str = "metadata"
    unknown_id: int = 204
    one_value: bool = False
    lag: float = 0.0
    late: float = 0.0
    timeout_from: str = "arrival"
    may_list: bool = True
    page: int = 1_000
    empties: bool = False
    odd: bool = False
    proxies: bool = False
    odd_starts: bool = False


@dataclass
class Alarm:
    """One alarm that AOM holds or has held; ``number`` tells it from all others in a history."""

    number: int
    id: str
    identity: object
    metadata: dict
    starts_at: int
    deadline: int
    opened_at: int
    arrives_at: int
    cleared_at: int | None = None

    @property
    def fingerprint(self):
        return self.metadata.get("alert_fingerprint", "")

    def state(self, at):
        """Give the list that shows it, as of that time."""
        if self.opened_at > at:
            return None
        return "active_alert" if self.cleared_at is None or self.cleared_at > at else "history_alert"


@dataclass
class Fate:
    """What becomes of one request: when it takes effect and when its client hears of it, in seconds; None is never.

    ``answer`` is a status with a body, "own" for AOM's own answer, "cut" for a connection that breaks, "half" for
    one that breaks in the middle of the answer.
    """

    name: str
    effect: float | None
    heard: float | None
    answer: object = "own"
    headers: dict = field(default_factory=dict)


class Aom:
    """The service.

    Args:
        switches: what it is like.
        random: the only source of chance.
        attempt: how long the client waits for an answer, in seconds.
        clock: the true time.
        note: writes a line into an alert's history.
    """

    def __init__(self, switches, random, *, attempt, clock, note):
        self.switches = switches
        self.weather = "calm"
        self.shows_nothing = False
        self.alarms = []
        self.requests = {"report": 0, "clear": 0, "active_alert": 0, "history_alert": 0}
        self.violations = []
        self._open = {}
        self._random = random
        self._attempt = attempt
        self._clock = clock
        self._note = note
        self._pending = 0
        self._number = 0

    # What it holds

    def open(self):
        """Give the alarms that are open now."""
        self._expire()
        return [alarm for alarm in self.alarms if alarm.cleared_at is None]

    def is_settled(self):
        """Say whether nothing is under way, and the list shows what there is."""
        since = self._clock() - self.switches.lag * 1000
        return not self._pending and not any(max(a.opened_at, a.cleared_at or 0) > since for a in self.alarms)

    def _expire(self):
        now = self._clock()
        for alarm in [alarm for alarm in self._open.values() if alarm.deadline <= now]:
            self._note(alarm.fingerprint, f"AOM ends alarm {alarm.number} by its age")
            self._close(alarm, now)

    def _close(self, alarm, now):
        alarm.cleared_at = now
        del self._open[alarm.identity]

    def _report(self, events, request):
        """Open an alarm for each event or renew the open one; give the answer."""
        now = self._clock()
        if any(not self._is_good(event) for event in events):
            for event in events:
                self._note(_fingerprint(event), f"  #{request} AOM refuses the request")
            return REFUSED
        self._expire()
        for event in events:
            is_same_id = self.switches.same_alarm == "id"
            identity = event["id"] if is_same_id else tuple(sorted(event["metadata"].items()))
            alarm = self._open.get(identity)
            if alarm is None:
                alarm = self._opened(event, identity, now)
                self._note(alarm.fingerprint, f"  #{request} AOM opens alarm {alarm.number}, id {alarm.id[:8]}")
            else:
                alarm.arrives_at = now
                begin = now if self.switches.timeout_from == "arrival" else alarm.starts_at
                alarm.deadline = max(alarm.deadline, begin + event["timeout"])
                self._note(alarm.fingerprint, f"  #{request} AOM renews alarm {alarm.number}, id {alarm.id[:8]}")
        self._expire()
        return self._random.choice(ACCEPTED)

    def _opened(self, event, identity, now):
        begin = now if self.switches.timeout_from == "arrival" else event["starts_at"]
        own_id = event["id"] if self.switches.ids == "supplied" else f"{self._random.getrandbits(64):016x}"
        number = len(self.alarms) + 1
        deadline = begin + event["timeout"]
        alarm = Alarm(number, own_id, identity, event["metadata"], event["starts_at"], deadline, now, now)
        self.alarms.append(alarm)
        self._open[identity] = alarm
        return alarm

    def _is_good(self, event):
        metadata = event.get("metadata", {})
        is_good = (
            metadata.keys() >= MANDATORY
            and event.get("starts_at", 0) > YEAR_2000
            and 0 < event.get("timeout", 0) <= MAX_TIMEOUT
        )
        if not is_good:
            self.violations.append(f"starts_at {event.get('starts_at')}, timeout {event.get('timeout')}, {metadata}")
        return is_good

    def _clear(self, events, request):
        now = self._clock()
        self._expire()
        by_id = {}
        for alarm in self._open.values():
            by_id.setdefault(alarm.id, []).append(alarm)
        if self.switches.unknown_id == 400 and any(event.get("id") not in by_id for event in events):
            for event in events:
                text = "knows" if event.get("id") in by_id else "does not know"
                self._note(_fingerprint(event), f"  #{request} AOM refuses the request; it {text} id {event['id'][:8]}")
            return REFUSED
        for event in events:
            found = by_id.get(event.get("id"), [])
            for alarm in (alarm for alarm in found if alarm.cleared_at is None):
                self._note(alarm.fingerprint, f"  #{request} AOM clears alarm {alarm.number}, id {alarm.id[:8]}")
                self._close(alarm, now)
            if not found:
                self._note(_fingerprint(event), f"  #{request} AOM knows no open alarm of id {event['id'][:8]}")
        return self._random.choice(ACCEPTED)

    def _list(self, kind, marker, limit, query, request):
        if not self.switches.may_list:
            return 403, GATEWAY % 302
        now = self._clock()
        self._expire()
        since, until, _ = (int(part) for part in query["time_range"].split("."))
        until = min(until, now)
        shown = []
        for alarm in self.alarms:
            is_meant = alarm.state(now - int(self.switches.lag * 1000)) == kind and self._wants(query, alarm)
            times = alarm.starts_at, alarm.arrives_at
            if is_meant and min(times) <= until and max(times) >= since:
                shown.append(alarm)
        shown = [] if self.shows_nothing else sorted(shown, key=lambda alarm: -alarm.starts_at)
        size = min(limit, self.switches.page)
        rest = shown[marker + size :]
        events = [self._entry(alarm) for alarm in shown[marker : marker + size]]
        if self.switches.odd and not marker and not self.shows_nothing:
            events.append({"id": None, "starts_at": 1.5, "metadata": {"event_name": "of somebody else"}})
        for fingerprint in self._asked(query):
            seen = ", ".join(f"{a.number} (id {a.id[:8]})" for a in shown if a.fingerprint == fingerprint)
            self._note(fingerprint, f"  #{request} {kind} shows {seen or 'nothing of it'}")
        info = {"current_count": len(events)} | ({"next_marker": str(marker + size)} if rest else {})
        return 200, json.dumps({"events": events, "page_info": info}).encode()

    def _asked(self, query):
        return [v for one in query["metadata_relation"] if one["key"] == "alert_fingerprint" for v in one["value"]]

    def _wants(self, query, alarm):
        for one in query["metadata_relation"]:
            values = one["value"][:1] if self.switches.one_value else one["value"]
            if alarm.metadata.get(one["key"]) not in values:
                return False
        return True

    def _entry(self, alarm):
        entry = {"id": alarm.id, "starts_at": alarm.starts_at, "ends_at": alarm.cleared_at or 0}
        return entry | {"metadata": alarm.metadata, "arrives_at": alarm.arrives_at, "event_sn": str(alarm.number)}

    # How it is reached

    async def connect(self, protocol, key):
        """Open a connection for one of aiohttp's protocols; refused where the weather says so."""
        await asyncio.sleep(self._random.uniform(0.001, 0.01))
        if self.weather == "down" and self._random.random() < 0.5:
            raise aiohttp.ClientConnectorError(key, OSError(errno.ECONNREFUSED, "Connection refused"))
        return Wire(protocol, self.take)

    def take(self, wire, method, path, body):
        """Take one request in, and let its fate happen."""
        self._number += 1
        request, parts, decoded = self._number, urlsplit(path), json.loads(body)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if method == "PUT":
            what = "clear" if options.get("action") == "clear" else "report"
            act = lambda: (self._clear if what == "clear" else self._report)(decoded["events"], request)  # noqa: E731
            whom = [(_fingerprint(event), f"id {event['id'][:8]}") for event in decoded["events"]]
        else:
            what = options["type"]
            act = lambda: self._list(what, int(options["marker"]), int(options["limit"]), decoded, request)  # noqa: E731
            whom = [(fingerprint, "") for fingerprint in self._asked(decoded)]
        self.requests[what] += 1
        fate = self._fate(is_list=method == "POST")
        for fingerprint, detail in whom:
            self._note(fingerprint, f"#{request} {what} {detail}: {_told(fate)}")
        _Exchange(wire, act, fate, self._begun, self._ended)

    def _begun(self):
        self._pending += 1

    def _ended(self):
        self._pending -= 1

    def _fate(self, *, is_list):
        random = self._random
        soon = random.uniform(0.005, 0.15)
        if self.weather == "calm" or (self.weather == "rough" and random.random() < 0.5):
            return Fate("answered", soon, soon + random.uniform(0.001, 0.1))
        slow = random.uniform(0.2, 0.85) * self._attempt
        if self.weather == "rough" and random.random() < 0.2:
            return Fate("answered slowly", random.uniform(0.01, slow), slow)
        if random.random() < 0.3:
            return self._plain_fate(soon, is_list=is_list)
        how, heard, answer = random.choice(
            (
                ("504", slow, (504, GATEWAY % 201)),
                ("502", soon, (502, b"<html>bad gateway</html>")),
                ("broken", soon, "cut"),
                ("broken late", slow, "cut"),
                ("half an answer", slow, "half"),
                ("no answer", None, None),
            )
        )
        seen = self._attempt if heard is None else heard
        late = seen + random.uniform(0, self.switches.late)
        effect = random.choice((None, random.uniform(0, seen), late, late))
        return Fate(how, effect if self.switches.late or effect is None or effect < seen else None, heard, answer)

    def _plain_fate(self, soon, *, is_list):
        """Give a fate in which nothing takes effect, and the client hears so."""
        choices = SILENT if is_list else SILENT + UNAUTHORIZED
        choices += (SIGN_IN if is_list else PROXIES) if self.switches.proxies else ()
        status, body, headers = self._random.choice(choices)
        return Fate(f"{status} {body[:24].decode()}", None, soon, (status, body), headers)


class _Exchange:
    """One request on its way: it takes effect and is answered, each at its time."""

    def __init__(self, wire, act, fate, begun, ended):
        self._wire, self._act, self._fate = wire, act, fate
        self._result = None
        self._ended = ended
        loop = asyncio.get_running_loop()
        begun()
        if fate.effect is not None:
            loop.call_later(fate.effect, self._take_effect)
        if fate.heard is not None:
            loop.call_later(fate.heard, self._answer)
        loop.call_later(max(fate.effect or 0, fate.heard or 0), ended)

    def _take_effect(self):
        self._result = self._act()

    def _answer(self):
        answer = self._result if self._fate.answer == "own" else self._fate.answer
        if answer in ("cut", "half"):
            self._wire.half() if answer == "half" else None
            self._wire.cut(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        else:
            self._wire.answer(*answer, self._fate.headers)


def _fingerprint(event):
    return event.get("metadata", {}).get("alert_fingerprint", "")


def _told(fate):
    effect = "no effect" if fate.effect is None else f"effect after {fate.effect:.2f} s"
    heard = "never heard" if fate.heard is None else f"heard after {fate.heard:.2f} s"
    return f"{fate.name}, {effect}, {heard}"
