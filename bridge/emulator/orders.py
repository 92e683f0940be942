"""The words of the orders for faults: the kinds, what each does, and what they can be armed for.

In: nothing. Out: names with their explanations, for `faults`, which carries the orders out, and for the help of the
command, which must not wait for a server.
"""

from __future__ import annotations

from typing import Final

KINDS: Final = {
    "status": "answer with this HTTP status; with headers, error_code, error_msg if wanted",
    "latency_ms": "process and answer so much later, or when the faults are removed, though the client may have closed",
    "outage": "close the connection; with after: process the request first",
    "reset": "reset the connection; with after: process the request first",
    "hang": "answer only when the faults are removed",
    "half": "break off in the middle of the answer; with after: process the request first",
    "expire_tokens": "end every token from IAM, once and at once",
    "poison": "refuse every push of which an event holds this text",
    "repeat_marker": "name as a list's next marker the one that was asked for",
    "listed_ids": "list ids as null, or 300 characters long; with holding: those of entries that hold this text",
}
"""Each kind of fault, and what it does."""

EXAMPLES: Final = {
    "status": '{"status": 503, "on": "report", "count": 2}',
    "latency_ms": '{"latency_ms": 5000, "on": "list"}',
    "outage": '{"outage": true}',
    "reset": '{"reset": true, "on": "report", "after": true, "count": 1}',
    "hang": '{"hang": true, "on": "token"}',
    "half": '{"half": true, "on": "clear", "count": 1}',
    "expire_tokens": '{"expire_tokens": true}',
    "poison": '{"poison": "DiskFull"}',
    "repeat_marker": '{"repeat_marker": true}',
    "listed_ids": '{"listed_ids": "null", "holding": "DiskFull"}',
}
"""An order of each kind, as JSON."""

OPERATIONS: Final = ("any", "token", "report", "clear", "list", "statistic")
"""What a fault may be armed for; without a word on it, for any."""
