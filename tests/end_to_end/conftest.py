"""The fixtures that tests of the whole bridge share."""

from many_alerts import aom

__all__ = ["aom"]
