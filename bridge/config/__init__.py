"""The configuration file: all its sections as settings, loaded with every mistake at once."""

from bridge.config.settings import (
    ConfigError,
    Loaded,
    Problem,
    Settings,
    UnreadableError,
    load,
    read_as,
    read_file,
)

__all__ = [
    "ConfigError",
    "Loaded",
    "Problem",
    "Settings",
    "UnreadableError",
    "load",
    "read_as",
    "read_file",
]
