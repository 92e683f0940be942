"""Every alert becomes an event by the rules from top to bottom, and nothing in it can block that."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_driver import FP, GROUP, NOW, TIMEOUTS, alert, metadata, rule, run, templates

from bridge.clock import DAY, HOUR, MINUTE
from bridge.emulator.validation import read_events
from bridge.event import MANDATORY, clear, report
from bridge.mapping import DEFAULTS_RULE, Fallback, Mapper, MappingSettings
from bridge.mapping.matcher import Matchers
from bridge.mapping.settings import DefaultsSettings, DropLabels
from bridge.mapping.severity import SeveritySettings
from bridge.mapping.template import Template

# Without rules


def test_the_defaults_make_an_event_of_any_alert():
    """Without rules the event is an alarm named as the alert, with all labels, its fingerprint and its source."""
    one = alert(
        {"alertname": "Disk", "severity": "critical", "job": "node", "instance": "web-1:9100", "zone": "a"},
        {"summary": "full", "runbook": "http://wiki"},
    )
    result = run(one, source="eu")
    event = result.mapped.event
    assert list(event.metadata.items()) == [
        ("event_name", "Disk"),
        ("event_severity", "Critical"),
        ("event_type", "alarm"),
        ("resource_provider", "Prometheus"),
        ("resource_type", "node"),
        ("resource_id", "web-1:9100"),
        ("alert_fingerprint", FP),
        ("alert_source", "eu"),
        ("alertname", "Disk"),
        ("instance", "web-1:9100"),
        ("job", "node"),
        ("severity", "critical"),
        ("zone", "a"),
    ]
    assert event.annotations == {"message": "full", "summary": "full", "runbook": "http://wiki"}
    assert event.timeout == 5 * DAY
    assert (result.mapped.target, result.mapped.rule) == ("default", DEFAULTS_RULE)
    assert (result.matched, result.fallbacks, result.left_out) == ((), (), 0)


def test_an_alert_may_be_named_by_alert_name():
    """Where alertname is missing, the event has the name of alert_name, as some senders write it."""
    assert metadata(alert({"alert_name": "Disk"}))["event_name"] == "Disk"
    assert metadata(alert({"alertname": "Node", "alert_name": "Disk"}))["event_name"] == "Node"


def test_an_alert_without_the_usual_labels_has_its_defaults():
    """Without alertname, job and instance the name is unnamed, the type alert and the id the fingerprint."""
    found = metadata(alert({"foo": "bar"}))
    assert [found[key] for key in MANDATORY] == ["unnamed", "Minor", "alarm", "Prometheus", "alert", FP]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("critical", "Critical"),
        ("CRITICAL", "Critical"),
        ("page", "Critical"),
        ("Error", "Major"),
        ("major", "Major"),
        ("warning", "Minor"),
        ("Warning", "Minor"),
        ("minor", "Minor"),
        ("info", "Info"),
        ("nOnE", "Info"),
        ("", "Minor"),
        ("critical!", "Minor"),
    ],
)
def test_the_shipped_severity_table(value, expected):
    """The severity label is translated without regard to case; what the table lacks is Minor."""
    assert metadata(alert({"alertname": "Disk", "severity": value}))["event_severity"] == expected


def test_the_severity_table_is_the_configurations():
    """Label, table and default can be set; the table replaces the shipped one, in any case of letters."""
    table = SeveritySettings(label="prio", map={"P1": "Critical", "stra\u00dfe": "Info"}, default="Major")
    found = [metadata(alert({"prio": value}), severity=table)["event_severity"] for value in ("p1", "STRASSE", "page")]
    assert found == ["Critical", "Info", "Major"]
    assert metadata(alert({"severity": "info"}), severity=table)["event_severity"] == "Major"


def test_labels_can_be_a_list():
    """With a list, only the labels in it go into the metadata."""
    found = metadata(alert({"alertname": "Disk", "a": "1", "b": "2"}), labels=("b", "nope"))
    assert list(found)[8:] == ["b"]
    assert list(metadata(alert(), labels=()))[8:] == []


def test_a_label_called_as_a_field_is_kept_beside_it():
    """A label never overwrites a field of the event: it becomes label_<name>."""
    found = metadata(alert({"alertname": "Disk", "event_name": "mine", "alert_source": "x"}))
    assert (found["event_name"], found["label_event_name"]) == ("Disk", "mine")
    assert (found["alert_source"], found["label_alert_source"]) == ("default", "x")


def test_the_message_is_the_first_of_message_description_summary():
    """AOM's console shows the annotation message, so it is filled from what Prometheus users write."""
    for texts, expected in [
        ({"message": "m", "description": "d", "summary": "s"}, "m"),
        ({"description": "d", "summary": "s"}, "d"),
        ({"summary": "s"}, "s"),
        ({"message": "", "summary": "s"}, "s"),
    ]:
        assert run(alert(annotations=texts)).mapped.event.annotations["message"] == expected
    assert run(alert()).mapped.event.annotations == {}


def test_empty_annotations_are_left_out():
    """An annotation without a text is none, whether it comes from the alert or from a rule."""
    made = rule("r", annotations={"b": "{{ labels.nope }}"})
    assert run(alert(annotations={"a": ""}), made).mapped.event.annotations == {}


def test_what_finds_no_place_is_counted():
    """Labels and annotations over AOM's limits are counted together."""
    one = alert({f"l{number:02d}": "v" for number in range(40)}, {f"a{number:02d}": "v" for number in range(35)})
    result = run(one)
    assert (len(result.mapped.event.metadata), len(result.mapped.event.annotations)) == (30, 30)
    assert result.left_out == 18 + 5


MANY = {f"label_{number:02d}": "v" for number in range(28)}


@pytest.mark.parametrize(
    ("kept", "more"),
    [
        ({"job"}, {}),  # the group's
        ({"x_matched"}, {"rules": (rule("r", 'x_matched!=""'),)}),
        ({"x_unmatched"}, {"rules": (rule("r", 'x_unmatched="no"', drop=True),)}),
        ({"x_set"}, {"rules": (rule("r", sets={"zone": "{{ labels.x_set | upper }}"}),)}),
        ({"x_noted"}, {"rules": (rule("r", annotations={"a": "{{ labels['x_noted'] }}"}),)}),
        ({"x_level"}, {"rules": (rule("r", severity=SeveritySettings(label="x_level")),)}),
        ({"x_table"}, {"severity": SeveritySettings(label="x_table")}),
        ({"x_console"}, {"annotations": templates({"a": "{{ labels.x_console or labels.job }}"})}),
        ({"x_default"}, {"defaults": DefaultsSettings(resource_id=Template.parse("{{ labels.x_default }}"))}),
        ({"x_var"}, {"vars": templates({"a": "{{ labels.x_var }}"})}),
        ({"alertname", "instance"}, {}),  # the shipped defaults look at these
    ],
)
def test_labels_that_matter_have_room_before_the_alphabet(kept, more):
    """Of too many labels, those of the group and those that rules, templates and tables look at are kept."""
    labels = {**MANY, **dict.fromkeys(kept, "v"), "z_last": "v"}
    rules = more.pop("rules", ())
    result = run(alert(labels), *rules, **more)
    assert kept <= set(result.mapped.event.metadata)
    assert "z_last" in result.names_left_out
    assert len(result.mapped.event.metadata) == 30


def test_what_was_left_out_is_named():
    """Labels and annotations without a place are named, those of the metadata first."""
    one = alert({**MANY, "job": "v"}, {f"note_{number:02d}": "v" for number in range(31)})
    result = run(one)
    assert result.names_left_out == (*(f"label_{number:02d}" for number in range(21, 28)), "annotations.note_30")
    assert result.left_out == 8


# Rules


def test_the_first_matching_rule_wins():
    """Rules are tried from top to bottom, and after a match no other one is."""
    rules = [
        rule("no", 'job="other"', sets={"resource_type": "no"}),
        rule("first", 'job="api"', sets={"resource_type": "first"}),
        rule("second", 'job="api"', sets={"resource_type": "second", "resource_id": "second"}),
    ]
    result = run(alert({"job": "api", "instance": "i"}), *rules)
    assert result.mapped.event.metadata["resource_type"] == "first"
    assert result.mapped.event.metadata["resource_id"] == "i"
    assert (result.mapped.rule, result.matched) == ("first", ("first",))


def test_all_matchers_of_a_rule_must_hold():
    """A rule with several matchers matches only if all of them do; one without any always does."""
    both = rule("both", 'a="1"', 'b!=""', sets={"resource_type": "both"})
    assert run(alert({"a": "1"}), both).mapped.rule == DEFAULTS_RULE
    assert run(alert({"a": "1", "b": "2"}), both).mapped.rule == "both"
    assert run(alert({"a": "1"}), both, rule("all")).mapped.rule == "all"


def test_after_continue_a_later_rule_overrides_field_by_field():
    """With continue the next match counts too: what it sets wins, what it leaves stays from the earlier one."""
    rules = [
        rule(
            "early",
            sets={"resource_type": "early", "resource_id": "early", "team": "early", "zone": "early"},
            annotations={"hint": "early", "note": "early"},
            target="night",
            timeout=HOUR,
            continues=True,
        ),
        rule("between", 'job="other"', sets={"resource_type": "between"}, continues=True),
        rule("late", sets={"resource_type": "late", "team": "late"}, annotations={"hint": "late"}),
        rule("never", sets={"resource_type": "never"}),
    ]
    result = run(alert(), *rules)
    event = result.mapped.event
    assert (event.metadata["resource_type"], event.metadata["resource_id"]) == ("late", "early")
    assert (event.metadata["team"], event.metadata["zone"]) == ("late", "early")
    assert event.annotations == {"hint": "late", "note": "early"}
    assert (result.mapped.target, event.timeout) == ("night", HOUR)
    assert (result.mapped.rule, result.matched) == ("late", ("early", "late"))


def test_continue_at_the_end_is_no_loss():
    """If nothing matches after a rule with continue, that rule alone counts."""
    result = run(alert(), rule("early", sets={"resource_type": "x"}, continues=True), rule("no", 'a="b"'))
    assert (result.mapped.event.metadata["resource_type"], result.mapped.rule) == ("x", "early")


def test_a_rule_can_drop():
    """A rule that drops gives no event and says which rule it was."""
    result = run(alert({"severity": "none"}), rule("noise", 'severity="none"', drop=True))
    assert (result.mapped.event, result.mapped.rule, result.matched) == (None, "noise", ("noise",))
    assert run(alert(), rule("noise", 'severity="none"', drop=True)).mapped.event is not None


def test_a_drop_after_continue_drops():
    """A rule that drops does so even where an earlier one has set something."""
    result = run(alert(), rule("early", sets={"a": "b"}, continues=True), rule("noise", drop=True))
    assert (result.mapped.event, result.matched) == (None, ("early", "noise"))


def test_a_rule_can_choose_the_target_and_the_timeout():
    """The timeout is the rule's, else the one of the target where the event goes."""
    assert run(alert()).mapped.event.timeout == 5 * DAY
    result = run(alert(), rule("night", target="night"))
    assert (result.mapped.target, result.mapped.event.timeout) == ("night", 2 * DAY)
    result = run(alert(), rule("night", target="night", timeout=10 * MINUTE))
    assert (result.mapped.target, result.mapped.event.timeout) == ("night", 10 * MINUTE)


def test_after_continue_the_last_target_and_timeout_count():
    """Of several matching rules with a target or a timeout, the last one's is taken, each for itself."""
    early = rule("early", target="default", timeout=HOUR, continues=True)
    result = run(alert(), early, rule("late", target="night", timeout=MINUTE))
    assert (result.mapped.target, result.mapped.event.timeout) == ("night", MINUTE)
    result = run(alert(), early, rule("late", target="night"))
    assert (result.mapped.target, result.mapped.event.timeout) == ("night", HOUR)


def test_a_rule_can_set_metadata_of_its_own():
    """What a rule sets besides the mandatory six stands between ours and the labels, and before them."""
    made = rule("r", sets={"team": "{{ labels.owner }}", "owner": "fixed", "none": ""})
    found = metadata(alert({"owner": "ops"}), made)
    assert list(found.items())[8:] == [("team", "ops"), ("owner", "fixed"), ("label_owner", "ops")]


def test_no_rule_can_take_an_alarms_identity():
    """Fingerprint and source, by which AOM's id is found again, are never those of a rule."""
    made = rule("r", sets={"alert_fingerprint": "same for all", "alert_source": ""})
    found = metadata(alert(), made, source="eu")
    assert (found["alert_fingerprint"], found["alert_source"]) == (FP, "eu")


def test_fields_of_a_rule_that_find_no_place_are_counted():
    """A rule that sets more than there is room for is seen by its count."""
    result = run(alert({}), rule("r", sets={f"f{number:02d}": "v" for number in range(30)}))
    assert len(result.mapped.event.metadata) == 30
    assert result.left_out == 8


@pytest.mark.parametrize(
    "text", ["Critical", "critical", " CRITICAL ", "{{ labels.level }}", "{{ labels.level | upper }}"]
)
def test_a_rule_can_set_the_severity(text):
    """A rule's severity goes before the table, and is read without regard to case."""
    result = run(alert({"severity": "info", "level": "critical"}), rule("r", sets={"event_severity": text}))
    assert (result.mapped.event.severity, result.fallbacks) == ("Critical", ())


def test_a_rule_can_set_the_type():
    """A rule may make an event of what is otherwise an alarm, and the other way round."""
    assert run(alert(), rule("r", sets={"event_type": "event"})).mapped.event.event_type == "event"
    defaults = DefaultsSettings(event_type="event")
    assert run(alert(), defaults=defaults).mapped.event.event_type == "event"
    assert run(alert(), rule("r", sets={"event_type": "Alarm"}), defaults=defaults).mapped.event.event_type == "alarm"


def test_the_annotations_of_rules_go_before_the_alerts_own():
    """The configured annotations come first, then the rules', then the alert's own by name; a filled one stays."""
    made = rule("r", annotations={"alarm_fix_suggestion_en_us": "{{ annotations.runbook }}", "runbook": "see wiki"})
    event = run(
        alert(annotations={"runbook": "http://wiki", "a": "1"}), made, annotations=templates({"m": "x"})
    ).mapped.event
    assert list(event.annotations.items()) == [
        ("m", "x"),
        ("alarm_fix_suggestion_en_us", "http://wiki"),
        ("runbook", "see wiki"),
        ("a", "1"),
    ]


def test_templates_see_the_whole_alert():
    """labels, annotations, alert, group and source are there, and times are RFC 3339 in UTC."""
    text = (
        "{{ source }} {{ labels.a }} {{ annotations.b }} {{ alert.status }} {{ alert.fingerprint }} "
        "{{ alert.starts_at }} {{ alert.ends_at }} {{ alert.generator_url }} {{ group.receiver }} "
        "{{ group.group_key }} {{ group.group_labels.job }} {{ group.external_url }}"
    )
    one = alert({"a": "1"}, {"b": "2"}, status="resolved", ends_at=0, generator_url="u")
    found = metadata(one, rule("r", sets={"all": text}), source="eu")["all"]
    times = "2026-11-23T08:20:43.123Z 1970-01-01T00:00:00.000Z"
    assert found == f"eu 1 2 resolved {FP} {times} u aom {{}}:{{}} api http://alertmanager.example:9093"
    assert metadata(alert(), rule("r", sets={"end": "<{{ alert.ends_at }}>"}))["end"] == "<>"


# Fallbacks

BREAKS = "{{ labels.alertname / 0 }}"


@pytest.mark.parametrize("field", ["event_name", "resource_provider", "resource_type", "resource_id"])
@pytest.mark.parametrize("text", [BREAKS, "{{ labels.nope }}", " \n", "{{ labels.nope | int / 0 }}"])
def test_a_field_that_breaks_or_is_empty_falls_back_to_the_default(field, text):
    """A rule's template that raises or gives nothing never blocks: the default of that one field takes its place."""
    one = alert({"alertname": "Disk", "job": "api", "instance": "i"})
    result = run(one, rule("r", sets={field: text, "extra": "kept"}))
    assert result.mapped.event.metadata == run(one, rule("r", sets={"extra": "kept"})).mapped.event.metadata
    assert {(fallback.rule, fallback.field) for fallback in result.fallbacks} == {("r", field)}
    assert all(fallback.problem for fallback in result.fallbacks)


@pytest.mark.parametrize(
    ("field", "last"),
    [("event_name", "unnamed"), ("resource_provider", "Prometheus"), ("resource_type", "alert"), ("resource_id", FP)],
)
@pytest.mark.parametrize("text", [BREAKS, "", "{{ labels.nope }}"])
def test_a_default_that_breaks_falls_back_to_a_constant(field, last, text):
    """Where the default itself gives nothing, a constant does, so none of the mandatory six is ever missing."""
    defaults = DefaultsSettings(**{field: Template.parse(text)})
    result = run(alert(), rule("r", sets={field: BREAKS}), defaults=defaults)
    assert result.mapped.event.metadata[field] == last
    assert {fallback.rule for fallback in result.fallbacks} == {"r", DEFAULTS_RULE}


def test_a_fallback_says_what_broke():
    """The error of a template stands in its fallback, with its kind."""
    (fallback,) = run(alert(), rule("r", sets={"extra": BREAKS})).fallbacks
    assert (fallback.rule, fallback.field) == ("r", "extra")
    assert fallback.problem.startswith("TypeError: unsupported operand")


def test_a_metadata_field_that_breaks_is_left_out():
    """Extra metadata has no default: it is left out, and listed."""
    result = run(alert(), rule("r", sets={"extra": BREAKS, "other": "x"}))
    assert list(result.mapped.event.metadata)[8:] == ["other", "alertname"]


def test_an_annotation_that_breaks_gives_way_to_the_alerts_own():
    """A broken annotation is listed, and the alert's own of that name, if any, takes its place."""
    made = rule("r", annotations={"summary": BREAKS, "other": BREAKS})
    result = run(alert(annotations={"summary": "full"}), made)
    assert result.mapped.event.annotations == {"message": "full", "summary": "full"}
    assert [(f.rule, f.field) for f in result.fallbacks] == [("r", "annotations.summary"), ("r", "annotations.other")]


@pytest.mark.parametrize(("field", "expected"), [("event_severity", "Info"), ("event_type", "alarm")])
@pytest.mark.parametrize("text", ["{{ labels.nope }}", "{{ labels.alertname }}", BREAKS])
def test_a_choice_that_is_none_falls_back_to_the_table(field, expected, text):
    """A severity or type that AOM does not know is listed, and the table's or default's is taken."""
    result = run(alert({"alertname": "Disk", "severity": "info"}), rule("r", sets={field: text}))
    assert result.mapped.event.metadata[field] == expected
    assert {(fallback.rule, fallback.field) for fallback in result.fallbacks} == {("r", field)}


@pytest.mark.parametrize("field", [*MANDATORY, "extra"])
@pytest.mark.parametrize("text", [BREAKS, "{{ labels.nope }}"])
def test_a_field_that_falls_back_is_listed_once(field, text):
    """Each field stands at most once for its rule, since each entry is counted."""
    found = run(alert(), rule("r", sets={field: text})).fallbacks
    assert len(found) == len({(fallback.rule, fallback.field) for fallback in found})


def test_a_hostile_choice_does_not_fill_the_log():
    """Of a long wrong value only the beginning stands in the fallback."""
    result = run(alert({"a": "x" * 10_000}), rule("r", sets={"event_severity": "{{ labels.a }}"}))
    assert result.fallbacks == (
        Fallback("r", "event_severity", f"{'x' * 80!r} is not one of Critical, Major, Minor, Info"),
    )


# What a rule may look at


def looking(**conditions):
    """Give a rule that looks at more than labels."""
    made = {key: (Matchers.parse(text),) for key, text in conditions.items()}
    return rule("r", sets={"found": "yes"}, **made)


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"match_annotations": 'summary=~"disk.*"'}, True),
        ({"match_annotations": 'summary="disk"'}, False),
        ({"match_annotations": 'runbook=""'}, True),
        ({"match_group": 'receiver="aom"'}, True),
        ({"match_group": 'receiver!="aom"'}, False),
        ({"match_group": 'job="api"'}, True),
        ({"match_group": 'alertname="Disk"'}, False),
        ({"match_group": 'receiver="aom"', "match_annotations": 'summary=""'}, False),
    ],
)
def test_rules_look_at_annotations_and_the_group_too(conditions, holds):
    """`match_annotations` looks at annotations, `match_group` at the group's labels and its receiver."""
    one = alert(annotations={"summary": "disk full"})
    assert ("found" in metadata(one, looking(**conditions))) == holds
    (explained,) = Mapper(MappingSettings(rules=(looking(**conditions),)), TIMEOUTS, "default").explain(one, GROUP)
    assert (explained[1] is None) == holds
    if not holds:
        assert explained[1].startswith(("annotation ", "group "))


# Severity and labels of a rule


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        (Template.parse("Major"), "Major"),
        (Template.parse("{{ labels.prio }}"), "Info"),
        (Template.parse("{{ labels.nothing }}"), "Critical"),
        (Template.parse("{{ labels.team }}"), "Critical"),
        (SeveritySettings(label="prio", map={"INFO": "Major"}, default="Minor"), "Major"),
        (SeveritySettings(label="team", map={"x": "Major"}, default="Minor"), "Minor"),
    ],
    ids=["constant", "template", "empty", "none of them", "table", "table's default"],
)
def test_a_rule_has_a_severity_by_table_or_template(severity, expected):
    """A rule's own table or template goes before the common table; where it gives nothing, the common one does."""
    one = alert({"alertname": "Disk", "severity": "critical", "prio": "info", "team": "shop"})
    assert metadata(one, rule("r", severity=severity))["event_severity"] == expected


def test_the_last_matching_rule_decides_about_severity():
    """With `continue`, a later rule's severity counts, whichever way it is written."""
    one = alert({"alertname": "Disk", "severity": "critical"})
    table = SeveritySettings(map={"critical": "Major"})
    first, second = rule("a", severity=table, continues=True), rule("b", sets={"event_severity": "Info"})
    assert metadata(one, first, second)["event_severity"] == "Info"
    first, second = rule("a", sets={"event_severity": "Info"}, continues=True), rule("b", severity=table)
    assert metadata(one, first, second)["event_severity"] == "Major"


ALL_LABELS = {"alertname", "job", "pod", "uid"}


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ("all", ALL_LABELS),
        ("none", set()),
        (("pod", "nowhere"), {"pod"}),
        (DropLabels(drop=("uid", "pod")), {"alertname", "job"}),
        (None, {"job"}),
    ],
)
def test_a_rule_says_which_labels_go_along(labels, kept):
    """All, none, a list, or all but a list; a rule that says nothing leaves it to the common setting."""
    one = alert(dict.fromkeys(ALL_LABELS, "x"))
    found = metadata(one, rule("r", labels=labels), labels=("job",))
    assert ALL_LABELS & set(found) == kept
    assert {"alert_fingerprint", "alert_source"} <= set(found)


# Annotations for AOM's console


def noted(annotations, /, **settings_):
    """Give the annotations of the event of an alert with these annotations."""
    return run(alert(annotations=annotations, **ALERT), **settings_).mapped.event.annotations


ALERT = {"generator_url": "http://prometheus.example/graph"}


def test_the_console_shows_what_cause_fix_and_links():
    """Description, cause and fix in both languages and the links come from the alert's annotations."""
    found = noted(
        {
            "description": "The disk is full.",
            "cause": "logs",
            "fix": "rotate them",
            "fix_zh": "\u6e05\u7406",
            "runbook_url": "https://wiki.example/disk",
            "dashboard_url": "https://grafana.example/d/1",
        }
    )
    assert found["message"] == "The disk is full."
    assert (found["alarm_probableCause_en_us"], found["alarm_probableCause_zh_cn"]) == ("logs", "logs")
    assert (found["alarm_fix_suggestion_en_us"], found["alarm_fix_suggestion_zh_cn"]) == ("rotate them", "\u6e05\u7406")
    assert found["generator_url"] == "http://prometheus.example/graph"
    assert (found["runbook_url"], found["dashboard_url"]) == (
        "https://wiki.example/disk",
        "https://grafana.example/d/1",
    )


def test_without_a_fix_the_runbook_is_the_suggestion():
    """An alert with a runbook alone suggests to read it; one with neither suggests nothing."""
    assert (
        noted({"runbook_url": "https://wiki.example/disk"})["alarm_fix_suggestion_en_us"] == "https://wiki.example/disk"
    )
    assert "alarm_fix_suggestion_en_us" not in noted({"summary": "x"})


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "see the wiki",
        "https://a b",
        "",
        "https://x\njavascript:",
    ],
)
@pytest.mark.parametrize("name", ["runbook_url", "dashboard_url"])
def test_only_web_addresses_become_links(name, text):
    """What is no http or https address is not passed on under a name that people click on."""
    assert name not in noted({name: text})


def test_the_users_annotations_go_before_the_usual_ones():
    """The file's own template replaces one, adds one, or leaves one out; the others stay."""
    made = templates(
        {"alarm_probableCause_en_us": "{{ labels.alertname }}", "team": "{{ labels.team }}", "message": ""}
    )
    found = noted({"cause": "logs", "summary": "full"}, annotations=made)
    assert (found["alarm_probableCause_en_us"], found["alarm_probableCause_zh_cn"]) == ("Disk", "logs")
    assert "message" not in found
    assert found["summary"] == "full"


# Explaining


def test_every_tried_rule_is_explained():
    """Each rule is named with its first matcher that does not hold, up to the last one that counts."""
    rules = (
        rule("a", 'x="1"', 'y="2"'),
        rule("b", continues=True),
        rule("c", 'x="1"', 'z=""'),
        rule("d"),
    )
    mapper = Mapper(MappingSettings(rules=rules), TIMEOUTS, "default")
    assert mapper.explain(alert({"x": "1"}), GROUP) == [("a", 'y="2"'), ("b", None), ("c", None)]
    assert mapper.explain(alert({"z": "1"}), GROUP) == [("a", 'x="1"'), ("b", None), ("c", 'x="1"'), ("d", None)]
    assert Mapper(MappingSettings(), TIMEOUTS, "default").explain(alert({}), GROUP) == []


# Any alert

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
long_text = st.builds(
    lambda piece, times: piece * times, st.sampled_from(["x", "\U0001f525", "\x00", "\n"]), st.integers(0, 5_000)
)
pairs = st.dictionaries(any_text.filter(bool) | st.sampled_from(MANDATORY), any_text | long_text, max_size=8)


moments = st.integers(-(10**14), 10**14)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(
    pairs,
    pairs,
    st.sampled_from(["{{ labels.a }}", BREAKS, "", "{{ annotations.b | upper }}", "{{ labels | length }}"]),
    st.tuples(moments, moments, moments),
    st.none() | st.integers(MINUTE, 15 * DAY),
)
def test_whatever_the_alert_and_the_rules_aom_takes_the_event(labels, annotations, text, times, timeout):
    """Whatever an alert holds, whatever rules make of it, whenever it was: AOM at its strictest takes it."""
    sets = dict.fromkeys([*MANDATORY, "extra"], text)
    made = rule("r", sets=sets, annotations={"extra": text}, timeout=timeout)
    event = run(alert(labels, annotations), made).mapped.event
    assert (event.metadata["alert_fingerprint"], event.metadata["alert_source"]) == (FP, "default")
    assert event.severity in ("Critical", "Major", "Minor", "Info")
    starts_at, ends_at, first_start = times
    entries = {
        False: report(event, alarm_id="a", starts_at=starts_at, now=NOW, first_start=first_start),
        True: clear(event, aom_id="a", starts_at=starts_at, ends_at=ends_at, now=NOW),
    }
    for clearing, entry in entries.items():
        taken, violations = read_events(b'{"events":[%b]}' % msgspec.json.encode(entry), clearing=clearing, now=NOW)
        assert (len(taken), violations) == (1, [])
        assert entry.metadata == event.metadata


# The settings' own checks


@pytest.mark.parametrize(
    "made",
    [
        rule("r"),
        rule("r", drop=True),
        rule("r", sets={"event_severity": " critical ", "event_type": "EVENT"}),
        rule("r", sets={"event_severity": "Info", "event_type": "event", "any": ""}, timeout=MINUTE, continues=True),
        rule("r", sets={"event_severity": "{{ labels.level }}", "event_type": "${TYPE}"}, timeout=15 * DAY),
    ],
)
def test_a_good_rule_has_no_problem(made):
    """Rules at the limits, and choices that only a template or variable decides, are no mistake."""
    assert made.problems() == []


@pytest.mark.parametrize(
    ("made", "key"),
    [
        (rule("defaults"), "name"),
        (rule("r", timeout=MINUTE - 1), "timeout"),
        (rule("r", timeout=15 * DAY + 1), "timeout"),
        (rule("r", timeout=0), "timeout"),
        (rule("r", drop=True, continues=True), "drop"),
        (rule("r", drop=True, target="night"), "drop"),
        (rule("r", drop=True, timeout=HOUR), "drop"),
        (rule("r", drop=True, sets={"a": "b"}), "drop"),
        (rule("r", drop=True, annotations={"a": "b"}), "drop"),
        (rule("r", sets={"event_severity": "critical!"}), "set.event_severity"),
        (rule("r", sets={"event_type": "alert"}), "set.event_type"),
    ],
)
def test_a_bad_rule_says_which_key(made, key):
    """Each mistake of a rule names its key and the fix."""
    ((where, text),) = made.problems()
    assert where == key
    assert "Fix: " in text
