"""The answer of the statistic: how many of the rows that match there are, by severity and by time.

In: a `Query` and the rows that match it. Out: the answer, in the form of its JSON. It is pure: which rows match is the
matter of `query`, so that the statistic and the list agree. Rules:

- `step`, `timestamps`, `series` of `event_severity` and `values`, `summary` by severity [sdk];
- `timestamps` are multiples of the step, the first one at or before the start, the last one at or before the end, so
  that five minutes have six; a severity may be absent [otc, the example];
- [otc] and older pages have no `summary`.

A row counts once, where it starts, since `starts_at` decides whether it is in the range. A severity without a row has
neither a series nor an entry in the summary: the stricter choice for a client.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bridge.emulator.query import Query
from bridge.emulator.rows import Row
from bridge.emulator.validation import SEVERITIES


def statistic(query: Query, rows: Sequence[Row], *, with_summary: bool) -> dict[str, object]:
    """Count the rows that match the query."""
    totals = Counter(row.metadata["event_severity"] for row in rows)
    timestamps = range(_floor(query.start, query.step), query.end + 1, query.step)
    cells = Counter((row.metadata["event_severity"], _floor(row.starts_at, query.step)) for row in rows)
    summary = {severity: totals[severity] for severity in SEVERITIES if totals[severity]}
    series = [
        {"event_severity": severity, "values": [cells[severity, timestamp] for timestamp in timestamps]}
        for severity in summary
    ]
    counted = {"step": query.step, "timestamps": list(timestamps), "series": series}
    return {**counted, "summary": summary} if with_summary else counted


def _floor(at: int, step: int) -> int:
    return at - at % step
