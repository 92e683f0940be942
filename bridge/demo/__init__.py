"""The demo, and the captured webhooks that it replays, as package data."""

from bridge.demo.demo import Demo

__all__ = ["Demo"]
