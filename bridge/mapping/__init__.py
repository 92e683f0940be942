"""Mapping: `Alert` to `Event` by rules; pure, and the only package that knows both vocabularies."""

from bridge.mapping.compiled_rules import Fallback
from bridge.mapping.mapper import Mapper, MapResult
from bridge.mapping.settings import DEFAULTS_RULE, MappingSettings
from bridge.mapping.surroundings import Surroundings, TargetTimes

__all__ = ["DEFAULTS_RULE", "Fallback", "MapResult", "Mapper", "MappingSettings", "Surroundings", "TargetTimes"]
