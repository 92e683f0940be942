"""Templates are constants or Jinja2 over six names; what is missing is empty, and nothing else can be reached."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from bridge.mapping.filters import MAX_TEXT_CHARACTERS
from bridge.mapping.template import Template

SCOPE = {
    "source": "default",
    "labels": {
        "alertname": "Disk",
        "job": "api",
        "instance": "web-1:9100",
        "items": "the label",
        "k8s.pod": "pod-1",
        "\u56e2\u961f": "\u8fd0\u7ef4",
        "empty": "",
        "template": "{{ labels.job }}",
        "__class__": "label",
    },
    "annotations": {"summary": "full", "keys": "note"},
    "alert": {"status": "firing", "fingerprint": "00000000000000ff", "starts_at": "2026-11-23T08:20:43.123Z"},
    "group": {"receiver": "aom", "group_labels": {"alertname": "Disk", "values": "v"}, "common_labels": {}},
}

TEXTS = {
    "": "",
    "Prometheus": "Prometheus",
    "{ not a template }": "{ not a template }",
    "50%}": "50%}",
    "{{ labels.alertname }}": "Disk",
    "{{ labels.nope }}": "",
    "{{ annotations.nope or labels.nope }}": "",
    "{{ labels.empty or 'unnamed' }}": "unnamed",
    "{{ labels.nope or labels.job or 'alert' }}": "api",
    "{{ labels['k8s.pod'] }}": "pod-1",
    "{{ labels['\u56e2\u961f'] }}": "\u8fd0\u7ef4",
    "{{ labels.\u56e2\u961f }}": "\u8fd0\u7ef4",
    "{{ source }}/{{ alert.status }}/{{ alert.fingerprint }}": "default/firing/00000000000000ff",
    "{{ group.receiver }} {{ group.group_labels.alertname }}": "aom Disk",
    "{{ labels.instance | replace(':9100', '') }}": "web-1",
    "{{ labels.job | upper }}-{{ labels.nope | default('x') }}": "API-x",
    "{% if labels.job == 'api' %}yes{% else %}no{% endif %}": "yes",
    "{% for name in labels | sort %}{{ name[0] }}{% endfor %}": "_aeiijkt\u56e2",
    "{# a comment #}": "",
    "{{ labels.template }}": "{{ labels.job }}",
    "{{ none }}": "",
    "{{ 1 + 1 }}": "2",
    "{% set x = labels.job %}{{ x }}{{ x }}": "apiapi",
    "{{ labels.job == 'api' }}": "true",
    "{{ labels.job is defined and labels.nope is undefined }}": "true",
    "{% for name, value in annotations | items %}{{ name }}={{ value }};{% endfor %}": "summary=full;keys=note;",
    "{% for name, value in annotations | dictsort %}{{ loop.index }}{{ name }}{% endfor %}": "1keys2summary",
    "{{ labels.job[:2] }}{{ labels.job[-1] }}": "api",
    "{{ labels.job | toUpper }}{{ labels.alertname | toLower }}": "APIdisk",
    "{{ 'full disk' | title }}": "Full Disk",
    "{{ labels.instance | match('web-[0-9]') }}": "true",
    "{{ labels.instance | match('^[0-9]') }}": "false",
    "{% if labels.instance | match(':9100$') %}node{% endif %}": "node",
    "{{ labels.instance | reReplaceAll('(.*)-([0-9]):.*', '$2/${1}/$3/$$') }}": "1/web//$",
    "{{ labels.instance | reReplaceAll('(?P<host>[a-z]+)', '<$host>') }}": "<web>-1:9100",
    "{{ labels.instance | stripPort }}": "web-1",
    "{{ 'web-1.example.com:80' | stripDomain }} {{ '10.0.0.1:80' | stripDomain }}": "web-1:80 10.0.0.1:80",
    "{{ 'abcdefgh' | truncate(5, true, '~', 0) }}": "abcd~",
    "{{ ['a', 'b'] | join('-') }}": "a-b",
}

HUMANE = {
    "humanize": {"0": "0", "1": "1", "1234567": "1.235M", "0.00001": "10u", "-1500": "-1.5k", "NaN": "nan"},
    "humanize1024": {"0": "0", "1": "1", "1048576": "1Mi", "1.5": "1.5", "-2048": "-2ki"},
    "humanizeDuration": {
        "0": "0s",
        "1": "1s",
        "0.0125": "12.5ms",
        "61": "1m 1s",
        "3661": "1h 1m 1s",
        "90061.5": "1d 1h 1m 1s",
        "-90": "-1m 30s",
        "59.99": "59.99s",
    },
    "humanizePercentage": {"0.1234567": "12.35%", "1": "100%", "0": "0%"},
}

LABELS_LIKE_METHODS = {
    "{{ labels.items }}": "the label",
    "{{ labels['items'] }}": "the label",
    "{{ labels.items | upper }}": "THE LABEL",
    "{{ labels['items'] | upper }}": "THE LABEL",
    "{{ annotations.keys }}": "note",
    "{{ annotations['keys'] | upper }}": "NOTE",
    "{{ group.group_labels.values }}": "v",
    "{{ group.group_labels['values'] }}": "v",
    "{{ labels.keys }}": "",
    "{{ labels['keys'] }}": "",
    "{{ labels.keys | upper }}": "",
    "{{ labels['keys'] | upper }}": "",
    "{{ labels['get'] or 'none' | upper }}": "NONE",
    "{{ group.common_labels['items'] }}": "",
    "{{ labels[alert.status] | upper }}": "",
    "{{ labels.__class__ }}": "label",
    "{{ annotations.__class__ | upper }}": "",
    "{{ annotations['__class__'] | upper }}": "",
}

ESCAPES = [
    "{{ source.__class__ }}",
    "{{ source.__class__.__mro__ }}",
    "{{ source['__class__']['__mro__'] }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ source | attr('__class__') }}",
    "{{ annotations | attr('__class__') }}",
    "{{ '{0.__class__.__mro__}'.format(source) }}",
    "{{ '{0.__class__.__mro__}' | format(source) }}",
    "{{ '{a.__init__.__globals__}'.format_map({'a': source}) }}",
    "{{ [source] | map(attribute='__class__') | list }}",
    "{{ labels.update({'a': 'b'}) }}",
    "{{ labels['update']({'a': 'b'}) }}",
    "{{ [].append.__self__.__class__ }}",
    "{{ (labels | items).gi_frame.f_globals }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{% include '/etc/hostname' %}",
    "{% import 'os' as os %}{{ os }}",
    "{% extends '/etc/hostname' %}",
]

TRACES = ("<class", "object at 0x", "<module", "<function", "<built-in", "__globals__", "subclasses", "root")

BAD = {
    "{{ labels.a": "is not a template: unexpected end of template.*Fix: see Jinja2's syntax",
    "{{ }}": "is not a template: .*Fix: see Jinja2's syntax",
    "{% if labels.a %}": "is not a template: .*Fix: see Jinja2's syntax",
    "{% nope %}": "is not a template: Encountered unknown tag 'nope'",
    "{{ labels.a | nofilter }}": "a filter 'nofilter', which does not exist. Fix: use one of abs, ",
    "{{ labels.a | uper }}": "a filter 'uper', which does not exist. Fix: did you mean 'upper'?",
    "{{ labels.a | few }}": "a filter 'few', which does not exist. Fix: ",
    "{{ 'x' | center(999999999) }}": "a filter 'center', which does not exist. Fix: ",
    "{{ labels.a | indent(999999999) }}": "a filter 'indent', which does not exist. Fix: ",
    "{{ '%99999d' | format(1) }}": "a filter 'format', which does not exist. Fix: ",
    "{{ [labels] | map(attribute='a') | list }}": "a filter '(map|list)', which does not exist. Fix: ",
    "{{ labels.a is divisibleby 3 }}": "a test 'divisibleby', which does not exist. Fix: use one of ",
    "{{ labels.a | match(labels.b) }}": "has a match without a constant pattern. Fix: write match",
    "{{ labels.a | match }}": "has a match without a constant pattern. Fix: write match",
    "{{ labels.a | match('(') }}": "is not a regular expression of RE2: .* Fix: ",
    "{{ labels.a | reReplaceAll('\\\\C', '') }}": "is not known there. Fix: ",
    "{% for a in [1, 2] %}{% endfor %}": "loops over something other than labels or annotations. Fix: ",
    "{% for a in labels.a %}{% endfor %}": "loops over something other than labels or annotations. Fix: ",
    "{% for a in labels %}{% for b in labels %}{% endfor %}{% endfor %}": "has a loop within a loop. Fix: ",
    "{% for a in labels %}{% if a %}{% for b in labels %}{% endfor %}{% endif %}{% endfor %}": "a loop within a loop",
    "{% for a in labels recursive %}{% endfor %}": "loops over something other than labels or annotations. Fix: ",
    "{% set a = labels.a ~ labels.a %}{{ a ~ a }}": "adds texts in a set statement. Fix: add them where they are shown",
    "{% set a = (labels.a + 'x') | upper %}": "adds texts in a set statement. Fix: ",
    "{{ " + " ~ ".join(["labels.a"] * 60) + " }}": "adds 60 values, 50 are allowed. Fix: ",
    "{{ " + " + ".join(["labels.a"] * 60) + " }}": "adds 59 values, 50 are allowed. Fix: ",
    "{{ labels.a }}" + "x" * 8_200: "is over 8192 characters. Fix: make it simpler",
    "{{ {'a': 1} }}": "uses (Dict|Pair), which is not allowed. Fix: ",
    "{{ label.a }}": "unknown name 'label' in a template. Fix: did you mean 'labels'?",
    "{{ Labels.a }}": "unknown name 'Labels' in a template. Fix: did you mean 'labels'?",
    "{{ zzz }}": "unknown name 'zzz' in a template. Fix: use one of labels, annotations, alert, group, source, vars.",
    "{{ alertname }}": "unknown name 'alertname' in a template. Fix: ",
    "{{ range(9) }}": "uses Call, which is not allowed. Fix: ",
    "{{ cycler }}": "unknown name 'cycler' in a template. Fix: ",
    "{{ lipsum }}": "unknown name 'lipsum' in a template. Fix: ",
    "{{ namespace }}": "unknown name 'namespace' in a template. Fix: ",
    "{{ labels.nope() }}": "uses Call, which is not allowed. Fix: ",
    "{{ labels.items() }}": "uses Call, which is not allowed. Fix: ",
    "{{ labels.instance.split(':')[7].upper() }}": "uses Call, which is not allowed. Fix: ",
    "{% macro m() %}x{% endmacro %}": "uses Macro, which is not allowed. Fix: ",
    "{% include 'x' %}": "uses Include, which is not allowed. Fix: ",
    "{{ 10 ** 10 ** 10 }}": "uses Pow, which is not allowed. Fix: ",
    "{{ 'x' * 999999999 }}": "uses Mul, which is not allowed. Fix: ",
    "{{ '%9999999999d' % 1 }}": "uses Mod, which is not allowed. Fix: ",
}

TOO_MUCH = {
    "parentheses, open": "{{ " + "(" * 5_000,
    "parentheses": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "minus": "{{ " + "-" * 5_000 + "1 }}",
    "or": "{{ " + " or ".join(["labels.a"] * 5_000) + " }}",
    "lists": "{{ " + "[" * 150 + "]" * 150 + " }}",
    "loops": "{% for a in labels %}" * 25 + "{% endfor %}" * 25,
    "conditions": "{% if labels.a %}" * 500 + "{% endif %}" * 500,
}

RUNTIME = [
    "{{ labels.job / 0 }}",
    "{{ 1 / 0 }}",
    "{{ labels.job + 1 }}",
    "{{ labels.job | round }}",
]


def render(text, expand=str):
    """Render a template over the test's scope."""
    return Template.parse(text, expand).render(SCOPE)


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_a_template_gives_its_text(text, expected):
    """Constants, look-ups, filters and blocks work as in Jinja2; a name that is missing is the empty string."""
    assert render(text) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [(name, value, expected) for name, pairs in HUMANE.items() for value, expected in pairs.items()],
)
def test_numbers_are_written_as_prometheus_does(name, value, expected):
    """The functions for people give what they give in Prometheus' own templates."""
    assert render("{{ '" + value + "' | " + name + " }}") == expected


LONG = {
    "labels": {f"l{i}": "x" * 16_000 for i in range(400)},
    "annotations": {},
    "alert": {},
    "group": {},
    "source": "",
}
HEAVY = {
    "replace": "{{ labels.l1 | replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') }}",
    "replaced twice": "{{ 'a' | replace('a', labels.l1) | replace('x', labels.l2) }}",
    "empty pattern": "{{ labels.l1 | reReplaceAll('', '" + "y" * 4_000 + "') }}",
    "group many times": "{{ labels.l1 | reReplaceAll('(.*)', '" + "$1" * 2_000 + "') }}",
    "join": "{{ [labels.l1, labels.l2, labels.l3] | join }}",
}


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY.keys())
def test_no_filter_makes_a_value_long(text):
    """What would grow over the limit raises before it is made."""
    with pytest.raises(ValueError, match=f"grew over {MAX_TEXT_CHARACTERS} characters"):
        Template.parse(text).render(LONG)


def test_output_is_cut_while_it_is_made():
    """However much a loop would write, it is stopped at the limit, and sees so many labels at most."""
    text = "{% for name, value in labels | items %}{{ value }}{{ value | upper }}{% endfor %}"
    assert len(Template.parse(text).render(LONG)) == MAX_TEXT_CHARACTERS
    assert Template.parse("{% for name in labels %}{{ 1 }}{% endfor %}").render(LONG) == "1" * 100


REFUSED = {
    "lists in lists": "{% set a=[labels.x,labels.x] %}{% set a=[a,a] %}{{ a }}",
    "a list alone": "{{ [labels.x, labels.x] }}",
    "maps added": "{{ (labels ~ labels) | length }}",
    "a map whole": "{{ labels }}",
    "a map in a list": "{{ [labels] | join }}",
    "sorting in a loop": "{% for n in labels %}{{ labels | sort | length }}{% endfor %}",
    "itself": "{{ self }}",
    "the loop": "{% for n in labels %}{{ loop }}{% endfor %}",
    "many filters": "{{ labels.x" + " | title" * 30 + " }}",
    "many filters in a loop": "{% for n in labels %}{{ n" + " | upper" * 8 + " }}{% endfor %}",
    "a replacement from a label": "{{ labels.x | reReplaceAll('(.*)', labels.y) }}",
    "a tuple": "{{ (labels.x, labels.x) }}",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_could_grow_without_end_is_refused(text):
    """Lists in lists, whole maps and long chains of filters are refused when the template is read."""
    with pytest.raises(ValueError, match="Fix: "):
        Template.parse(text)


HARD = {
    "digits": "{{ labels.x | length | round(100000000, 'ceil') }}",
    "negative digits": "{{ labels.x | length | round(-100000000) }}",
    "constant digits": "{{ 1 | round(100000000, 'ceil') }}",
    "many look-ups": "{{ labels.x }}" * 600,
    "quoting": "{{ labels.p" + " | urlencode" * 15 + " }}",
    "joining with a label": "{{ [labels.x, labels.x, labels.x] | join(labels.x) }}",
    "a group many times": "{{ labels.x | reReplaceAll('^.*$', '" + "$0" * 4_000 + "') }}",
    "hard patterns": "".join("{{ labels.x | match('(a|b)*a(a|b){" + str(size) + "}c') }}" for size in range(60, 80)),
    "titles in a loop": "{% for n in labels %}{{ labels.x | title | title | title | title | first }}{% endfor %}",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
def test_what_is_allowed_takes_neither_long_nor_much(text):
    """The worst that the list of allowed syntax leaves ends soon, and its output is short."""
    labels = {f"l{i}": "ab" * 8_192 for i in range(200)} | {"x": "ab" * 8_192, "p": "%" * 16_384}
    scope = {**SCOPE, "labels": labels}
    try:
        found = Template.parse(text).render(scope)
    except ValueError as error:
        found = str(error)
    assert len(found) <= MAX_TEXT_CHARACTERS


def test_no_method_is_shown():
    """A text has no attributes, and a loop only its counters."""
    assert render("{% set x = labels.job %}{{ x.format }}{{ x['upper'] }}{{ x.__class__ }}") == ""
    assert render("{% for n in annotations %}{{ loop.index }}{{ n.format }}{{ n.__class__ }}{% endfor %}") == "12"
    for text in ("labels.job.format", "source.format", "loop.cycle"):
        with pytest.raises(ValueError, match="Fix: "):
            Template.parse(f"{{% for n in annotations %}}{{{{ {text} }}}}{{% endfor %}}")


@pytest.mark.parametrize(("text", "expected"), LABELS_LIKE_METHODS.items())
def test_a_maps_attributes_are_its_keys_and_never_methods(text, expected):
    """A label called items is that label, and a missing one is empty, however it is looked up."""
    assert render(text) == expected


@pytest.mark.parametrize("text", ESCAPES)
def test_no_template_reaches_python(text):
    """Dangerous attributes give nothing, or an error at run time; the scope stays as it was."""
    before = repr(SCOPE)
    try:
        found = render(text)
    except Exception as error:  # noqa: BLE001 - each kind of error is a refusal
        found = type(error).__name__
    assert [trace for trace in TRACES if trace in found] == []
    assert repr(SCOPE) == before


@pytest.mark.parametrize(("text", "sentence"), BAD.items())
def test_a_bad_template_says_what_and_the_fix(text, sentence):
    """Wrong syntax, unknown filters and unknown names are refused when the template is read."""
    with pytest.raises(ValueError, match=sentence):
        Template.parse(text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_an_absurd_template_is_a_value_error(text):
    """A template that is too deep for Python's compiler is refused like any other bad one, and never by a crash."""
    try:
        Template.parse(text)
    except ValueError as error:
        assert "Fix: " in str(error)  # noqa: PT017 - being read is as good


@pytest.mark.parametrize("text", RUNTIME)
def test_what_breaks_at_run_time_raises_there_and_not_before(text):
    """A template that only some alerts break is read, and raises when it is rendered."""
    template = Template.parse(text)
    with pytest.raises((TypeError, ValueError, ZeroDivisionError, TemplateError)):
        template.render(SCOPE)


def variables(text):
    """Expand ${X} to what looks like a template, and $$ to a dollar."""
    return text.replace("${X}", "{{ labels.job }}{% raw %}").replace("${ITEM}", "job").replace("$$", "$")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${X}", "{{ labels.job }}{% raw %}"),
        ("${X} {{ labels.job }}", "{{ labels.job }}{% raw %} api"),
        ("{{ labels.job }}${X}{{ labels.job }}", "api{{ labels.job }}{% raw %}api"),
        ("{{ '${X}' }}", "{{ labels.job }}{% raw %}"),
        ("{{ labels.nope or '${X}' }}", "{{ labels.job }}{% raw %}"),
        ("{{ '${X}' | upper }}", "{{ LABELS.JOB }}{% RAW %}"),
        ("{{ labels['${ITEM}'] }}", "api"),
        ("{{ labels['${ITEM}'] | upper }}", "API"),
        ("{% if labels.job %}${X}{% endif %}", "{{ labels.job }}{% raw %}"),
        ("{% raw %}${X}{% endraw %}", "{{ labels.job }}{% raw %}"),
        ("$$5 {{ labels.job }}", "$5 api"),
        ("$$5", "$5"),
    ],
)
def test_a_variable_is_never_read_as_a_template(text, expected):
    """What ${VAR} gives stays text in every place of a template, even if it looks like one."""
    assert render(text, variables) == expected


def test_an_alerts_text_is_never_read_as_a_template():
    """A label or annotation that looks like a template stays text, also through Jinja2 itself."""
    assert render("{{ labels.template }}") == "{{ labels.job }}"
    assert render("{{ labels.template | lower }}") == "{{ labels.job }}"


def test_a_template_shows_what_was_written_and_not_what_a_variable_held():
    """The text of a template, in messages and repr, is the one of the file."""
    template = Template.parse("${X} {{ labels.job }}", variables)
    assert template.text == "${X} {{ labels.job }}"
    assert repr(template) == "Template('${X} {{ labels.job }}')"


PIECES = st.sampled_from(
    [
        "labels.job",
        "labels.nope",
        "labels['k8s.pod']",
        "labels['items']",
        "alert.status",
        "annotations.empty",
        "'x'",
        "''",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=4), st.sampled_from(["", "-", "\n", " \u78c1 "]))
def test_the_short_way_gives_what_jinja2_gives(pieces, between):
    """Plain look-ups, which never reach Jinja2, give the same text as Jinja2 does."""
    plain = "{{ " + " or ".join(pieces) + " }}" + between + "{{ " + pieces[0] + " }}"
    assert render(plain + "!") == render(plain + "{% if true %}!{% endif %}")


@settings(deadline=None, max_examples=200)
@given(
    st.text(max_size=40)
    | st.lists(
        st.sampled_from(["{{", "}}", "{%", "%}", "labels", ".a", "|", " ", "if", "for", "(", "[", "'", "1"])
    ).map("".join)
)
def test_any_text_is_a_template_or_a_value_error(text):
    """No text breaks the reader of templates."""
    try:
        template = Template.parse(text)
    except ValueError:
        return
    assert template.text == text
