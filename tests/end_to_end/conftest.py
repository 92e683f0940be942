"""The fixtures that tests of the whole bridge share."""

from in_step import held, in_step
from in_step_replicas import pair
from many_alerts import aom

__all__ = ["aom", "held", "in_step", "pair"]
