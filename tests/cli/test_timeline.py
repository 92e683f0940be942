"""The timeline of an alarm as the command line prints it."""

from typing import get_args

from ledger_driver import BY, LedgerDriver

from bridge.cli.timeline import _SENTENCES, timeline_lines
from bridge.clock import SECOND
from bridge.ledger import TimelineKind
from bridge.web.handlers.alarm_json import detail_as_json


async def test_the_lines_say_when_what_and_who(tmp_path):
    """Each line has a time, the time since the one before, and a sentence."""
    async with LedgerDriver(tmp_path / "l.db") as driver:
        await driver.fire()
        driver.now += 90 * SECOND
        await driver.ledger.records.edit("clear", ["a"], lambda *_: None, BY)
        lines = timeline_lines(detail_as_json(await driver.ledger.records.show("a"))["timeline"])
    assert lines[0] == "  2027-01-15T08:00:00.000Z            the alert began to fire"
    assert lines[1] == "  2027-01-15T08:00:00.000Z       +0s  the bridge received and kept it; rule r, target default"
    assert lines[2] == (
        "  2027-01-15T08:01:30.000Z    +1m30s  cleared by hand (oncall, api 10.0.0.7): its clear follows its report; "
        "if its alert still fires, Alertmanager's next notification raises it again"
    )
    assert lines[3].endswith("its resolve was received; ends_at 2027-01-15T08:01:30.000Z, ended_by operator")


def test_a_sentence_within_a_line_loses_its_full_stop():
    """The line goes on after what AOM or the network said."""
    said = "the connection to aom.example:443 is refused. Fix: set proxy_url."
    entry = {"at": "2027-01-15T08:00:00.000Z", "kind": "failed"}
    lines = timeline_lines(
        [
            {**entry, "values": {"text": said, "action": "report"}},
            {**entry, "values": {"attempts": 3, "detail": said, "reason": "connection"}},
            {**entry, "values": {"detail": said}},
        ]
    )
    cut = said.removesuffix(".")
    assert lines[0].endswith(f"failed: {cut}; action report")
    assert lines[1].endswith(f"failed; attempts 3, detail {cut}, reason connection")
    assert lines[2].endswith(f"failed; detail {said}")


def test_every_kind_of_entry_has_its_sentence():
    """A new kind needs one."""
    assert set(_SENTENCES) == {kind for part in get_args(TimelineKind) for kind in get_args(part)}
