"""AOM's alarm API and IAM's token API on loopback, for the demo, the tests and users without an account.

In: HTTP requests as AOM's and IAM's clients send them, and orders under `/emulator/`. Out: the documented
answers, faults on order, a state to assert on and a page to look at. It imports nothing
else of `bridge`, so that no mistake of the bridge can hide in both, and it keeps everything in memory only.
"""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.emulator.options import CHOICES, STATISTIC_CHOICES, Options
    from bridge.emulator.orders import EXAMPLES, KINDS, OPERATIONS
    from bridge.emulator.server import Emulator
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = ["CHOICES", "EXAMPLES", "KINDS", "OPERATIONS", "STATISTIC_CHOICES", "Emulator", "Options"]
