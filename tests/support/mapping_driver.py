"""Mapping one alert by rules that a test writes in a few words."""

from bridge.clock import DAY
from bridge.event import MANDATORY
from bridge.mapping import Mapper, MappingSettings
from bridge.mapping.matcher import Matchers
from bridge.mapping.settings import RuleSettings
from bridge.mapping.template import Template
from bridge.notification import Alert, Group

NOW = 1_800_000_000_000
TIMEOUTS = {"default": 5 * DAY, "night": 2 * DAY}
GROUP = Group(
    receiver="aom",
    group_key="{}:{}",
    group_labels={"job": "api"},
    common_labels={},
    common_annotations={},
    external_url="http://alertmanager.example:9093",
)
FP = "00000000000000ff"


def alert(labels=None, annotations=None, **more):
    """Give one alert."""
    fields = {"status": "firing", "starts_at": 1_795_422_043_123, "ends_at": None, "generator_url": "", **more}
    labels = {"alertname": "Disk"} if labels is None else labels
    return Alert(fingerprint=FP, labels=labels, annotations=annotations or {}, **fields)


def templates(texts):
    """Read the templates of a map."""
    return {key: Template.parse(text) for key, text in texts.items()}


def rule(name, *match, sets=None, annotations=None, **more):
    """Give one rule."""
    matchers = tuple(Matchers.parse(text) for text in match)
    return RuleSettings(
        name=name, match=matchers, set=templates(sets or {}), annotations=templates(annotations or {}), **more
    )


def run(one, *rules, source="default", **settings_):
    """Map one alert; the result must be one that AOM takes whenever there is an event."""
    result = Mapper(MappingSettings(rules=rules, **settings_), TIMEOUTS, "default").map(source, one, GROUP)
    if result.mapped.event:
        assert list(result.mapped.event.metadata)[:6] == list(MANDATORY)
    return result


def metadata(one, *rules, **settings_):
    """Give the metadata of one alert's event."""
    return run(one, *rules, **settings_).mapped.event.metadata
