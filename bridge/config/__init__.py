"""The configuration file: all its sections as settings, loaded with every mistake at once."""

from bridge.config.settings import Loaded, Settings, Shown, load
from bridge.typed_yaml.problems import ConfigError, Problem, UnreadableError, read_file
from bridge.typed_yaml.reader import read_as

__all__ = [
    "ConfigError",
    "Loaded",
    "Problem",
    "Settings",
    "Shown",
    "UnreadableError",
    "load",
    "read_as",
    "read_file",
]
