"""The errors that rooms raise towards each other; the floor of the house.

Every message is written for the person who must act on it: what is wrong, where, and the fix.
"""

from __future__ import annotations


class BridgeError(Exception):
    """Base of all errors that are meant to be shown as one sentence, without a traceback."""


class PayloadError(BridgeError):
    """A request body is not an Alertmanager v4 payload; the text says what and where."""


class LedgerUnavailableError(BridgeError):
    """The ledger cannot commit now; nothing of the request was kept, and sending it again may succeed."""


class LedgerFullError(LedgerUnavailableError):
    """The ledger holds ``store.max_open`` open alarms, and the notification would have added one."""


class LedgerStartError(BridgeError):
    """The ledger cannot be opened: wrong URL, foreign file, or a second process on the same file."""


class UnknownAlarmError(BridgeError):
    """What was named is no alarm, or more than one; the text says which there are."""
