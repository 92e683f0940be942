"""Mapping: `Alert` to `Event` by rules; pure, and the only room that knows both vocabularies."""

from bridge.mapping.plan import Fallback
from bridge.mapping.rules import Mapper, MapResult
from bridge.mapping.settings import DEFAULTS_RULE, MappingSettings

__all__ = ["DEFAULTS_RULE", "Fallback", "MapResult", "Mapper", "MappingSettings"]
