"""What each target can do is tried at the start and every few minutes, and told: as metrics, and once in the log."""

import asyncio
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aom_client import PASSWORD, client
from waiting import until

from bridge.app.label_sets import LABEL_SETS
from bridge.clock import MINUTE, SECOND, system_clock
from bridge.metrics import Metrics
from bridge.reconcile.audit.target_checks import CHECKS, EACH, TargetChecks

TOKEN = "{token: {value: emulator-token}}"
KEYS = "{aksk: {access_key: emulator-ak, secret_key: emulator-sk}}"
WORKS = "the target works: credentials, AOM's list and the clock"
BROKEN = "the target does not work: "
FORBIDDEN = {"on": "list", "status": 403, "error_code": "APIGW.0302"}


class Checked:
    """A target of an emulated AOM, which is tried when it is told to."""

    def __init__(self, it, capfd):
        self.it = it
        self.capfd = capfd
        self.settings = it.client._settings
        self.metrics = Metrics("1", "3", LABEL_SETS)
        self.clients = {"default": it.client}
        self.checks = TargetChecks(
            lambda: dict.fromkeys(self.clients, self.settings),
            self.clients,
            "s",
            metrics=self.metrics,
            clock=it.clients_clock,
        )

    async def tried(self, later=EACH):
        """Try once, after so long; give the metric of each check, and the lines of the log."""
        self.it.now += later
        await self.checks._check("default", self.settings, self.it.client)
        lines = [line for line in self.capfd.readouterr().out.splitlines() if "component=targets" in line]
        return self.up(), lines

    def up(self, target="default"):
        """Give what the metric says of each check of a target."""
        return {check: self.metrics.target_up.labels(target, check)._value.get() for check in CHECKS}

    @property
    def asked(self):
        """How often AOM's list was asked."""
        return self.it.emulator.snapshot()["counts"]["list"]


ALL = dict.fromkeys(CHECKS, 1)


@asynccontextmanager
async def target(capfd, *, auth=TOKEN, rounds=1):
    """Run an emulated AOM, whose Date is the machine's time, and a target whose clock is right after so many tries."""
    async with client(auth=auth) as it:
        it.now = system_clock() - rounds * EACH
        yield Checked(it, capfd)


async def test_a_target_that_works_says_so_once(capfd):
    """At the start; later only what has changed is told."""
    async with target(capfd) as one:
        up, (line,) = await one.tried()
        assert up == ALL
        assert WORKS in line
        assert await one.tried() == (ALL, [])
        assert one.asked == 2
        assert one.it.emulator.snapshot()["violations"] == []


async def test_nothing_is_asked_where_a_look_up_has_worked_lately(capfd):
    """It has shown that credentials and list work, and what time it is."""
    async with target(capfd) as one:
        one.it.now += EACH
        await one.it.find()
        assert (await one.tried(EACH - 1))[0] == ALL
        assert one.asked == 1
        await one.tried(1)
        assert one.asked == 2
        one.it.now -= MINUTE  # a clock that has stepped back makes it no younger
        await one.tried(0)
        assert one.asked == 3


async def test_a_list_that_may_not_be_read_is_told_with_its_fix_and_that_it_works_again(capfd):
    """Once each, however often it is tried, though AOM's trace is another one each time."""
    async with target(capfd, rounds=3) as one:
        await one.tried()
        await one.it.arm(FORBIDDEN)
        up, (line,) = await one.tried()
        assert up == {**ALL, "list": 0}
        assert BROKEN in line
        assert "check=list" in line
        assert "give the user the IAM action aom:alarm:list in this project" in line
        assert await one.tried() == (up, [])
        await one.it.disarm()
        up, (line,) = await one.tried()
        assert up == ALL
        assert WORKS in line
        assert await one.tried() == (ALL, [])


async def test_another_trouble_is_told_as_well(capfd):
    """The first one may be over, and the fix is another one."""
    async with target(capfd) as one:
        await one.it.arm(FORBIDDEN)
        assert len((await one.tried())[1]) == 1
        await one.it.disarm()
        await one.it.arm({"on": "list", "status": 404, "error_code": "APIGW.0101"})
        up, (line,) = await one.tried()
        assert up == {**ALL, "list": 0, "clock": 0}  # that comes after the list, and was never tried
        assert "AOM does not know project_id" in line


@pytest.mark.parametrize(
    ("auth", "fix"),
    [
        ("{token: {value: hunter2}}", "the token is wrong, has expired"),
        (PASSWORD.replace("password: emulator,", "password: hunter2,"), "domain is the account's name"),
        (KEYS.replace("emulator-sk", "hunter2"), "access_key and secret_key must belong together"),
    ],
)
async def test_credentials_that_are_refused_are_told_with_their_own_fix(capfd, auth, fix):
    """By AOM or by IAM; the secret is in no line."""
    async with target(capfd, auth=auth) as one:
        up, (line,) = await one.tried()
        assert up["credentials"] == 0
        assert "check=credentials" in line
        assert fix in line
        assert "hunter2" not in line


@pytest.mark.parametrize(("ahead", "which"), [(1, "ahead of"), (-1, "behind")])
async def test_a_clock_that_is_off_by_twenty_minutes_is_told_and_that_it_is_right_again(capfd, ahead, which):
    """Signatures are refused from a quarter of an hour on; tokens are not, so nothing else would show it."""
    async with target(capfd) as one:
        one.it.ahead = ahead * (20 * MINUTE + 30 * SECOND)
        up, (line,) = await one.tried()
        assert up == {**ALL, "clock": 0}
        assert re.search(rf"our clock is 20m\d+s {which} AOM's. Fix: synchronize the clock \(NTP\)", line)
        one.it.ahead += SECOND
        assert await one.tried(EACH // 2) == (up, [])
        one.it.ahead, one.it.now = 0, system_clock()
        up, (line,) = await one.tried(0)
        assert up == ALL
        assert WORKS in line


async def test_a_clock_that_is_off_by_less_than_signatures_allow_is_no_trouble(capfd):
    """Ten minutes are no reason to act."""
    async with target(capfd) as one:
        one.it.ahead = 10 * MINUTE
        assert (await one.tried())[0] == ALL


async def test_a_clock_for_which_signatures_are_refused_is_told_as_the_cause(capfd):
    """The keys are right, and the fix is the clock."""
    async with target(capfd, auth=KEYS) as one:
        one.it.now += EACH
        assert (await one.tried(0))[0] == ALL
        one.it.ahead = 20 * MINUTE
        up, (line,) = await one.tried(SECOND)
        assert up["credentials"] == 0
        assert "synchronize the clock (NTP)" in line


async def test_every_target_is_tried_at_the_start_whatever_befalls_another(capfd):
    """One without a client is left out; readiness and pushes do not wait for it."""
    async with target(capfd) as one:
        one.clients = one.checks._clients = {"broken": SimpleNamespace(), "none": None, "default": one.it.client}
        one.it.now += EACH
        one.checks.start()
        await until(lambda: one.up() == ALL)
        await one.checks.stop()
        assert one.up("broken") == dict.fromkeys(CHECKS, 0)
        lines = capfd.readouterr().out
        assert lines.count(WORKS) == 1
        assert lines.count("unexpected error while a target was tried; retrying") == 1
        assert all(task.get_name() != "target-checks" for task in asyncio.all_tasks())
