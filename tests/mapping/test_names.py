"""What a template may look at is a closed set; anything else is a mistake that names the right spelling."""

import pytest
from config_reading import TARGETS, problems, read
from mapping_driver import GROUP, alert

from bridge.mapping import names
from bridge.mapping.names import fix_of_go
from bridge.mapping.template import Template
from bridge.mapping.template_scope import AlertScope

MEANT = {
    # Go's templates, as Prometheus and Alertmanager have them
    "{{ $labels.instance }}": "write labels.instance instead of $labels.instance",
    "{{ .Labels.instance }}": "write labels.instance instead of .Labels.instance",
    "{{- .Labels.instance -}}": "write labels.instance instead of .Labels.instance",
    "{{ .Labels.instance | toUpper }}": "write labels.instance instead of .Labels.instance",
    "{{ .Annotations.summary }}": "write annotations.summary instead of .Annotations.summary",
    "{{ .CommonLabels.job }}": "write group.common_labels.job instead of .CommonLabels.job",
    "{{ .GroupLabels.job }}": "write group.group_labels.job instead of .GroupLabels.job",
    "{{ .ExternalURL }}": "write group.external_url instead of .ExternalURL",
    "{{ .StartsAt }}": "write alert.starts_at instead of .StartsAt",
    "{{ .GeneratorURL }}": "write alert.generator_url instead of .GeneratorURL",
    "{{ .Status }}": "write alert.status instead of .Status",
    "{{ $externalLabels.cluster }}": "write labels.cluster instead of $externalLabels.cluster",
    '{{ index $labels "a.b" }}': 'write labels["a.b"] instead of index $labels "a.b"',
    '{{ printf "%s" $labels.x }}': "write labels.x instead of $labels.x",
    "{{ $value }}": "Alertmanager sends no value.",
    "{{ .Value }}": "Alertmanager sends no value.",
    "{{ value }}": "Alertmanager sends no value.",
    "{{ if labels.x }}a{{ end }}": "write Jinja2, not Go: {% if labels.a %}",
    "{{ if .Labels.x }}a{{ end }}": "write Jinja2, not Go: {% if labels.a %}",
    "{{ toUpper .Labels.x }}": "a filter follows its value, such as labels.instance | toUpper",
    "{{ humanize labels.x }}": "a filter follows its value, such as labels.instance | humanize",
    # the payload's own spelling, and what is elsewhere
    "{{ alert.startsAt }}": "write alert.starts_at.",
    "{{ alert['endsAt'] }}": "write alert.ends_at.",
    "{{ alert.generatorURL | link }}": "write alert.generator_url.",
    "{{ alert.labels.instance }}": "write labels.instance.",
    "{{ alert.labels['a.b'] }}": 'write labels["a.b"].',
    "{{ alert.annotations }}": "write annotations.",
    "{{ alert.name }}": "write labels.alertname.",
    "{{ alert.zzz }}": "use one of alert.status, alert.starts_at, alert.ends_at, ",
    "{{ group.labels.job }}": "write group.group_labels.job.",
    "{{ group.commonLabels.job }}": "write group.common_labels.",
    "{{ group.zzz.deeper }}": "use one of group.receiver, ",
    "{{ group.items }}": "use one of group.receiver, ",
    "{{ startsAt }}": "did you mean alert.starts_at?",
    "{{ receiver }}": "did you mean group.receiver?",
    "{{ alertname }}": "did you mean labels.alertname?",
    "{{ summary }}": "did you mean annotations.summary?",
    "{{ zone }}": "a label is labels.zone.",
    "{% for name in labels %}{{ loop.indx }}{% endfor %}": "write loop.index.",
    # names that are no words
    "{{ labels.host-name }}": 'a name with - or / is written labels["host-name"]',
    "{{ labels.host-name or 'x' }}": 'labels["host-name"]',
    "{{ labels.a-b-c | upper }}": 'labels["a-b-c"]',
    "{{ labels.zone-1 }}": 'labels["zone-1"]',
    "{{ annotations.a-b.c }}": 'annotations["a-b.c"]',
    "{{ labels.app.kubernetes.io/name }}": 'labels["app.kubernetes.io/name"]',
    "{{ labels.x | default(labels.y-z) }}": 'labels["y-z"]',
    "{{ labels.a.b }}": 'write labels["a.b"].',
    "{{ labels.a.b.c or 'x' }}": 'write labels["a.b.c"].',
    "{{ labels['a'].b }}": 'write labels["a.b"].',
    "{{ group.common_labels.a.b }}": 'write group.common_labels["a.b"].',
    "{{ alert.status.x }}": "write alert.status.",
    "{{ source.x }}": "write source.",
    "{{ vars.a.b }}": "write vars.a.",
    "{{ labels[0] }}": "write the name, such as labels.cluster.",
    "{{ labels[:2] }}": "write the name, such as labels.cluster.",
    "{{ alert[labels.a] }}": "write it, such as alert.status.",
    "{{ group[labels.a] }}": "write it, such as group.receiver.",
    # Python
    '{{ labels.get("x") }}': "write labels.x.",
    '{{ labels.get("a.b", "y") }}': 'write labels["a.b"] or the other value.',
    "{{ labels.items() }}": "write for name, value in labels | items.",
    "{{ labels.x.upper() }}": "write labels.x | upper.",
    "{{ labels.x.split(':')[0] }}": "write labels.x | reReplaceAll.",
    "{% set labels = 1 %}": "such as my_labels.",
    "{% for alert in labels %}{% endfor %}": "such as my_alert.",
}


@pytest.mark.parametrize(("text", "meant"), MEANT.items())
def test_a_wrong_name_is_a_mistake_that_names_the_right_one(text, meant):
    """Spellings of Go, of the payload and of Python are told with ours, as are names that are no words."""
    with pytest.raises(ValueError, match="Fix: ") as caught:
        Template.parse(text)
    assert meant in str(caught.value).partition("Fix: ")[2]


@pytest.mark.parametrize(
    "text",
    [
        'labels["a.b"]',
        "labels['app.kubernetes.io/name']",
        "labels[alert.status]",
        "labels.job[:2]",
        "labels.job[-1]",
        "labels.a - labels.b",
        "(labels.a | float) - 1",
        "(labels.a | int) / (labels.b | int)",
        "group.group_labels['a.b']",
        "group.common_annotations.summary",
        "labels.items",
        "annotations.get",
    ],
)
def test_what_is_no_mistake_is_read(text):
    """Names in brackets, parts of texts, numbers, and labels with the names of methods stay what they were."""
    Template.parse(f"{{{{ {text} }}}}")
    Template.parse(f"{{{{ ({text}) | upper }}}}")


def test_a_mistake_has_its_line():
    """The line is that of the value in the file, for every template of it."""
    text = 'mapping:\n  annotations:\n    a: "{{ labels.ok }}"\n    b: "{{ labels.x-y }}"\n    c: "{{ .Labels.x }}"\n'
    first, second = problems(TARGETS + text)
    assert first.startswith("test.yaml:5:8: mapping.annotations.b: line 1 of a template subtracts from labels.x.")
    assert second.startswith("test.yaml:6:8: mapping.annotations.c: ")


def test_dotted_labels_reach_the_event():
    """A label of OpenTelemetry is looked up by its whole name, by plain look-ups and by Jinja2's."""
    text = (
        "mapping: {rules: [{name: r, set: {a: '{{ labels[\"k8s.pod\"] }}', b: '{{ labels[\"k8s.pod\"] | upper }}'}}]}"
    )
    event = read(TARGETS + text).mapper().map("s", alert({"k8s.pod": "api-1"}), GROUP).mapped.event
    assert (event.metadata["a"], event.metadata["b"]) == ("api-1", "API-1")


def test_the_closed_set_is_what_there_is():
    """The names that are checked for are those that a template sees."""
    scope = AlertScope("s", alert(), GROUP, {})
    assert {name for name in names.NAMES if scope[name] is not None} == set(names.NAMES)
    assert set(scope) == set(names.NAMES)
    assert (set(scope["alert"]), set(scope["group"])) == (set(names.ALERT), set(names.GROUP))


@pytest.mark.parametrize(
    "text", ["{{ labels.a", "{{ }}", "{% nope %}", "$labels.x {{ }}", "{{ labels.a | 'x.Labels' }}"]
)
def test_what_is_not_go_is_not_taken_for_it(text):
    """A template that is broken in another way has no hint about Go."""
    assert fix_of_go(text) == ""
