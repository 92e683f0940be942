"""What to do where AOM or IAM refuses a request; pure.

In: an outcome. Out: what failed, and the fix. The IAM actions: AOM API reference, "Alarm Actions".
"""

from __future__ import annotations

from bridge.aom.outcome import Outcome
from bridge.errors import Failure

_FIXES = {
    "forbidden": "give the user the IAM action {action} in this project, and in its enterprise project",
    "not_found": "AOM does not know project_id, or endpoint and region are wrong; the console shows the project's id"
    " under My Credentials",
    "rate_limited": "another program uses up the rate limit of this account; try again, and lower rate_limit",
    "timeout": "a firewall may drop the response; or a proxy is needed: proxy_url",
    "connection": "the connection was broken off, by a firewall for example; or a proxy is needed: proxy_url",
    "refused": "AOM refuses the alarm that every bridge sends: please open an issue with this line",
}


def outcome_failure(outcome: Outcome, action: str, hint: str) -> Failure:
    """Return what AOM or IAM has refused, and the fix.

    Args:
        outcome: that is no acceptance.
        action: the IAM action that the request needs.
        hint: the fix for credentials that are refused.
    """
    fix = _FIXES.get(outcome.reason, "AOM or IAM has a fault; try again later").format(action=action)
    if outcome.reason == "unauthorized":
        fix = hint
    what, _, own = outcome.detail.partition(". Fix: ")
    return Failure(what, own.rstrip(".") or fix)
