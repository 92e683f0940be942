"""A configuration file is read into settings, or every mistake in it is told with its place and its fix."""

from pathlib import Path

import pytest
import yaml
from config_reading import TARGETS, problems, read
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paths import DATA

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.config import ConfigError, Settings, load
from bridge.mapping import MappingSettings
from bridge.typed_yaml.document import MAX_FILE_BYTES
from bridge.typed_yaml.secret import Secret

CONFIG = DATA / "config"
BAD = sorted((CONFIG / "bad").glob("*.yaml"))


def mapped(text, env=None):
    """Give the mapping of a good file with these lines under ``mapping:``."""
    return read(TARGETS + "mapping: " + text, env).mapping


# Good files


def test_the_smallest_file_has_one_target_and_nothing_else():
    """One target is enough: every other setting has its documented default."""
    found = load(str(CONFIG / "good" / "minimal.yaml"), {"AOM_TOKEN": "secret-token"}).settings
    assert (found.source, found.sources, found.all_sources) == ("default", (), ("default",))
    assert (found.store.url, found.store.max_open) == ("sqlite:///aom-bridge.db", 1_000_000)
    assert (found.store.history, found.store.lease) == (7 * DAY, 60 * SECOND)
    assert (found.web.max_body, found.web.max_body_in_flight) == (64 << 20, 256 << 20)
    delivery = found.delivery
    assert (delivery.batch_size, delivery.batch_wait, delivery.max_in_flight) == (100, 200, 4)
    assert (delivery.retry_min, delivery.retry_max, delivery.shutdown_timeout) == (SECOND, 5 * MINUTE, 8 * SECOND)
    assert list(found.targets) == [found.default_target] == ["default"]
    target = found.targets["default"]
    assert (target.project_id, target.enterprise_project_id) == ("0123456789", "0")
    assert target.aom_url == "https://aom.cn-north-4.myhuaweicloud.com"
    assert (target.alarm_timeout, target.reassert_after, target.lookup_wait) == (5 * DAY, 30 * MINUTE, 2 * MINUTE)
    assert (target.clear_by, target.rate_limit) == ("lookup", 20)
    assert target.auth.token.value.reveal() == "secret-token"
    assert found.mapping.labels == "all"
    assert repr(found.mapping) == repr(MappingSettings())


def test_every_setting_can_be_set():
    """A file with every key is read, each value typed by its setting."""
    found = load(str(CONFIG / "good" / "full.yaml"), {}).settings
    assert found.all_sources == ("eu", "us", "no")
    assert (found.store.url, found.store.max_open, found.store.history) == ("sqlite:///other.db", 5_000, DAY)
    assert (found.web.max_body, found.web.max_body_in_flight) == (8 << 20, 16 << 20)
    target = found.targets["default"]
    assert (target.aom_url, target.iam_url) == ("https://aom.example", "https://iam.example")
    assert (target.project_id, target.enterprise_project_id) == ("p1", "7")
    assert (target.auth.password.user, target.auth.password.password.reveal()) == ("on", "${not}")
    assert (target.alarm_timeout, target.reassert_after) == (90 * MINUTE, 0)
    assert (target.clear_by, target.lookup_wait, target.rate_limit) == ("id", MINUTE, 0.5)
    assert (target.ca_file, target.proxy_url) == (Path("ca.pem"), Secret("http://proxy.example:3128"))
    assert found.targets["night"].auth.token.file == Path("token.txt")
    assert (found.default_target, found.delivery.batch_size, found.delivery.batch_wait) == ("default", 10, SECOND)
    us, no = found.alertmanagers
    assert (us.urls[0], us.basic_auth.secret().reveal()) == ("https://am-0.example/prefix", "amongus")
    assert (us.tls_config.server_name, us.tls_config.key_file) == ("am", Path("am.key"))
    assert (us.headers, us.receivers) == ({"X-Scope-OrgID": Secret("tenant")}, ("aom", "team/aom/hook"))
    assert (us.interval, us.settle, us.missing_after) == (SECOND, 2 * MINUTE, 90 * SECOND)
    assert (us.vanished, us.unrouted, us.silenced, us.max_clears) == ("keep", "keep", "clear", 0.025)
    assert (no.dns, no.kind, no.authorization.type) == ("alertmanager-operated:9093", "mimir", "Token")
    assert (no.missing_after, no.max_clears, found.by_source) == (None, 0.1, {"us": us, "no": no})
    main, other = found.heartbeats
    assert (main.name, main.source, main.by, main.paused) == ("main", "us", ("cluster", "prometheus"), True)
    assert [one.text for matchers in main.match for one in matchers.each] == ['alertname="Watchdog"', 'cluster="main"']
    assert (main.every, main.missing_after, main.hold) == (MINUTE, 4 * MINUTE, 30 * MINUTE)
    assert (main.severity, main.target, other.severity, other.every) == ("Minor", "night", "Critical", 5 * MINUTE)
    assert (found.ping.address().reveal(), found.ping.interval) == ("https://ping.example/secret", 30 * SECOND)
    mapping = found.mapping
    assert mapping.labels == ("alertname", "severity")
    assert (mapping.severity.label, mapping.severity.map, mapping.severity.default) == (
        "prio",
        {"p1": "Critical"},
        "Major",
    )
    assert (mapping.defaults.event_type, mapping.defaults.event_name.text) == ("event", "{{ labels.title }}")
    quiet, pods = mapping.rules
    assert (quiet.name, quiet.drop, [matchers.each[0].name for matchers in quiet.match]) == (
        "quiet",
        True,
        ["severity", "team"],
    )
    assert (pods.target, pods.timeout, pods.continues, list(pods.set)) == (
        "night",
        2 * HOUR,
        True,
        ["resource_type", "zone"],
    )
    assert pods.annotations["hint"].render({}) == "see http://wiki.example"


def test_the_only_target_is_the_default_whatever_its_name():
    """One target needs no particular name; of several, default is the default."""
    one = "{region: r, project_id: p, auth: {token: {value: t}}}"
    assert read(f"targets: {{night: {one}}}").default_target == "night"
    assert read(f"targets: {{night: {one}, default: {one}}}").default_target == "default"


@pytest.mark.parametrize(
    "word", ["no", "on", "off", "yes", "null", "~", "0123", "1e3", "0x10", "1_000", "2026-11-23", "12:30"]
)
def test_a_scalar_stays_the_text_that_was_written(word):
    """No word is guessed to be a boolean, a number, a date or nothing: ids of digits and names like no stay text."""
    target = f"{{region: r, project_id: {word}, enterprise_project_id: {word}, auth: {{token: {{value: {word}}}}}}}"
    found = read(f"targets: {{{word}: {target}}}\nmapping: {{labels: [{word}], defaults: {{event_name: {word}}}}}")
    target = found.targets[word]
    assert (target.project_id, target.enterprise_project_id) == (word, word)
    assert target.auth.token.value.reveal() == word
    assert (found.mapping.labels, found.mapping.defaults.event_name.text) == ((word,), word)


def test_a_section_may_be_empty():
    """A section without a value has its defaults."""
    assert read(TARGETS + "store:\nweb: {}\nmapping:\n  severity:\n").store.max_open == 1_000_000


def test_utf_8_and_a_byte_order_mark_are_read():
    """Names and values may be any UTF-8, and an editor's byte order mark does no harm."""
    text = TARGETS + 'mapping: {rules: [{name: "\u78c1\u76d8", match: ["\u56e2\u961f=\\"\u8fd0\u7ef4\\""]}]}\n'
    for raw in (text.encode(), text.encode("utf-8-sig")):
        assert load("test.yaml", {}, raw=raw).settings.mapping.rules[0].name == "\u78c1\u76d8"


# Variables


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "a"),
        ("x${A}${B}y", "xaby"),
        ("${NO:-fallback}", "fallback"),
        ("${NO:-}", ""),
        ("${A:-fallback}", "a"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY}", ""),
        ("$${A}", "${A}"),
        ("$$$${A}", "$${A}"),
        ("$$", "$"),
        ("1$A", "1$A"),
        ("5$", "5$"),
        ("$${", "${"),
        ("$${A-b}", "${A-b}"),
        ("${NESTED}", "${A}"),
        ("${DOLLARS}", "$$"),
        ("${YAML}", "{a: [b"),
        ("${LINES}", "a\nb: c"),
    ],
)
def test_variables_are_expanded_once(text, expected):
    """${VAR}, ${VAR:-default} and $$ are replaced in one pass; what comes out is neither expanded nor read as YAML."""
    env = {"A": "a", "B": "b", "EMPTY": "", "NESTED": "${A}", "DOLLARS": "$$", "YAML": "{a: [b", "LINES": "a\nb: c"}
    quoted = text.replace("'", "''")
    auth = f"{{password: {{domain: d, user: '{quoted} ', password: 'x{quoted}'}}}}"
    password = (
        read(f"targets: {{default: {{region: r, project_id: p, auth: {auth}}}}}", env).targets["default"].auth.password
    )
    assert password.password.reveal() == "x" + expected
    assert password.user == expected + " "


def test_variables_are_expanded_in_values_of_every_kind():
    """Numbers, durations, lists, matchers and templates may hold variables; keys are taken as they are."""
    env = {"N": "7", "D": "90s", "S": "eu", "M": "critical|page", "T": "x"}
    text = TARGETS + (
        "source: ${S}\nsources: ['${S}-1']\nstore: {max_open: '${N}', lease: '${D}'}\n"
        "mapping: {annotations: {'${T}': '${T}'}, rules: [{name: '${S}', match: ['severity=~\"${M}\"']}]}"
    )
    found = read(text, env)
    assert (found.all_sources, found.store.max_open, found.store.lease) == (("eu", "eu-1"), 7, 90 * SECOND)
    assert found.mapping.rules[0].name == "eu"
    assert found.mapping.rules[0].match[0].failing({"severity": "page"}) is None
    assert found.mapping.annotations["${T}"].render({}) == "x"


def test_a_variable_is_never_read_as_a_template():
    """What a variable holds stays text, even if it looks like a template, alone as well as inside one."""
    env = {"X": "{{ labels.secret }}"}
    scope = {"labels": {"a": "1", "secret": "oops"}}
    mapping = mapped(
        "{annotations: {alone: '${X}', inside: '{{ labels.a }} ${X}', text: \"{{ labels.b or '${X}' }}\"}}", env
    )
    found = {key: mapping.annotations[key].render(scope) for key in ("alone", "inside", "text")}
    assert found == {"alone": env["X"], "inside": "1 " + env["X"], "text": env["X"]}


def test_unset_variables_can_be_allowed():
    """Where the variables are not at hand, as in CI, an unset one is read as the text unset."""
    text = TARGETS.replace("p1", "'${PROJECT}'").replace("value: t", "value: '${TOKEN:-x}${TOKEN}'")
    target = read(text, allow_unset=True).targets["default"]
    assert (target.project_id, target.auth.token.value.reveal()) == ("unset", "xunset")


def test_the_processes_own_environment_is_the_default(tmp_path, monkeypatch):
    """Without variables given, those of the process count."""
    file = tmp_path / "bridge.yaml"
    file.write_text(TARGETS.replace("p1", "'${TEST_CONFIG_PROJECT}'"))
    monkeypatch.setenv("TEST_CONFIG_PROJECT", "p7")
    assert load(str(file)).settings.targets["default"].project_id == "p7"


# Bad files


@pytest.mark.parametrize("file", BAD, ids=lambda path: path.stem)
def test_a_bad_file_says_every_mistake_with_its_place_and_fix(file):
    """Each bad file gives exactly the lines beside it, in the order of the file."""
    with pytest.raises(ConfigError) as caught:
        load(file.name, {}, raw=file.read_bytes())
    assert caught.value.lines() == file.with_suffix(".expected").read_text(encoding="utf-8").splitlines()
    assert str(caught.value) == "\n".join(caught.value.lines())


def test_every_bad_file_has_its_lines():
    """The table of bad files is complete, and each of its lines names a place and a fix."""
    assert [path.stem for path in BAD] == sorted(path.stem for path in (CONFIG / "bad").glob("*.expected"))
    assert len(BAD) >= 25
    for path in BAD:
        for line in path.with_suffix(".expected").read_text(encoding="utf-8").splitlines():
            name, row, column, text = line.split(":", 3)
            assert name == path.name
            assert row.isdigit()
            assert column.isdigit()
            assert " Fix: " in text or "did you mean" in text


def test_a_mistake_between_rules_has_its_line_behind_one_that_cannot_be_read():
    """What is wrong with a rule is told at that rule, also where one above it is left out for a mistake of its own."""
    rules = ["{nam: a}", "{name: b}", "{name: c}", "{name: c}", '{name: d, set: {x: "{{ vars.v }}"}}']
    lines = problems(TARGETS + "mapping:\n  rules:\n" + "".join(f"    - {rule}\n" for rule in rules))
    assert [line.split(": ")[:2] for line in lines] == [
        ["test.yaml:4:7", "mapping.rules[0].name"],
        ["test.yaml:4:8", "mapping.rules[0].nam"],
        ["test.yaml:7:14", "mapping.rules[3].name"],
        ["test.yaml:8:26", "mapping.rules[4].set.x"],
    ]


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    """A missing file, and a folder in its place, are mistakes like any other, under the name that was given."""
    missing = str(tmp_path / "none.yaml")
    there, folder = (
        "it is not there. Fix: create it, or correct the path; in a container, mount it.",
        "it is a folder. Fix: name a file in it.",
    )
    for file, reason in [(missing, there), (str(tmp_path), folder)]:
        with pytest.raises(ConfigError) as caught:
            load(file, {})
        assert caught.value.lines() == [f"{file}:1:1: the file cannot be read: {reason}"]


def test_a_file_over_1_mib_is_refused(tmp_path):
    """A file over 1 MiB is not even parsed; one of exactly that size is."""
    file = tmp_path / "big.yaml"
    file.write_bytes(TARGETS.encode() + b"#" * (MAX_FILE_BYTES - len(TARGETS)))
    assert load(str(file), {}).settings.default_target == "default"
    file.write_bytes(TARGETS.encode() + b"#" * (MAX_FILE_BYTES - len(TARGETS) + 1))
    with pytest.raises(ConfigError) as caught:
        load(str(file), {})
    assert caught.value.lines() == [f"{file}:1:1: the file is over 1 MiB. Fix: a configuration is smaller."]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["[", "{", "- ", "? ", "{a: ", "[a, "])
def test_200_kb_of_brackets_fail_fast(piece):
    """Deep nesting is refused before it costs anything."""
    (line,) = problems(piece * (200_000 // len(piece)))
    assert "Fix: " in line
    assert len(line) < 200


def test_64_levels_are_read():
    """The limit itself is allowed: what is wrong there is only the value."""
    (line,) = problems(TARGETS + "source: " + "[" * 63 + "]" * 63)
    assert line == "test.yaml:2:9: source: text is expected here, not a list. Fix: write one value."
    (line,) = problems(TARGETS + "source: " + "[" * 64 + "]" * 64)
    assert line == "test.yaml:2:72: nested deeper than 64. Fix: flatten it."


@pytest.mark.parametrize(
    "text",
    [
        '"a\\nb": 1',
        '"a\\x1b[31m": 1',
        'targets: {"a\\nb": {}}',
        TARGETS + 'mapping: {annotations: {"a\\rb": "{{"}}',
        TARGETS + 'mapping: {rules: [{name: a, target: "x\\ny"}]}',
        TARGETS + 'source: "a\\nb"',
    ],
)
def test_a_mistake_stands_on_one_line_whatever_is_quoted(text):
    """Line breaks and control characters of the file never reach the message as they are."""
    for line in problems(text):
        assert line.isprintable()


@pytest.mark.parametrize(
    "text", ['"\\UFFFFFFFF"', '"\\U00110000"', '"\\ud800": "\\udfff"', "%YAML 1." + "9" * 5_000 + "\n---\na"]
)
def test_an_impossible_escape_is_a_mistake_like_any_other(text):
    """What YAML's reader itself stumbles over is told as a mistake."""
    assert all("Fix: " in line or "did you mean" in line for line in problems(text))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "template",
    ["{{ " + "(" * 50_000, "{{ " + "-" * 5_000 + "1 }}", "{% for a in labels %}" * 25 + "{% endfor %}" * 25],
    ids=["parentheses", "minus", "loops"],
)
def test_an_absurd_template_is_a_mistake_like_any_other(template):
    """A template too deep to be compiled is told with its place."""
    (line,) = problems(f"{TARGETS}mapping: {{defaults: {{event_name: '{template}'}}}}")
    assert line.startswith("test.yaml:2:34: mapping.defaults.event_name: ")
    assert "Fix: " in line


# Secrets

HIDDEN = "hunter2-s3cr3t"
SECRET_PLACES = {
    "token": "auth: {token: {value: '%s'}}",
    "password": "auth: {password: {domain: d, user: u, password: '%s'}}",
    "secret key": "auth: {aksk: {access_key: a, secret_key: '%s'}}",
    "security token": "auth: {aksk: {access_key: a, secret_key: s, security_token: '%s'}}",
}
MISPLACED = {
    "token without value": "auth: {token: '%s'}",
    "password without a section": "auth: {password: '%s'}",
    "auth itself": "auth: '%s'",
    "token in a list": "auth: {token: ['%s']}",
    "value in a list": "auth: {token: {value: ['%s']}}",
    "value in a section": "auth: {token: {value: {a: '%s'}}}",
    "unknown key": "auth: {tokn: {value: '%s'}}",
    "both": "auth: {token: {value: '%s', file: f}}",
    "without user": "auth: {password: {domain: d, password: '%s'}}",
    "broken neighbour": "alarm_timeout: soon, auth: {token: {value: '%s'}}",
    "password in the proxy's address": "auth: {token: {value: t}}, proxy_url: 'socks://user:%s@proxy'",
}


def with_auth(text, secret):
    """Give a file whose target has this text."""
    return "targets: {default: {region: r, project_id: p, " + text % secret + "}}"


@pytest.mark.parametrize("secret", [HIDDEN, "${SECRET}"], ids=["in the file", "in a variable"])
@pytest.mark.parametrize("text", SECRET_PLACES.values(), ids=SECRET_PLACES.keys())
def test_settings_never_show_a_secret(text, secret):
    """No repr of the settings holds a secret, wherever it came from."""
    found = read(with_auth(text, secret), {"SECRET": HIDDEN})
    assert HIDDEN not in repr(found)
    assert "<secret>" in repr(found)


@pytest.mark.parametrize("secret", [HIDDEN, "${SECRET}"], ids=["in the file", "in a variable"])
@pytest.mark.parametrize("text", MISPLACED.values(), ids=MISPLACED.keys())
def test_no_mistake_shows_a_secret(text, secret):
    """No message holds a secret, even where it stands at the wrong place."""
    with pytest.raises(ConfigError) as caught:
        read(with_auth(text, secret), {"SECRET": HIDDEN})
    assert HIDDEN not in str(caught.value) + repr(caught.value)


def test_settings_never_show_the_proxys_password():
    """A proxy's address may carry a password: no repr of the settings shows it."""
    found = read(with_auth("auth: {token: {value: t}}, proxy_url: 'http://user:%s@proxy.example:3128'", HIDDEN))
    assert HIDDEN not in repr(found)


def test_a_secret_is_a_secret():
    """Every setting that holds a credential is of the type that hides it."""
    auth = read(with_auth(SECRET_PLACES["token"], HIDDEN)).targets["default"].auth
    assert auth.token.value == Secret(HIDDEN)


# Nothing else

WORDS = [
    *["targets", "default", "source", "sources", "store", "web", "delivery", "mapping", "auth", "token", "value"],
    *["aksk", "sdk", "severity", "match_annotations", "match_group", "access_key", "ca_file", "sources"],
    *["password", "project_id", "region", "endpoint", "rules", "name", "match", "set", "labels", "severity", "map"],
    *["defaults", "event_name", "annotations", "rate_limit", "max_open", "lease", "max_body", "continue", "drop"],
    *["all", "5d", "64MiB", "20", "true", "${A}", "${NO}", "a=b", "{{ labels.a }}", "{{", "", "Critical"],
]
words = st.sampled_from(WORDS) | st.text(max_size=6)
trees = st.recursive(
    words, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5), max_leaves=20
)
good_target = {"region": "r", "project_id": "p", "auth": {"token": {"value": "t"}}}
files = st.fixed_dictionaries(
    {},
    optional={
        "targets": st.just({"default": good_target}) | st.dictionaries(words, st.just(good_target) | trees, max_size=2),
        "source": words,
        "sources": st.lists(words, max_size=2),
        "store": st.dictionaries(words, words, max_size=3) | trees,
        "mapping": st.fixed_dictionaries(
            {},
            optional={
                "labels": trees,
                "rules": st.lists(
                    st.fixed_dictionaries(
                        {"name": words}, optional={"match": st.lists(words), "set": trees, "drop": words}
                    )
                ),
                "annotations": st.dictionaries(words, words, max_size=3),
            },
        ),
    },
)
yaml_like = st.lists(
    st.sampled_from(
        [
            *WORDS[:12],
            ":",
            ": ",
            "\n",
            "\n  ",
            "- ",
            "? ",
            "[",
            "]",
            "{",
            "}",
            "&a ",
            "*a",
            "!",
            "|",
            ">",
            "'",
            '"',
            "%",
            "\t",
            "#",
            "---\n",
            "<<",
        ]
    ),
    max_size=30,
).map("".join)


def either_way(raw):
    """Read, and let only a ConfigError with one line for each mistake pass."""
    try:
        found = load("f.yaml", {"A": "a"}, raw=raw).settings
    except ConfigError as caught:
        mistakes = caught
    else:
        assert isinstance(found, Settings)
        assert found.default_target in found.targets
        return
    assert mistakes.problems == sorted(mistakes.problems) != []
    assert mistakes.lines() == str(mistakes).split("\n")
    assert all(line.startswith("f.yaml:") for line in mistakes.lines())


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=100) | st.text(max_size=60).map(str.encode) | yaml_like.map(str.encode))
@example(b"\xff\xfe")
@example(b"\x00")
def test_any_bytes_are_read_or_refused(raw):
    """Any bytes load or raise ConfigError, and nothing else."""
    either_way(raw)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(files | trees)
def test_any_yaml_is_read_or_refused(tree):
    """Any YAML, of our words or others, loads or raises ConfigError, and nothing else."""
    either_way(yaml.safe_dump(tree, allow_unicode=True).encode())


@pytest.mark.parametrize(
    ("target", "more", "words"),
    [
        ("audit_adopt: true", "", "Fix: alertmanagers for every source."),
        ("audit_adopt: true, audit: 0s", "", "it does nothing with audit: 0s"),
        ("audit_adopt: true", "alertmanagers: [{urls: ['http://am:9093']}]", "Fix: receivers in alertmanagers."),
        ("audit_adopt: true", "alertmanagers: [{urls: ['http://am:9093'], receivers: [aom]}]", None),
    ],
)
def test_taking_over_where_nothing_tells_what_fires_is_doubted(target, more, words):
    """What AOM holds is taken over only if Alertmanager shows that it fires."""
    text = f"targets: {{t: {{region: cn-north-4, project_id: p1, auth: {{token: {{value: t}}}}, {target}}}}}\n{more}"
    doubts = [problem.text for problem in load("f", {}, raw=text.encode()).doubts]
    assert doubts == [] if words is None else words in doubts[0]
