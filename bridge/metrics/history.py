"""The last hour of a few figures, for the plots of the status page.

In: the metrics, sampled every 15 seconds, and the number of alarms that wait. Out: rates and quantiles of the minute
before each sample. It belongs to this process and starts empty; Prometheus keeps what must be kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import msgspec
from prometheus_client import Counter, Histogram

from bridge.metrics.metrics import Metrics

_EACH_SECONDS = 15.0
_WINDOW = 4
"""Samples of one minute: a rate is the difference between two samples that are so far apart."""

_MAX_SAMPLES = 3600 // int(_EACH_SECONDS) + 1


class Point(msgspec.Struct, frozen=True):
    """The minute that ended at a time.

    ``at``: epoch milliseconds. ``webhooks`` and ``accepted``: webhooks answered, and alarms that AOM accepted, reports
    and clears, in that minute. ``waiting``: alarms that wait at its end. ``delay_p50`` and ``delay_p99``: seconds from
    the receipt of an alert to AOM's acceptance, as `histogram_quantile` gives them; None: AOM accepted nothing.
    """

    at: int
    webhooks: float
    accepted: float
    waiting: int
    delay_p50: float | None
    delay_p99: float | None


class _Sample(NamedTuple):
    at: int
    webhooks: float
    waiting: int
    buckets: Mapping[float, float]

    @property
    def accepted(self) -> float:
        return self.buckets.get(float("inf"), 0.0)


class History:
    """The samples of the last hour.

    Args:
        metrics: what is sampled.
        waiting: returns how many alarms wait.
        clock: the time.
    """

    def __init__(self, metrics: Metrics, waiting: Callable[[], int], clock: Callable[[], int]) -> None:
        self._metrics = metrics
        self._waiting = waiting
        self._clock = clock
        self._samples: deque[_Sample] = deque(maxlen=_MAX_SAMPLES)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to sample."""
        self._task = asyncio.create_task(self._run(), name="history")

    async def stop(self) -> None:
        """End to sample."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def sample(self) -> None:
        """Take one sample."""
        metrics = self._metrics
        self._samples.append(
            _Sample(self._clock(), _total(metrics.webhook_requests), self._waiting(), _buckets(metrics.delivery))
        )

    def points(self) -> list[Point]:
        """Return a point for each sample of the last hour that has one a minute before it."""
        samples = list(self._samples)
        return [_point(before, after) for before, after in zip(samples, samples[_WINDOW:], strict=False)]

    async def _run(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(_EACH_SECONDS)


def _point(before: _Sample, after: _Sample) -> Point:
    buckets = {bound: count - before.buckets.get(bound, 0.0) for bound, count in after.buckets.items()}
    return Point(
        at=after.at,
        webhooks=after.webhooks - before.webhooks,
        accepted=after.accepted - before.accepted,
        waiting=after.waiting,
        delay_p50=quantile(0.5, buckets),
        delay_p99=quantile(0.99, buckets),
    )


def quantile(part: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile of a histogram as Prometheus estimates it: linear within the bucket, None if it is empty.

    Args:
        part: between 0 and 1.
        buckets: the cumulated count by upper bound; the last bound is infinite.
    """
    bounds = sorted(buckets)
    wanted = part * (buckets[bounds[-1]] if bounds else 0.0)
    if not wanted:
        return None
    for low, high in pairwise([0.0, *bounds]):
        below = buckets.get(low, 0.0)
        if buckets[high] >= wanted:
            return low if high == float("inf") else low + (high - low) * (wanted - below) / (buckets[high] - below)
    return bounds[-2] if len(bounds) > 1 else None


def _samples_of(metric: Counter | Histogram, suffix: str) -> Iterator[tuple[Mapping[str, str], float]]:
    for family in metric.collect():
        for sample in family.samples:
            if sample.name.endswith(suffix):
                yield sample.labels, sample.value


def _total(counter: Counter) -> float:
    return sum(value for _, value in _samples_of(counter, "_total"))


def _buckets(histogram: Histogram) -> dict[float, float]:
    """Return the cumulated count by upper bound, of all label sets together."""
    sums: dict[float, float] = {}
    for labels, value in _samples_of(histogram, "_bucket"):
        bound = float(labels["le"])
        sums[bound] = sums.get(bound, 0.0) + value
    return sums
