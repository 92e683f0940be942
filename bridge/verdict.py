"""What became of one claimed alarm: the word that sender, settler and dispatcher share; pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.aom import Outcome
from bridge.ledger import Claim

Kind = Literal["accepted", "confirm", "refused", "later", "paused", "blind", "not_listed", "gone"]


class Verdict(msgspec.Struct, frozen=True):
    """What became of one alarm.

    ``accepted``; ``confirm``: a clear was accepted, yet what it cleared may have been a stale entry of AOM's list;
    ``refused`` for good; ``later``: nothing is decided; ``paused``: the target refuses everything;
    ``blind``: AOM's lists show nothing of what it has accepted; ``not_listed``: AOM's list does not show the alarm yet,
    or it refused the id that it showed; ``gone``: AOM does not hold it any more.
    """

    claim: Claim
    kind: Kind
    outcome: Outcome
