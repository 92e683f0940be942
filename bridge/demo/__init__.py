"""The demo: six acts that show what the bridge is for; their alerts and their configuration are package data."""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.demo.demo import Demo
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = ["Demo"]
