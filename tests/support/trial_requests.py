"""Trials of rules: the configuration that they run beside, and requests in a few words."""

import json

from webhooks import payload

from bridge.clock import DAY, HOUR
from bridge.mapping import Surroundings, TargetTimes
from bridge.mapping.matcher import Matcher
from bridge.mapping.playground.pasted import read_pasted
from bridge.mapping.playground.trial import RunningRules, TrialRequest
from bridge.mapping.switches import Switch

TIMES = TargetTimes(5 * DAY, 12 * HOUR)
WATCHDOG = Switch("alive", "", (Matcher("alertname", "=", "Watchdog"),), (), HOUR, None)


def running(mapping="mapping: {}\n", variables=None, targets=("default",), **more):
    """Give rules in use, beside these targets, two sources and one heartbeat."""
    surroundings = Surroundings(dict.fromkeys(targets, TIMES), "default", ("eu", "us"), (WATCHDOG,), **more)
    return RunningRules(surroundings, mapping, variables or {})


def pasted(*alerts):
    """Give alerts as the text of a webhook."""
    return json.dumps(payload(*alerts))


def request(mapping=None, *alerts, kept=(), **more):
    """Give a request that tries rules on these alerts, and compares them for those that are kept."""
    in_ledger = read_pasted(pasted(*kept), "eu").alerts
    return TrialRequest(pasted(*alerts) if alerts else "", mapping, kept=in_ledger, **more)
