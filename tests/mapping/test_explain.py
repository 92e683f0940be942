"""What an alert becomes is told as values: rules, origins, fallbacks, the report; and what other rules change."""

import msgspec
from mapping_driver import FP, GROUP, NOW, TIMEOUTS, alert, rule, templates

from bridge.event import alarm_id
from bridge.mapping import Mapper, MappingSettings
from bridge.mapping.explain import Change, Explanation, GroupedAlert, TriedRule, differences, explain
from bridge.mapping.matcher import Matcher
from bridge.mapping.switches import Switch, Switches

WATCHDOG = Switches([Switch("alive", "", (Matcher("alertname", "=", "Watchdog"),), (), 1, None)])


def explained(one, *rules, switches=None, **settings):
    """Explain one alert by these rules."""
    settings = MappingSettings(rules=rules, **settings)
    return explain(settings, Mapper(settings, TIMEOUTS, "default", switches), GroupedAlert("eu", one, GROUP), NOW)


def test_each_rule_says_whether_it_holds():
    """The rules come in their order, each with its first matcher that does not hold, up to the one that ended it."""
    rules = rule("pods", 'pod!=""'), rule("disks", "alertname=Disk", sets={"zone": "a"}), rule("never")
    told = explained(alert(), *rules)
    assert told.rules == (TriedRule("pods", 'pod!=""'), TriedRule("disks", None))
    assert (told.rule, told.target, told.is_dropped, told.timeout) == ("disks", "default", False, TIMEOUTS["default"])


def test_each_field_has_its_value_and_its_origin():
    """Metadata and annotations are those of the report, in its order, each with the rule or default that gave it."""
    one = alert({"alertname": "Disk", "zone": "b"}, {"summary": "full"})
    told = explained(
        one,
        rule("zones", sets={"zone": "{{ labels.zone | upper }}", "resource_type": "{{ labels.nope }}"}),
        annotations=templates({"cause": "{{ vars.who }}"}),
        vars=templates({"who": "{{ labels.zone }}!"}),
    )
    origins = {each.name: each.origin for each in told.fields}
    assert {each.name: each.value for each in told.fields} == told.report.metadata
    assert {each.name: each.value for each in told.annotations} == told.report.annotations
    assert (origins["zone"], origins["label_zone"]) == ("zones: {{ labels.zone | upper }}", "label zone")
    assert origins["resource_type"] == "a fallback: zones gave nothing (the value is empty)"
    assert [each.field for each in told.fallbacks] == ["resource_type"]
    assert {each.name: each.origin for each in told.annotations}["cause"] == "mapping.annotations: {{ vars.who }}"
    assert told.variables == {"who": "'b!'"}
    assert told.report.id == alarm_id(("eu", FP), one.starts_at)


def test_a_dropped_alert_has_no_event():
    """A dropped alert names its rule, and has neither fields nor a report."""
    told = explained(alert(), rule("noise", drop=True))
    assert (told.is_dropped, told.rule) == (True, "noise")
    assert (told.fields, told.annotations, told.timeout, told.report) == ((), (), None, None)


def test_a_sign_of_a_heartbeat_is_no_alarm():
    """A sign names its heartbeat; no rule is tried."""
    told = explained(alert({"alertname": "Watchdog"}), rule("any"), switches=WATCHDOG)
    assert (told.heartbeat, told.alertname, told.rules, told.report) == ("alive", "Watchdog", (), None)


def test_what_is_left_out_for_aoms_limits_is_named():
    """Labels that found no place among AOM's 30 keys are listed."""
    labels = {"alertname": "Disk", **{f"label_{number:02}": "v" for number in range(28)}}
    assert len(explained(alert(labels)).names_left_out) == len(labels) - 22


def test_an_explanation_is_the_same_after_json():
    """It is sent from one process to another: decoded, it equals what was encoded."""
    for told in (explained(alert(), rule("a", sets={"zone": "ü\x00"})), explained(alert(), rule("a", drop=True))):
        assert msgspec.json.decode(msgspec.json.encode(told), type=Explanation) == told


def test_differences_are_the_values_that_change():
    """Only what differs is told: new, gone or another value; nothing if the alert becomes the same."""
    old, new, dropping, watching = (
        Mapper(MappingSettings(rules=rules), TIMEOUTS, "default", switches)
        for rules, switches in (
            ((rule("a", sets={"zone": "1"}),), None),
            ((rule("a", sets={"zone": "2", "rack": "3"}, target="night"),), None),
            ((rule("a", drop=True),), None),
            ((), Switches([Switch("all", "", (), (), 1, None)])),
        )
    )
    one = GroupedAlert("eu", alert(), GROUP)
    assert differences(old, old, one) == ()
    assert set(differences(old, new, one)) == {
        Change("target", "default", "night"),
        Change("timeout", str(TIMEOUTS["default"]), str(TIMEOUTS["night"])),
        Change("zone", "1", "2"),
        Change("rack", None, "3"),
    }
    assert Change("dropped", None, "yes") in differences(old, dropping, one)
    assert Change("heartbeat", None, "all") in differences(old, watching, one)
