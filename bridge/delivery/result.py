"""The result of delivering one claimed alarm, shared by sender, settler and dispatcher; pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.aom import Outcome
from bridge.clock import Millis
from bridge.ledger import Claim

ResultKind = Literal["accepted", "confirm", "refused", "later", "paused", "blind", "unseen", "not_listed", "gone"]


class DeliveryResult(msgspec.Struct, frozen=True):
    """What became of one alarm.

    ``accepted``; ``confirm``: a clear was accepted or refused, yet a report in doubt may still come after it, or it was
    for a stale entry of AOM's list; ``refused`` for good; ``later``: nothing is decided; ``paused``: the target refuses
    everything; ``blind``: AOM's lists show nothing of what it has accepted; ``unseen``: they show other alarms, but not
    this one that AOM has accepted; ``not_listed``: AOM's list does not show the alarm yet, or it refused the id that it
    showed; ``gone``: AOM does not hold it any more.

    ``sent_start``: the start that a report carried. ``named``: the ids under which a clear named it to AOM.
    ``doubt_at``: since when it is in doubt, after this clear, whether AOM will hold it all the same; None: it is not.
    """

    claim: Claim
    kind: ResultKind
    outcome: Outcome
    sent_start: Millis | None = None
    named: tuple[str, ...] = ()
    doubt_at: Millis | None = None
