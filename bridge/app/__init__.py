"""Builds the bridge from its parts, starts and stops it, and carries out reloads."""

from bridge.app.app import App

__all__ = ["App"]
