"""Matchers are written and understood as Alertmanager does; a wrong one says what is wrong and how to write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mapping.matcher import Matcher

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
    ("braces={a,b}", {"braces": "{a,b}"}),
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

NOT_A_MATCHER = "is not a matcher. Fix: write label, operator and quoted value"
QUOTES = "quote"
NO_RE2 = "is not a regular expression of RE2: .+. Fix: correct it"

BAD = [
    ("", NOT_A_MATCHER),
    ("severity", NOT_A_MATCHER),
    ("=critical", NOT_A_MATCHER),
    ('severity:"critical"', NOT_A_MATCHER),
    ('k8s.pod.name <> "x"', NOT_A_MATCHER),
    ("'severity'=\"x\"", NOT_A_MATCHER),
    ('{severity="critical"}', NOT_A_MATCHER),
    ('""="x"', "Fix: "),
    ('severity="critical', QUOTES),
    ('severity=critical"', QUOTES),
    ('severity="', QUOTES),
    ('severity=crit"ical', QUOTES),
    ('severity="crit"ical"', QUOTES),
    ('severity="critical",job="api"', QUOTES),
    ('severity=~"("', NO_RE2),
    ('severity=~"a{2000}"', NO_RE2),
    ('severity!~"*"', NO_RE2),
    ('severity=~"(?=look)"', NO_RE2),
    ('severity=~"(a)\\\\1"', NO_RE2),
]


@pytest.mark.parametrize(("text", "labels"), HOLDS)
def test_a_matcher_holds(text, labels):
    """The four operators, quotes, escapes, UTF-8 names and missing labels mean what they mean in Alertmanager."""
    assert Matcher.parse(text).matches(labels)


@pytest.mark.parametrize(("text", "labels"), HOLDS_NOT)
def test_a_matcher_does_not_hold(text, labels):
    """Values are compared with regard to case, and regular expressions over the whole value."""
    assert not Matcher.parse(text).matches(labels)


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_what_is_no_matcher_says_why(text, sentence):
    """A wrong matcher is refused with the fix, rather than read as something else."""
    with pytest.raises(ValueError, match=sentence):
        Matcher.parse(text)


def test_a_matcher_shows_what_was_written():
    """A matcher keeps its text and its label's name, for messages."""
    matcher = Matcher.parse(' "k8s.pod" =~ "a|b" ')
    assert (matcher.text, matcher.name) == (' "k8s.pod" =~ "a|b" ', "k8s.pod")
    assert repr(matcher) == 'Matcher(\' "k8s.pod" =~ "a|b" \')'


@pytest.mark.timeout(10)
def test_no_regular_expression_takes_long():
    """RE2 has no pattern that runs away: the classic trap answers at once."""
    assert not Matcher.parse('a=~"(a+)+b"').matches({"a": "a" * 50_000})


def quoted(text):
    """Write a value between quotes, as Alertmanager reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


names = st.text(min_size=1, max_size=10)


@given(names, st.text(max_size=20), st.text(max_size=20))
def test_a_quoted_value_is_taken_as_it_is(name, value, other):
    """Any name and value, quoted and escaped, are matched exactly; = and != are each other's opposite."""
    text = f"{quoted(name)}={quoted(value)}"
    opposite = Matcher.parse(f"{quoted(name)}!={quoted(value)}")
    for found in (value, other):
        assert Matcher.parse(text).matches({name: found}) == (found == value)
        assert opposite.matches({name: found}) == (found != value)


@given(
    st.text(st.characters(exclude_categories=()), max_size=20) | st.text(st.sampled_from('a"=~!\\{}( \n'), max_size=12)
)
def test_any_text_is_a_matcher_or_a_value_error(text):
    """No text breaks the reader, and what is read can be asked."""
    try:
        matcher = Matcher.parse(text)
    except ValueError:
        return
    assert matcher.matches({matcher.name: "x"}) in (True, False)
