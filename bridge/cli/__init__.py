"""The command line: one module for each command, and `main`, which runs the one that was named."""

from bridge.cli.main import main

__all__ = ["main"]
