"""The metrics of the whole bridge, and the words that their labels take; it imports no other package of the bridge."""

from bridge.metrics.history import History, Point
from bridge.metrics.label_sets import LabelSets
from bridge.metrics.metrics import Metrics

__all__ = ["History", "LabelSets", "Metrics", "Point"]
