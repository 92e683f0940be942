"""The fixtures that tests of the whole bridge share."""

from heartbeats import watched, watched_twice
from in_step import held, in_step
from in_step_replicas import pair
from many_alerts import aom

__all__ = ["aom", "held", "in_step", "pair", "watched", "watched_twice"]
