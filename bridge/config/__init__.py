"""The configuration file: all its sections as settings, loaded with every mistake at once."""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.config.settings import Loaded, Settings, Shown, load
    from bridge.typed_yaml.problems import ConfigError, Problem, UnreadableError, read_file
    from bridge.typed_yaml.reader import read_as
else:
    __getattr__ = lazy_face(__name__, __file__)

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
