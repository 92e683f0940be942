"""The words that the labels of metrics take, collected from the packages that define them.

In: the closed sets of each package. Out: one value for `Metrics`, which may import none of them.
"""

from bridge.aom import REASONS as OUTCOMES
from bridge.event import SEVERITIES
from bridge.ledger import ACTIONS, API_ENDINGS, API_OPENINGS, EFFECTS, STATES
from bridge.metrics import LabelSets
from bridge.receiving.webhook import CODES
from bridge.reconcile import CHANGES, HEARTBEAT_STATES, KINDS, NOTICE_KINDS, OUTCOMES_OF_ROUNDS
from bridge.reconcile.audit.target_checks import CHECKS
from bridge.reconcile.audit.telling import AUDIT_OUTCOMES, COUNTED_KINDS, SHOWN_KINDS
from bridge.web.guard import REASONS as REFUSALS

LABEL_SETS = LabelSets(
    codes=CODES,
    effects=EFFECTS,
    states=tuple(STATES),
    actions=ACTIONS,
    severities=SEVERITIES,
    outcomes=OUTCOMES,
    rejections=("refused", "too_large"),
    refusals=REFUSALS,
    round_outcomes=OUTCOMES_OF_ROUNDS,
    differences=KINDS,
    reconciliations=(*API_ENDINGS, *API_OPENINGS),
    audit_differences=SHOWN_KINDS,
    audit_changes=COUNTED_KINDS,
    audit_outcomes=AUDIT_OUTCOMES,
    target_checks=CHECKS,
    notices=NOTICE_KINDS,
    braked=CHANGES,
    heartbeat_states=HEARTBEAT_STATES,
)
