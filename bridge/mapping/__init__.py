"""Mapping: `Alert` to `Event` by rules; pure, and the only package that knows both vocabularies."""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.mapping.compiled_rules import Fallback
    from bridge.mapping.mapper import Mapper, MapResult
    from bridge.mapping.settings import DEFAULTS_RULE, MappingSettings
    from bridge.mapping.surroundings import Surroundings, TargetTimes
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = ["DEFAULTS_RULE", "Fallback", "MapResult", "Mapper", "MappingSettings", "Surroundings", "TargetTimes"]
