"""Edited rules are tried: the loader's own messages with the lines of the text, what alerts become, what changes."""

import pytest
from config_reading import TARGETS, problems
from mapping_driver import NOW
from trial_requests import pasted, request, running
from webhooks import alert, resolved

from bridge.clock import format_rfc3339
from bridge.mapping.playground.trial import MAX_LISTED, TrialProblem, TrialRequest, tried

PODS = """rules:
  - name: pods
    match: ['pod!=""']
    set: {resource_type: pod}
"""
BELOW_KEY = "mapping:\n" + "".join(f"  {line}\n" for line in PODS.splitlines())


def result(*arguments, use=None, **more):
    """Give the result of a trial."""
    return tried(request(*arguments, **more), running() if use is None else use, NOW)


@pytest.mark.parametrize("text", [PODS, BELOW_KEY])
def test_a_section_is_read_with_and_without_its_key(text):
    """The text of the section may begin with `mapping:` or with the section's own keys."""
    told = result(text, alert("A", pod="p"), alert("B"))
    assert (told.problems, told.warnings, told.webhook_error, told.error) == ((), (), None, None)
    assert [(each.alertname, each.rule) for each in told.explanations] == [("A", "pods"), ("B", "defaults")]
    assert (told.alerts, told.compared, told.changed) == (2, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n  - name: a\n    mach: [a=b]\n",
        "rules:\n  - {name: a, match: ['a=~\"(\"']}\n  - {name: a, match: [x=y], target: nowhere}\n",
        "vars:\n  a: '{{ labels.x | nope }}'\n  b: '{{ vars.c }}'\n",
        "rules: {name: a}\n",
        "rules: &a []\n",
    ],
)
def test_mistakes_are_those_of_the_loader_with_the_lines_of_the_text(text):
    """Whatever is wrong is said as the loader of the file says it, at the line where it is in the edited text."""
    section = "mapping:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    by_loader = problems(TARGETS + section)
    below_key, alone = result(section, alert()), result(text, alert())
    assert [line_of(each, moved=1) for each in below_key.problems] == by_loader
    assert [(p.line - 1, p.column - 2, p.text, p.fix) for p in below_key.problems] == [
        (p.line, p.column, p.text, p.fix) for p in alone.problems
    ]
    assert alone.explanations == below_key.explanations == ()


def line_of(problem, *, moved):
    """Give a message as the loader prints it for a file in which the text begins some lines later."""
    path = f"{problem.path}: " if problem.path else ""
    return f"test.yaml:{problem.line + moved}:{problem.column}: {path}{problem.text} Fix: {problem.fix}"


@pytest.mark.parametrize(
    ("text", "line"),
    [("rules: [\n", 2), ("\n\nrules:\n\t- name: a\n", 4), ("7\n", 1), ("a: b: c\n", 1), ("x\n---\ny\n", 2)],
)
def test_what_is_no_yaml_is_told_with_its_line(text, line):
    """A text that cannot be parsed, or is no section, is one message with the line, and nothing is tried."""
    told = result(text, alert())
    assert ([p.line for p in told.problems], told.explanations) == ([line], ())


def test_a_mistake_names_its_line_column_and_fix():
    """A message has its parts, so that a page can show it beside its line."""
    told = result("rules:\n  - name: a\n    target: nowhere\n", alert())
    assert told.problems == (
        TrialProblem(3, 13, "mapping.rules[0].target", "no target is called 'nowhere'.", "use one of default."),
    )


def test_other_sections_have_no_place_in_the_text():
    """Of a whole file only the mapping section is tried: the others are named as unknown."""
    told = result("sources: [a]\n" + BELOW_KEY)
    assert [(p.line, p.column, p.path) for p in told.problems] == [(1, 1, "sources")]


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "---\n"])
def test_an_empty_text_is_a_mistake_with_its_fix(text):
    """An empty text is told as such, since a file with an empty mapping section is written otherwise."""
    (problem,) = result(text).problems
    assert (problem.text, problem.fix) == ("the file is empty.", "write rules, or mapping: {}.")


def test_doubts_are_warnings_and_the_rules_are_tried():
    """What is valid and doubtful, also beside the targets and Alertmanagers in use, is a warning at its line."""
    text = """rules:
  - {name: a, match: [x=y], set: {note: "{{ group.group_key }}"}, timeout: 1h}
  - {name: b, match: [x=y], set: {zone: a}}
"""
    told = result(text, alert(x="y"), use=running(has_alertmanagers=True))
    assert [(w.line, w.path) for w in told.warnings] == [
        (2, "mapping.rules[0].set.note"),
        (2, "mapping.rules[0].timeout"),
        (3, "mapping.rules[1]"),
    ]
    assert [each.rule for each in told.explanations] == ["a"]


def test_a_variable_is_known_if_the_rules_in_use_name_it():
    """Its value is used; any other variable is warned of as not set, so that no environment can be read out."""
    text = 'vars: {a: "${ZONE}", b: "${PASSWORD}"}\n'
    told = result(text, alert(), use=running(variables={"ZONE": "cn-north-4"}))
    assert told.explanations[0].variables == {"a": "'cn-north-4'", "b": "'unset'"}
    assert [w.text for w in told.warnings] == ["${PASSWORD} is not set."]


def test_without_a_text_the_rules_in_use_are_tried():
    """Alerts alone are explained by today's rules; there is nothing to compare."""
    told = tried(request(None, alert("A", pod="p"), kept=[alert()]), running(BELOW_KEY), NOW)
    assert (told.explanations[0].rule, told.compared, told.problems) == ("pods", 0, ())


def test_alerts_of_the_ledger_tell_what_would_change():
    """Each alert that would become something else is listed with its changes; all are counted."""
    kept = [alert("A", pod="p"), alert("B"), alert("Watchdog")]
    told = tried(request(PODS, kept=kept), running(), NOW)
    assert (told.compared, told.changed, told.alerts) == (3, 1, 0)
    (changed,) = told.changes
    assert (changed.alertname, changed.source) == ("A", "eu")
    assert [(c.key, c.old, c.new) for c in changed.changes] == [
        ("rule", "defaults", "pods"),
        ("resource_type", "alert", "pod"),
    ]
    assert tried(request(PODS, kept=kept), running(PODS), NOW).changed == 0


def test_resolved_alerts_and_heartbeats_are_told_as_such():
    """A resolved alert keeps its status; a sign of a heartbeat is no alarm."""
    told = result(PODS, resolved(alert("A")), alert("Watchdog"))
    assert [(each.status, each.heartbeat) for each in told.explanations] == [("resolved", None), ("firing", "alive")]


def test_pasted_alerts_belong_to_a_source_in_use():
    """Without a source they are of the first; an unknown one is told with those that there are."""
    assert result(PODS, alert()).explanations[0].source == "eu"
    assert result(PODS, alert(), source="us").explanations[0].source == "us"
    assert result(PODS, alert(), source="u").webhook_error == "no source is called 'u'. Fix: did you mean 'us'?"


def test_what_is_wrong_with_the_alerts_hides_nothing_of_the_rules():
    """Both halves are checked by themselves: a broken webhook and a broken text are told together."""
    told = tried(TrialRequest("{", "rules: 7\n"), running(), NOW)
    assert told.webhook_error.startswith("the body is not JSON")
    assert len(told.problems) == 1


def test_results_are_limited_in_number_and_size():
    """However many and large the alerts are, all are counted, and few are listed."""
    many = [alert(f"A{number}", pod="p") for number in range(MAX_LISTED + 50)]
    told = tried(request(PODS, *many, kept=many), running(), NOW)
    assert (told.alerts, len(told.explanations)) == (MAX_LISTED + 50, MAX_LISTED)
    assert (told.changed, len(told.changes)) == (MAX_LISTED + 50, MAX_LISTED)
    large = [alert(f"A{number}", annotations={f"a{i}": "x" * 16_000 for i in range(20)}) for number in range(8)]
    told = tried(request(PODS, *large), running(), NOW)
    assert (told.alerts, 0 < len(told.explanations) < 8) == (8, True)


@pytest.mark.parametrize(
    "text", ["\ud800", "\x00", "a: \u202e\n", "\x1b[31m: x", "💥" * 10_000, "- " * 5_000, "{" * 5_000]
)
def test_no_text_makes_it_raise(text):
    """Hostile text in any place is a message or a value, never an exception."""
    at = format_rfc3339(NOW)
    hostile = {"status": "firing", "labels": {text: text, "a": text}, "annotations": {"b": text}, "startsAt": at}
    for one in (
        TrialRequest(text, text),
        TrialRequest(pasted(hostile), f"vars: {{a: 'x{text}'}}"),
        TrialRequest("", PODS, text),
    ):
        assert tried(one, running(), NOW).error is None
