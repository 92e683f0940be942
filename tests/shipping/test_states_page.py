"""docs/states.md has every word that an alarm, a look-up or an answer can have, and no other."""

import re
from typing import get_args

import pytest
from paths import ROOT

from bridge.aom import REASONS as OUTCOMES
from bridge.delivery.target_health import HealthState
from bridge.ledger import EDITS, EFFECTS, GHOST, STATE_GROUPS, STATES, Cause, TimelineKind
from bridge.ledger.alarm import API_ENDINGS, API_OPENINGS, Phase
from bridge.receiving.webhook import CODES
from bridge.reconcile import KINDS
from bridge.reconcile.audit.judge import FINDING_KINDS
from bridge.reconcile.audit.telling import COUNTED_KINDS
from bridge.web.guard import REASONS as REFUSALS

PAGE = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
PHASES = set(get_args(Phase))
REASONS = (PHASES - {"retrying", "refused_once"}) | {GHOST, "not_held", "unreadable"}
"""The reasons besides AOM's outcomes: those two phases show the outcome itself."""

CLOSED = {
    "States": set(STATES),
    "Groups of states": set(STATE_GROUPS),
    "Changes by hand": set(EDITS),
    "Reasons": REASONS,
    "Phases": PHASES,
    "Causes": set(get_args(Cause)),
    "The timeline": {kind for part in get_args(TimelineKind) for kind in get_args(part)},
    "Outcomes of a request to AOM": set(OUTCOMES),
    "The health of a target": set(get_args(HealthState)),
    "What alerts do": {effect for effects in EFFECTS.values() for effect in effects},
    "Answers to a webhook": set(CODES),
    "Refusals": set(REFUSALS),
    "What differs, and what the audit finds": {*KINDS, *FINDING_KINDS, *COUNTED_KINDS, *API_ENDINGS, *API_OPENINGS},
}


def rows(heading):
    """Give the rows of the table below a heading, each as its cells."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [re.split(r" \| ", line.strip("| ")) for line in part.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("heading", CLOSED)
def test_each_word_of_a_closed_set_has_its_row(heading):
    """The words of a table are those of the code, each once and with a meaning."""
    words = [row[0].strip("`") for row in rows(heading)]
    assert sorted(words) == sorted(CLOSED[heading])
    assert all(len(row) >= 2 and all(row) for row in rows(heading))


def test_each_table_of_the_page_is_held_against_the_code():
    """No part of the page has words that no test looks at."""
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == list(CLOSED)


def test_no_other_reason_is_written_to_an_alarm():
    """Each word that the ledger and the delivery write as a reason is on the page."""
    modules = [*(ROOT / "bridge" / "ledger").glob("*.py"), *(ROOT / "bridge" / "delivery").glob("*.py")]
    written = {word for module in modules for word in re.findall(r'\breason\s*=\s*"(\w+)"', module.read_text())}
    assert {"not_held", "unreadable", "paused"} <= written
    assert written <= REASONS | set(OUTCOMES)


def test_each_cause_opens_or_ends_as_the_api_says():
    """The causes that raise an alarm are told as opening, and those that end one as ending."""
    told = {row[0].strip("`"): row[1] for row in rows("Causes")}
    assert all("opens" in told[cause] for cause in API_OPENINGS)
    assert all("ends" in told[cause] for cause in API_ENDINGS)
