"""A storm as Alertmanager makes it: the truth about many alerts, and webhooks until each of them is acknowledged.

The truth changes at random: alerts fire, change their annotations, resolve, fire again with a new start, flap. A
webhook carries what is true when it is written; whatever got no 200 is sent again later, with what is true then. At
most one request is under way for each alert. It knows nothing of the bridge but its address.

Two simplifications, both harder on the bridge than Alertmanager is: a resolve is sent even where no firing of it was
ever acknowledged, and what is acknowledged may be sent once more, as peers in a cluster do.
"""

import asyncio
import io
import json
from collections import Counter, deque

import aiohttp
from webhooks import alert, payload

from bridge.clock import format_rfc3339, system_clock

PATIENCE_SECONDS = 10
"""How long Alertmanager waits at least."""
_NOTES = 60


class Alert:
    """What is true of one alert, and what of it was acknowledged."""

    def __init__(self, number):
        self.labels = {"instance": f"host-{number}", "severity": ("critical", "warning", "info")[number % 3]}
        self.name = f"Storm{number % 7}"
        self.fingerprint = alert(self.name, **self.labels)["fingerprint"]
        self.starts_at = self.ends_at = 0
        self.version = self.acknowledged = 0
        self.is_busy = False
        self.notes = deque(maxlen=_NOTES)

    @property
    def is_firing(self):
        return self.version > 0 and not self.ends_at

    @property
    def is_outstanding(self):
        return self.acknowledged != self.version

    def fire(self, starts_at):
        self.starts_at, self.ends_at = starts_at, 0
        self._changed("fires")

    def resolve(self, ends_at):
        self.ends_at = ends_at
        self._changed("resolved")

    def touch(self):
        self._changed("annotated")

    def wire(self):
        """Give the alert as it stands in a webhook written now."""
        return alert(
            self.name,
            starts_at=self.starts_at,
            ends_at=self.ends_at or None,
            annotations={"summary": f"version {self.version}"},
            **self.labels,
        )

    def note(self, text):
        self.notes.append(f"{format_rfc3339(system_clock())[11:]} {text}")

    def _changed(self, text):
        self.version += 1
        ends = f" to {self.ends_at % 10**7}" if self.ends_at else ""
        self.note(f"v{self.version} {text}, {self.starts_at % 10**7}{ends}")


class Storm:
    """All alerts, and the webhooks that tell of them.

    Args:
        random: the only source of chance, so that a seed repeats the storm as far as time allows.
        count: how many alerts there are.
        urls: gives the addresses of the bridges that a load balancer would choose from.
    """

    def __init__(self, random, count, urls):
        self.alerts = [Alert(number) for number in range(count)]
        self.answers = Counter()
        self._random = random
        self._urls = urls
        self._is_over = False

    @property
    def firing(self):
        """The truth: the fingerprints of all alerts that fire."""
        return {one.fingerprint for one in self.alerts if one.is_firing}

    async def rage(self, changes_per_second):
        """Change the truth at random until it is calmed."""
        every = 0.02
        while not self._is_over:
            for one in self._random.sample(self.alerts, min(len(self.alerts), round(changes_per_second * every))):
                self._change(one)
            await asyncio.sleep(every)

    def calm(self):
        """Let the truth stay as it is from now on."""
        self._is_over = True

    async def tell(self, connections):
        """Send until the storm is calm and everything is acknowledged."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(self._tell(session))

    async def _tell(self, session):
        while not (self._is_over and not any(one.is_outstanding for one in self.alerts)):
            some = self._choose()
            if some and not await self._send(session, some):
                await asyncio.sleep(self._random.uniform(0.02, 0.3))
            await asyncio.sleep(self._random.uniform(0, 0.02))

    def _change(self, one):
        now, chance = system_clock(), self._random.random()
        if not one.is_firing:
            if now > one.ends_at + 2:
                one.fire(self._random.randint(max(one.ends_at + 2, now - 20_000), now))
        elif chance < 0.2:
            one.touch()
        elif now > one.starts_at + 4:
            one.resolve(self._random.randint(one.starts_at + 1, now - 3))
            if chance < 0.4:
                one.fire(self._random.randint(one.ends_at + 2, now))

    def _choose(self):
        """Choose a group: what is outstanding, and at random some that repeat what is known already."""
        free = [one for one in self.alerts if one.version and not one.is_busy]
        due = [one for one in free if one.is_outstanding]
        size = self._random.choice((1, 2, 5, 20, 50))
        some = self._random.sample(due, min(size, len(due)))
        if self._random.random() < 0.2 and not self._is_over:
            again = [one for one in free if not one.is_outstanding]
            some += self._random.sample(again, min(max(1, size // 4), len(again), 50 - len(some)))
        return some

    async def _send(self, session, some):
        """Send one webhook; say whether it was acknowledged."""
        told = [(one, one.version) for one in some]
        body = json.dumps(payload(*(one.wire() for one in some))).encode()
        for one in some:
            one.is_busy = True
        try:
            answer = await self._post(session, body)
        finally:
            for one in some:
                one.is_busy = False
        self.answers[answer] += 1
        for one, version in told:
            one.note(f"webhook of v{version}: {answer}")
            if answer == 200:
                one.acknowledged = version
        return answer == 200

    async def _post(self, session, body):
        is_impatient = self._random.random() < 0.1
        patience = self._random.uniform(0.001, 0.1) if is_impatient else PATIENCE_SECONDS
        url = self._random.choice(self._urls())
        timeout = aiohttp.ClientTimeout(total=patience)
        try:
            async with session.post(f"{url}/webhook", data=io.BytesIO(body), timeout=timeout) as response:
                await response.read()
                return response.status
        except TimeoutError:
            return "hung up" if is_impatient else "timeout"
        except (aiohttp.ClientError, OSError):
            return "connection"
