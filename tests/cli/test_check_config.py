"""`check-config` tells what is wrong, what is missing here and what is doubtful, for people and for programs."""

import json

import pytest
from config_reading import check
from process import bridge_command, run

from bridge.mapping.doubts import ShadowedRules
from bridge.mapping.matcher import Matchers
from bridge.mapping.settings import RuleSettings

TARGET = "targets: {default: {region: cn-north-4, project_id: p, auth: {token: {%s}}}}\n"
GOOD = TARGET % "value: t"


def rules(*lines):
    """Give a good file with these rules, each of which sets something."""
    return (
        GOOD
        + "mapping:\n  rules:\n"
        + "".join(f"    - {line if 'set:' in line else line[:-1] + ', set: {x: y}}'}\n" for line in lines)
    )


DOUBTS = {
    "a rule behind one that takes all": (
        rules("{name: all}", "{name: late, match: [a=b]}"),
        ["f:5:7: mapping.rules[1]: 'all' above takes every alert that 'late' would match. Fix: put it higher, or give"],
    ),
    "a rule behind one with fewer conditions": (
        rules("{name: few, match: [a=b]}", "{name: more, match: ['c=\"d\"', '{a=\"b\"}']}"),
        ["f:5:7: mapping.rules[1]: 'few' above takes every alert that 'more' would match."],
    ),
    "two values of one label": (
        rules("{name: never, match: ['a=\"b\"', 'a=\"c\"']}"),
        ['f:4:7: mapping.rules[0]: no alert can match \'never\': a="b" and a="c". Fix: correct a matcher.'],
    ),
    "a value that the expression does not take": (
        rules("{name: never, match_annotations: [a=b, 'a=~\"x.*\"']}"),
        ['f:4:7: mapping.rules[0]: no alert can match \'never\': annotation a="b" and annotation a=~"x.*".'],
    ),
    "a missing label that must be something": (
        rules("{name: never, match: ['a=\"\"', 'a!=\"\"']}"),
        ['f:4:7: mapping.rules[0]: no alert can match \'never\': a="" and a!="".'],
    ),
    "an expression that only takes something": (
        rules("{name: never, match: ['a=\"\"', 'a=~\".+\"']}"),
        ['f:4:7: mapping.rules[0]: no alert can match \'never\': a="" and a=~".+".'],
    ),
    "an expression and its opposite": (
        rules("{name: never, match: ['a=~\"b.*\"', 'a!~\"b.*\"']}"),
        ['f:4:7: mapping.rules[0]: no alert can match \'never\': a=~"b.*" and a!~"b.*".'],
    ),
    "two choices without a common value": (
        rules("{name: never, match: ['a=~\"b|c\"', 'a=~\"d|e\"']}"),
        ['f:4:7: mapping.rules[0]: no alert can match \'never\': a=~"b|c" and a=~"d|e".'],
    ),
    "a choice of which each is excluded": (
        rules("{name: never, match: ['a=~\"b|c\"', 'a!=\"b\"', 'a!~\"c.*\"']}"),
        ['f:4:7: mapping.rules[0]: no alert can match \'never\': a=~"b|c" and a!="b".'],
    ),
    "a matcher that nothing fulfils": (
        rules("{name: never, match_group: ['a!~\".*\"']}"),
        ["f:4:7: mapping.rules[0]: no alert can match 'never': group a!~\".*\"."],
    ),
    "a rule behind one whose matchers always hold": (
        rules("{name: all, match: ['a=~\".*\"']}", "{name: late, match: [a=b]}"),
        ["f:5:7: mapping.rules[1]: 'all' above takes every alert that 'late' would match."],
    ),
    "a last rule that sets nothing": (
        GOOD + "mapping: {rules: [{name: r, match: [a=b]}]}",
        ["f:2:19: mapping.rules[0]: 'r' sets nothing. Fix: add set, or another key; or remove the rule."],
    ),
    "a rule that continues and sets nothing": (
        GOOD + "mapping: {rules: [{name: r, continue: true}, {name: s, drop: true}]}",
        ["f:2:19: mapping.rules[0]: 'r' sets nothing."],
    ),
    "severity under set": (
        rules("{name: r, set: {severity: Critical}}"),
        ["f:4:33: mapping.rules[0].set.severity: 'severity' is a field of its own beside AOM's event_severity. Fix: "],
    ),
    "near misses under set": (
        rules("{name: r, set: {resourceId: x, resource-type: x, event_sevrity: x, Event_Name: x, RESOURCE_ID: x}}"),
        [
            "f:4:35: mapping.rules[0].set.resourceId: 'resourceId' is a name of its own beside AOM's resource_id. Fix:",
            "f:4:53: mapping.rules[0].set.resource-type: 'resource-type' is a name of its own beside AOM's resource_ty",
            "f:4:71: mapping.rules[0].set.event_sevrity: 'event_sevrity' is a name of its own beside AOM's event_sever",
            "f:4:86: mapping.rules[0].set.Event_Name: 'Event_Name' is a name of its own beside AOM's event_name. Fix: ",
            "f:4:102: mapping.rules[0].set.RESOURCE_ID: 'RESOURCE_ID' is a name of its own beside AOM's resource_id. ",
        ],
    ),
    "near misses of what the console shows": (
        GOOD + "mapping: {annotations: {alarm_probable_cause_en_us: x}}",
        ["f:2:53: mapping.annotations.alarm_probable_cause_en_us: 'alarm_probable_cause_en_us' is a name of its own"],
    ),
    "templates without braces": (
        GOOD + "mapping: {vars: {a: labels.x}, defaults: {resource_id: $labels.instance}}\n",
        [
            "f:2:21: mapping.vars.a: 'labels.x' is a constant text, not a template. Fix: write {{ labels.x }}.",
            "f:2:56: mapping.defaults.resource_id: '$labels.instance' is a constant text, not a template. Fix: ",
        ],
    ),
    "an expression over two lines": (
        GOOD + "mapping:\n  rules:\n    - name: r\n      match: ['a=~\"Disk\n        Full.*\"']\n      drop: true\n",
        ['f:5:15: mapping.rules[0].match[0]: a=~"Disk Full.*" holds a space where YAML joined two lines. Fix: '],
    ),
    "what Alertmanager's API does not tell": (
        GOOD + "alertmanagers: [{urls: [http://am]}]\nmapping: {defaults: {resource_id: '{{ group.group_key }}'}}\n",
        ["f:3:35: mapping.defaults.resource_id: Alertmanager's API does not tell group.group_key: an alert whose"],
    ),
    "the two forms differ": (
        rules("{name: r, match: ['path=\"a\\tb\"']}"),
        ["f:4:25: mapping.rules[0].match[0]: 'path=\"a\\\\tb\"' means 'a\\\\tb' in Alertmanager's classic form"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), DOUBTS.values(), ids=DOUBTS.keys())
def test_what_is_doubtful_is_a_warning(tmp_path, text, expected):
    """Rules that nothing can reach and matchers that two versions read differently are told, and fail nothing."""
    problems, warnings = check(tmp_path, text)
    assert problems == []
    assert len(warnings) == len(expected)
    assert [warning[: len(beginning)] for warning, beginning in zip(warnings, expected, strict=True)] == expected


SOUND = {
    "continue": rules("{name: all, continue: true}", "{name: late, match: [a=b]}"),
    "other conditions": rules("{name: one, match: [a=b]}", "{name: two, match: [a=c]}"),
    "another kind": rules("{name: one, match: [a=b]}", "{name: two, match_annotations: [a=b]}"),
    "fewer conditions later": rules("{name: one, match: [a=b, c=d]}", "{name: two, match: [a=b]}"),
    "a choice that is left": rules("{name: one, match: ['a=~\"b|c\"', 'a!=\"b\"', 'a=~\"c.*\"']}"),
    "an exception from a drop": GOOD + "mapping: {rules: [{name: keep, match: [a=b]}, {name: noise, drop: true}]}",
    "texts about labels": rules("{name: r, set: {x: labels, y: see labels.instance, z: a.labels.x}}"),
    "fields of one's own": rules("{name: r, set: {resource_name: x, event_id: x, message: x, zone: x}}"),
    "a text over two lines": GOOD + "mapping: {rules: [{name: r, drop: true, match: ['a=\"Disk\n    Full\"']}]}",
    "a value that the expression takes": rules("{name: one, match: [a=b, 'a=~\"b|c\"']}"),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND.keys())
def test_what_is_sound_is_not_warned_of(tmp_path, text):
    """Rules that some alert reaches bring no warning."""
    assert check(tmp_path, text) == [[], []]


@pytest.mark.slow
def test_rules_are_checked_in_linear_time():
    """Each of 5,000 rules is compared with few others, whether they share a condition, have one, or are shadowed."""
    for match in (["a={0}"], ['b!=""', "a={0}", 'c=~"x.*"'], ["a={0}", "b={1}"], ["a={1}"], ['b!=""']):
        found = [
            RuleSettings(name=str(i), match=tuple(Matchers.parse(text.format(i, i % 50)) for text in match))
            for i in range(5_000)
        ]
        assert ShadowedRules(found).compared < 4 * len(found)


MISSING = {
    "variable": (TARGET % "value: '${NO_SUCH}'", "targets.default.auth.token.value: ${NO_SUCH} is not set"),
    "secret file": (TARGET % "file: /no/such", "targets.default.auth.token.file: /no/such: it is not there"),
    "CA file": (GOOD.replace("auth", "ca_file: /no/ca, auth"), "targets.default.ca_file: /no/ca: it is not there"),
}


@pytest.mark.parametrize(("text", "sentence"), MISSING.values(), ids=MISSING.keys())
def test_what_is_missing_here_is_a_warning_where_that_is_allowed(tmp_path, text, sentence):
    """Unset variables and missing files fail the check; with --allow-unset, as in CI, they are warnings."""
    (problem,), warnings = check(tmp_path, text)
    assert (sentence in problem, warnings) == (True, [])
    problems, (warning,) = check(tmp_path, text, allow_unset=True)
    assert (sentence in warning, problems) == (True, [])


def test_variables_that_are_not_set_make_no_rules_alike(tmp_path):
    """With --allow-unset all missing variables read as one word: no rule is called unreachable for that."""
    text = rules("{name: a, match: ['team=${NO_SUCH_A}']}", "{name: b, match: ['team=${NO_SUCH_B}']}")
    problems, warnings = check(tmp_path, text, allow_unset=True)
    assert problems == []
    assert all("is not set" in warning for warning in warnings)


UNFIT = [
    GOOD.replace("auth", 'ca_file: "a\\0b", auth'),
    TARGET % 'file: "a\\ud800b"',
    rules('{name: "a\\0b"}'),
    rules('{name: a, set: {"x\\ud800": y}}'),
    rules('{name: a, set: {x: "y\\ud800"}}'),
]


@pytest.mark.parametrize("text", UNFIT)
def test_what_no_file_system_or_terminal_takes_is_a_mistake(tmp_path, text):
    """A NUL or half of a surrogate pair is told with its place, wherever it stands."""
    (problem,), _ = check(tmp_path, text)
    assert problem.startswith("f:")
    assert "Fix: " in problem


@pytest.mark.real
async def test_programs_read_json(tmp_path):
    """`--format=json` gives each file with its problems and warnings, each with its place."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(rules("{name: all}", "{name: late}"))
    bad.write_text("targets: {}\nsorce: x\n")
    code, out, err = await run(*bridge_command("check-config", "--format=json", str(good), str(bad)))
    first, second = json.loads(out)
    assert (code, err) == (1, "")
    assert (first["file"], first["problems"], first["warnings"][0]["path"]) == (str(good), [], "mapping.rules[1]")
    assert [(p["line"], p["column"], p["path"]) for p in second["problems"]] == [(1, 10, "targets"), (2, 1, "sorce")]


@pytest.mark.real
async def test_exit_codes_tell_wrong_from_could_not_run(tmp_path):
    """0: good; 1: something is wrong; 2: a file could not be read."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(rules("{name: all}", "{name: late}"))
    bad.write_text("targets: {}\n")
    code, out, err = await run(*bridge_command("check-config", str(good)))
    assert (code, out) == (0, f"{good}: SUCCESS: 1 target(s), 2 rule(s)\n")
    assert err.startswith(f"warning: {good}:5:7: mapping.rules[1]: ")
    assert (await run(*bridge_command("check-config", str(bad))))[0] == 1
    code, _, err = await run(*bridge_command("check-config", str(good), str(tmp_path / "none.yaml")))
    assert code == 2
    assert "the file cannot be read: it is not there" in err
