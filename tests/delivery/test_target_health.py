"""What is told of a target that takes no alarms."""

import pytest

from bridge.aom import Outcome
from bridge.clock import system_clock
from bridge.delivery.settings import DeliverySettings
from bridge.delivery.target_health import ActionHealth


@pytest.mark.parametrize(
    ("outcome", "fix"),
    [
        (Outcome("unavailable", 503, message="busy"), "aom-bridge send-test --target=default"),
        (Outcome("unauthorized", message="no token. Fix: correct the password."), "Fix: correct the password."),
    ],
)
def test_a_target_in_trouble_is_told_with_its_fix(capsys, outcome, fix):
    """The line names the fix that is known, or else the command that finds it."""
    health = ActionHealth("default", "report", DeliverySettings(), system_clock, lambda: 0.5)
    health._failed("failing", outcome)
    line = capsys.readouterr().out
    assert fix in line
    assert line.lower().count("fix") == (2 if "send-test" in fix else 1)  # the field, and its words
