"""Mapping: `Alert` to `Event` by rules; pure, and the only room that knows both vocabularies."""

from bridge.mapping.rules import Fallback, Mapper, MapResult
from bridge.mapping.settings import DEFAULTS_RULE, MappingSettings, timeout_problems

__all__ = ["DEFAULTS_RULE", "Fallback", "MapResult", "Mapper", "MappingSettings", "timeout_problems"]
