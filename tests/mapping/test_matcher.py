"""Matchers are written and understood as Alertmanager does; a wrong one says what is wrong and how to write it."""

import json
import subprocess
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import need

from bridge.mapping.matcher import Matchers

# The UTF-8 form and the fallback mode: Alertmanager's documentation of its configuration, "UTF-8 support in matchers"
# (which characters need quotes, Go's escapes, trailing commas, the classic form winning where both differ), and its
# packages matcher/parse and matcher/compat.
HOLDS = [
    ('severity="critical"', {"severity": "critical"}),
    ("severity=critical", {"severity": "critical"}),
    ('  severity = "critical"  ', {"severity": "critical"}),
    ('severity!="critical"', {"severity": "Critical"}),
    ('severity!="critical"', {}),
    ('severity=""', {}),
    ("severity=", {}),
    ('severity=""', {"severity": ""}),
    ('pod!=""', {"pod": "api-1"}),
    ('severity=~"critical|page"', {"severity": "page"}),
    ("severity=~critical|page", {"severity": "page"}),
    ('job=~"api.*"', {"job": "api-server"}),
    ('job=~"(?i)API"', {"job": "api"}),
    ('job=~".*"', {}),
    ('job!~"api.*"', {"job": "my-api"}),
    ('job!~".+"', {}),
    ('message=~"a.b"', {"message": "a b"}),
    ('message="a\\"b"', {"message": 'a"b'}),
    ('message="a\\nb"', {"message": "a\nb"}),
    ('path="C:\\\\temp"', {"path": "C:\\temp"}),
    ('path="C:\\\\new\\d"', {"path": "C:\\new\\d"}),
    ('path="a\\tb"', {"path": "a\\tb"}),
    ('path="\\u00e9"', {"path": "\\u00e9"}),
    ('host=~"web\\.example\\.com"', {"host": "web.example.com"}),
    ('code=~"\\d+"', {"code": "503"}),
    ('message=~"\\bdisk\\b.*"', {"message": "disk full"}),
    ('"k8s.pod"="api"', {"k8s.pod": "api"}),
    ('"a b"="c"', {"a b": "c"}),
    ('\u56e2\u961f="\u8fd0\u7ef4"', {"\u56e2\u961f": "\u8fd0\u7ef4"}),
    ('summary=" lead "', {"summary": " lead "}),
    ('emoji=~".\U0001f525"', {"emoji": "x\U0001f525"}),
    ("url=http://a/b?c=d", {"url": "http://a/b?c=d"}),
    ("{braces=a,b=c}", {"braces": "a", "b": "c"}),
    ('{severity="critical"}', {"severity": "critical"}),
    ('severity="critical",job="api"', {"severity": "critical", "job": "api"}),
    ('severity="critical", job="api",', {"severity": "critical", "job": "api"}),
    ("a=b,", {"a": "b"}),
    ('"a"="\\x41\\102\\u00e9\\U0001f525\\t"', {"a": "AB\u00e9\U0001f525\t"}),
    ('\u56e2\u961f="\\u8fd0"', {"\u56e2\u961f": "\u8fd0"}),
    ('a=~"(?P<n>x)(?P<m>y)"', {"a": "xy"}),
    ('a=~"\\\\\\\\C"', {"a": "\\C"}),
    ('a=~"[[:alpha:](?P<n>]+"', {"a": "a(P<n"}),
    ('nul=~"a.b"', {"nul": "a\x00b"}),
]

HOLDS_NOT = [
    ('severity="critical"', {"severity": "Critical"}),
    ('severity="critical"', {}),
    ('severity!="critical"', {"severity": "critical"}),
    ('pod!=""', {}),
    ('pod!=""', {"pod": ""}),
    ('severity=~"critical|page"', {"severity": "criticality"}),
    ('severity=~"critical|page"', {"severity": "my page"}),
    ('job=~"api.*"', {"job": "my-api"}),
    ('job!~"api.*"', {"job": "api-server"}),
    ('job=~".+"', {}),
    ('job=~"a.b"', {"job": "a\nb"}),
    ('job=~"^$|a"', {"job": "b"}),
    ('host=~"web\\.example\\.com"', {"host": "webXexampleXcom"}),
    ('message=~"\\bdisk\\b.*"', {"message": "disks full"}),
]

NOT_A_MATCHER = "is not a matcher: .+. Fix: write label, operator and quoted value"
QUOTES = "quote"
NO_RE2 = "is not a regular expression of RE2: .+. Fix: correct it"

BAD = [
    ("", NOT_A_MATCHER),
    ("severity", NOT_A_MATCHER),
    ("=critical", NOT_A_MATCHER),
    ('severity:"critical"', NOT_A_MATCHER),
    ('k8s.pod.name <> "x"', NOT_A_MATCHER),
    ("'severity'=\"x\"", NOT_A_MATCHER),
    ('{"k8s.pod"="critical"', "a brace is not closed"),
    ('"k8s.pod"="a" "b"="c"', "is not expected there"),
    ('"k8s.pod"="a\\d"', "is not a valid escape"),
    ('"k8s.pod"="\\ud800"', "is not a valid escape"),
    ('"k8s.pod"=', "a value is missing"),
    ('"k8s.pod"', "an operator is missing"),
    ('""="x"', "Fix: "),
    ('severity="critical', QUOTES),
    ('severity=critical"', QUOTES),
    ('severity="', QUOTES),
    ('severity=crit"ical', QUOTES),
    ('severity="crit"ical"', QUOTES),
    ('severity=~"("', NO_RE2),
    ('severity=~"a{2000}"', NO_RE2),
    ('severity!~"*"', NO_RE2),
    ('severity=~"(?=look)"', NO_RE2),
    ('severity=~"(a)\\\\1"', NO_RE2),
    ('severity=~"\\Qa"', NO_RE2),
    ('severity="x"\x1f', QUOTES),
    ('severity=~"\ud800"', "half of a surrogate pair"),
    ('severity=~"a\\C"', "C is not known there. Fix: use"),
    ('severity=~"(?P<n>a)|(?P<n>b)"', "two groups are called n. Fix: rename one"),
    ('severity=~"(?<n>a)|(?P<n>b)"', "two groups are called n. Fix: rename one"),
]


@pytest.mark.parametrize(("text", "labels"), HOLDS)
def test_a_matcher_holds(text, labels):
    """The four operators, quotes, escapes, UTF-8 names and missing labels mean what they mean in Alertmanager."""
    assert Matchers.parse(text).failing(labels) is None


@pytest.mark.parametrize(("text", "labels"), HOLDS_NOT)
def test_a_matcher_does_not_hold(text, labels):
    """Values are compared with regard to case, and regular expressions over the whole value."""
    assert Matchers.parse(text).failing(labels) is not None


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_what_is_no_matcher_says_why(text, sentence):
    """A wrong matcher is refused with the fix, rather than read as something else."""
    with pytest.raises(ValueError, match=sentence):
        Matchers.parse(text)


DIFFERENT = [
    ('path="a\\tb"', {"path": "a\\tb"}),
    ('path="\\u00e9"', {"path": "\\u00e9"}),
    ('path="\\x41"', {"path": "\\x41"}),
    ('message=~"\\bdisk\\b.*"', {"message": "disk full"}),
]
"""Both forms can read it: the escape is one in the UTF-8 form only."""


@pytest.mark.parametrize(("text", "labels"), DIFFERENT)
def test_where_the_two_forms_differ_the_classic_one_wins_with_a_warning(text, labels):
    """As in Alertmanager's fallback mode, an upgrade changes no route; and the doubtful text is told."""
    matchers = Matchers.parse(text)
    assert matchers.failing(labels) is None
    assert "classic form, which wins" in matchers.warning
    assert "Fix: " in matchers.warning


@pytest.mark.parametrize("text", sorted({text for text, _ in HOLDS} - {text for text, _ in DIFFERENT}))
def test_where_the_two_forms_agree_nothing_is_said(text):
    """A warning is only for what two versions of Alertmanager read differently."""
    assert Matchers.parse(text).warning == ""


MISREAD = [
    ("team='shop'", 'write team="shop"'),
    ("alertname=~'Mysql.*|Redis.*'", 'write alertname=~"Mysql.*|Redis.*"'),
    ("{a=b, team='shop'}", 'write team="shop"'),
    ("team=`shop`", 'write team="shop"'),
    ("team=\u201cshop\u201d", 'write team="shop"'),
    ("team==shop", 'write one operator, such as team="shop"'),
    ("team=!shop", 'write one operator, such as team!="shop"'),
    ("team=~=shop", 'write one operator, such as team=~"shop"'),
    ("team=shop env=prod", "write each matcher as an entry of its own"),
    ("team=shop and env=prod", "write each matcher as an entry of its own"),
    ('alertname="Kube.*"', 'for a regular expression write alertname=~"Kube.*"'),
    ('severity!="critical|page"', 'for a regular expression write severity!~"critical|page"'),
    ('a=~"Bgp.*| .*Fan"', 'write it on one line, a=~"Bgp.*|.*Fan"'),
    ('a!~"x |y"', 'write it on one line, a!~"x|y"'),
    ('cluster="{{ vars.cluster }}"', "write the value itself"),
    ("a=~x\ny", 'write it on one line, a=~"xy"'),
]


@pytest.mark.parametrize(("text", "fix"), MISREAD)
def test_what_is_read_as_something_else_is_told_with_what_was_meant(text, fix):
    """Quotes of a shell, doubled operators, two matchers in one and misplaced expressions bring a warning."""
    assert fix in Matchers.parse(text).warning.partition("Fix: ")[2]


@pytest.mark.parametrize(
    "text", ["team=\"'shop'\"", "name=users'", "url=http://a/b?c=d", 'a=~"disk full"', 'version="1.2"', 'a="b c=d"']
)
def test_what_is_meant_as_it_stands_is_not_doubted(text):
    """Double quotes say that a value is meant so, and odd values alone are no doubt."""
    assert Matchers.parse(text).warning == ""


def test_a_matcher_shows_what_was_written():
    """Matchers keep their text, and each condition its label's name and a text for messages."""
    matchers = Matchers.parse(' "k8s.pod" =~ "a|b" ')
    (matcher,) = matchers.each
    assert (matchers.text, matcher.text, matcher.name) == (' "k8s.pod" =~ "a|b" ', '"k8s.pod"=~"a|b"', "k8s.pod")
    assert repr(matchers) == 'Matchers(\' "k8s.pod" =~ "a|b" \')'


@pytest.mark.timeout(60)
def test_no_regular_expression_takes_long():
    """RE2 has no pattern that runs away: the classic trap answers at once."""
    assert not matches('a=~"(a+)+b"', {"a": "a" * 50_000})


def matches(text, labels):
    """Say whether these labels fulfil the matchers of a text."""
    return Matchers.parse(text).failing(labels) is None


def quoted(text):
    """Write a value between quotes, as both of Alertmanager's forms read it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


names = st.text(min_size=1, max_size=10)


@given(names, st.text(max_size=20), st.text(max_size=20))
def test_a_quoted_value_is_taken_as_it_is(name, value, other):
    """Any name and value, quoted and escaped, are matched exactly; = and != are each other's opposite."""
    for found in (value, other):
        assert matches(f"{quoted(name)}={quoted(value)}", {name: found}) == (found == value)
        assert matches(f"{quoted(name)}!={quoted(value)}", {name: found}) == (found != value)


@given(
    st.text(st.characters(exclude_categories=()), max_size=20) | st.text(st.sampled_from('a"=~!\\{}(, \n'), max_size=12)
)
def test_any_text_is_a_matcher_or_a_value_error(text):
    """No text breaks the reader, and what is read can be asked."""
    try:
        matchers = Matchers.parse(text)
    except ValueError:
        return
    assert matchers.failing({matcher.name: "x" for matcher in matchers.each}) in (None, *matchers.each)


# Against Alertmanager itself

VALUES = ["", "a", "b", "ab", "a b", "a,b", "{a}", 'a"b', "a\\b", "a\nb", "a=b", "api-1", "(a)", "\u00e9", "A"]
PIECES = [
    "a",
    "b",
    "ab",
    ".*",
    "a|b",
    "[ab]+",
    " ",
    ",",
    "{",
    "}",
    '"',
    '\\"',
    "\\\\",
    "\\n",
    "\\d",
    "=",
    "~",
    "(",
    ")",
    "\u00e9",
]


def texts(random, count):
    """Give texts that are or nearly are classic matchers."""
    for _ in range(count):
        value = "".join(random.choice(PIECES) for _ in range(random.randint(0, 4)))
        value = f'"{value}"' if random.random() < 0.6 else value
        space = random.choice(["", "", " "])
        one = f"{random.choice('xyz')}{space}{random.choice(['=', '!=', '=~', '!~'])}{space}{value}"
        yield random.choice([one, one, one, f"{{{one}}}", f"{one},y!=b"])


def routes(amtool, folder, matchers, labels):
    """Ask Alertmanager's own tool which of these matchers hold for labels; None: it refuses one of them."""
    config = folder / "alertmanager.yml"
    children = [{"receiver": f"r{i}", "matchers": [text], "continue": True} for i, text in enumerate(matchers)]
    receivers = [{"name": name} for name in ("none", *(route["receiver"] for route in children))]
    config.write_text(json.dumps({"route": {"receiver": "none", "routes": children}, "receivers": receivers}))
    pairs = [f"{name}={quoted(value)}" for name, value in labels.items() if value]
    command = [amtool, "config", "routes", "test", f"--config.file={config}", *pairs]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        return None
    return {int(name[1:]) for name in ended.stdout.strip().split(",") if name.startswith("r")}


@pytest.mark.real
def test_classic_matchers_mean_what_amtool_says(tmp_path):
    """On over 500 generated pairs of matcher and labels, and on what is no matcher, we agree with Alertmanager."""
    amtool = need("amtool")
    random = Random(1)  # noqa: S311 - the same cases in every run
    good, bad = [], []
    for text in texts(random, 120):
        try:
            good.append((text, Matchers.parse(text)))
        except ValueError:
            bad.append(text)
    asked = 0
    for _ in range(12):
        labels = {name: random.choice(VALUES) for name in "xyz"}
        ours = {index for index, (_, matchers) in enumerate(good) if matchers.failing(labels) is None}
        theirs = routes(amtool, tmp_path, [text for text, _ in good], labels)
        assert theirs is not None, [text for text, _ in good if routes(amtool, tmp_path, [text], labels) is None]
        assert [good[index] for index in ours ^ theirs] == [], labels
        asked += len(good)
    assert asked > 500
    assert [text for text in bad if routes(amtool, tmp_path, [text], {"x": "a"}) is not None] == []


@given(st.lists(st.sampled_from(VALUES) | st.text(max_size=120), min_size=1, max_size=80))
def test_a_remembered_answer_is_the_right_one(values):
    """A regular expression that has seen many values, and some of them again, answers as a fresh one does."""
    seen, opposite = Matchers.parse('x=~"a.*|.{101,}"'), Matchers.parse('x!~"a.*|.{101,}"')
    for value in values + values:
        fresh = Matchers.parse('x=~"a.*|.{101,}"').failing({"x": value}) is None
        assert (seen.failing({"x": value}) is None) is fresh
        assert (opposite.failing({"x": value}) is None) is not fresh
