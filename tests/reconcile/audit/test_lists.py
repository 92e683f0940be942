"""Whatever AOM's list is like, an audit ends right: long, shifting, cut off, of others, with odd ids, in every AOM."""

import itertools
import os

import pytest
from audits import audited, audits, clear_by_hand, differences, listed, push, reconciled, report_late
from emulated_aom import put_in
from waiting import until
from webhooks import alert, resolved

from bridge.emulator import CHOICES

MANY = 2_500
IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"


async def test_a_list_of_many_pages_is_read_to_its_end(tmp_path):
    """Thousands of alarms are open in both, and nothing differs; the one that is cleared by hand is found."""
    alerts = [alert(f"A{number}") for number in range(MANY)]
    async with audited(tmp_path / "l.db", target="rate_limit: 1000") as rig:
        await rig.send(*alerts)
        await until(lambda: rig.count("reported") == MANY, 60)
        await clear_by_hand(rig, "A1234")
        await until(lambda: _has(rig, "cleared_elsewhere", 1), 60)
        await rig.send(alerts[1234])
        await until(lambda: len(rig.active()) == MANY)
        assert await reconciled(rig, "ghost") == 0


async def _has(rig, kind, count):
    return await reconciled(rig, kind) == count


async def test_a_list_whose_marker_repeats_proves_no_absence(tmp_path):
    """It is not read to its end; an alarm that it does not show may be on the next page."""
    async with audited(tmp_path / "l.db", target="cleared_elsewhere: accept") as rig:
        await rig.send(alert("Held"), alert("Other"))
        await until(lambda: rig.active() == ["Held", "Other"])
        await audits(rig, 1)
        await rig.arm({"on": "list", "repeat_marker": True, "count": 1_000_000})
        await clear_by_hand(rig, "Held")
        await audits(rig, 3, "incomplete")
        assert rig.count("reported") == 2
        await rig.disarm()
        await until(lambda: rig.count("reported") == 1)


async def test_alarms_of_other_programs_are_none_of_the_bridges(tmp_path):
    """They are neither cleared nor told, however many."""
    metadata = {
        "event_name": "Theirs",
        "event_severity": "Major",
        "event_type": "alarm",
        "resource_provider": "ECS",
        "resource_type": "vm",
    }
    async with audited(tmp_path / "l.db") as rig:
        await rig.send(alert("Own"))
        await until(lambda: rig.active() == ["Own"])
        start = listed(rig, "Own")["starts_at"]
        others = [
            {"starts_at": start, "timeout": 86_400_000, "metadata": metadata | {"resource_id": str(number)}}
            for number in range(1_100)
        ]
        await put_in(rig.emulator, *others)
        await audits(rig, 4)
        assert len(rig.active()) == 1_101
        assert await differences(rig, "foreign") == 0


async def test_another_enterprise_projects_list_decides_nothing(tmp_path):
    """What is open there is no alarm of this project, and what it lacks is not cleared."""
    async with audited(tmp_path / "l.db", target="cleared_elsewhere: accept") as rig:
        await rig.send(alert("Held"))
        await until(lambda: rig.active() == ["Held"])
        event = {name: listed(rig, "Held")[name] for name in ("starts_at", "metadata")} | {"timeout": 86_400_000}
        await put_in(rig.emulator, event, headers={"enterprise-project-id": "other"})
        await audits(rig, 3)
        assert rig.count("reported") == 1
        assert await differences(rig, "foreign") == 0


async def over(rig, name):
    """Let an alarm be reported and cleared."""
    one = alert(name)
    await rig.send(one)
    await until(lambda: rig.active() == [name])
    await rig.send(resolved(one))
    await until(lambda: rig.cleared() == [name])


async def test_a_ghost_without_an_id_is_cleared_once_it_has_one(tmp_path):
    """Until then its clear waits, visibly."""
    async with audited(tmp_path / "l.db") as rig:
        await over(rig, "Late")
        await rig.arm({"on": "list", "listed_ids": "null", "count": 1_000_000})
        await report_late(rig, "Late")
        await until(lambda: _has(rig, "ghost", 1))
        await audits(rig, 2)
        assert rig.active() == ["Late"]
        await rig.disarm()
        await until(lambda: rig.active() == [], 60)


async def test_a_ghost_with_a_long_id_is_cleared(tmp_path):
    """AOM's ids have the length that AOM likes."""
    async with audited(tmp_path / "l.db", options={"ids": "supplied"}) as rig:
        await over(rig, "Late")
        event = listed(rig, "Late", "history")
        again = {name: event[name] for name in ("starts_at", "metadata")}
        await put_in(rig.emulator, {**again, "id": "x" * 300, "timeout": 86_400_000})
        assert rig.active() == ["Late"]
        await until(lambda: rig.active() == [])


def aoms():
    """Give every AOM that there may be: all combinations of the emulator's switches, a few of them by default."""
    every = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]
    return every if IS_FULL else every[:: len(every) // 4 or 1]


@pytest.mark.parametrize("switches", aoms(), ids=lambda switches: "-".join(map(str, switches.values())))
async def test_every_aom_that_there_may_be_ends_right(tmp_path, switches):
    """A report that is applied late is cleared, and what was cleared by hand is reported by its next firing."""
    async with audited(tmp_path / "l.db", options=switches) as rig:
        ends, held = alert("Over"), alert("Held")
        await rig.send(ends, held)
        await until(lambda: rig.active() == ["Held", "Over"])
        await rig.send(resolved(ends))
        await until(lambda: rig.active() == ["Held"])
        event = listed(rig, "Over", "history")
        again = {name: event[name] for name in ("id", "starts_at", "metadata")}
        await push(rig, {**again, "timeout": 86_400_000, "annotations": {}})
        await until(lambda: rig.active() == ["Held"])
        await clear_by_hand(rig, "Held")
        await until(lambda: _has(rig, "cleared_elsewhere", 1))
        await rig.send(held)
        await until(lambda: rig.active() == ["Held"])
