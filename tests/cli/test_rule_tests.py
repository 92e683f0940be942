"""`test-rules` runs the users' own tests of their rules, and shows what differs."""

import xml.etree.ElementTree as ET

import pytest
from process import bridge_command, run

from bridge.cli.rule_test_files import Result, junit, run_file
from bridge.config import ConfigError

CONFIG = """
targets:
  default: {region: cn-north-4, project_id: p, auth: {token: {value: "${NOT_SET_HERE}"}}}
  night: {region: cn-north-4, project_id: p, auth: {token: {file: /no/such/file}}}
mapping:
  rules:
    - {name: quiet, match: ['severity="none"'], drop: true}
    - name: kubernetes-pod
      match: ['namespace!=""', 'pod!=""']
      set: {resource_provider: CCE, resource_type: pod, resource_id: "{{ labels.namespace }}/{{ labels.pod }}"}
      annotations: {runbook: "{{ annotations.runbook_url }}"}
    - {name: by-group, match_group: ['receiver="night"', 'team="db"'], target: night}
    - {name: broken, match: [broken=yes], set: {zone: "{{ labels.broken / 0 }}"}}
"""
PASSING = """
config: bridge.yaml
tests:
  - name: pod alerts go to CCE
    alert:
      {labels: {alertname: PodCrash, namespace: shop, pod: api-1}, annotations: {runbook_url: http://r}, status: firing}
    expect:
      rule: kubernetes-pod
      target: default
      severity: Minor
      metadata: {resource_type: pod, resource_id: shop/api-1}
      annotations: {runbook: http://r}
  - name: noise is dropped
    alert: {labels: {alertname: X, severity: none}}
    expect: {dropped: true}
  - name: the night shift's group
    group: {receiver: night, labels: {team: db}}
    alert: {labels: {alertname: X}, status: resolved, starts_at: 2026-11-23T08:00:00Z}
    expect: {rule: by-group, target: night}
  - name: another cluster
    source: eu
    alert: {labels: {alertname: X}}
    expect: {metadata: {alert_source: eu, event_name: X}}
"""


def files(folder, tests):
    """Write the configuration and a file of tests; give the latter's name."""
    (folder / "bridge.yaml").write_text(CONFIG)
    file = folder / "tests.yaml"
    file.write_text(tests)
    return str(file)


def failing(expect, alert="{labels: {alertname: X}}"):
    """Give a file with one test."""
    return f"config: bridge.yaml\ntests:\n  - name: one\n    alert: {alert}\n    expect: {expect}\n"


def test_expectations_that_hold_pass(tmp_path):
    """A subset of rule, target, severity, metadata, annotations and dropped is compared, and nothing else."""
    assert [(result.name, result.differences) for result in run_file(files(tmp_path, PASSING))] == [
        ("pod alerts go to CCE", []),
        ("noise is dropped", []),
        ("the night shift's group", []),
        ("another cluster", []),
    ]


POD = "{labels: {alertname: X, namespace: n, pod: p}}"
DIFFERENT = {
    "rule": (
        "{rule: kubernetes-pod}",
        "{labels: {alertname: X}}",
        ["rule:", "  expected: 'kubernetes-pod'", "  got:      'defaults'"],
    ),
    "target": ("{target: night}", POD, ["target:", "  expected: 'night'", "  got:      'default'"]),
    "severity": ("{severity: Major}", POD, ["severity:", "  expected: 'Major'", "  got:      'Minor'"]),
    "metadata": ("{metadata: {pod: q}}", POD, ["metadata.pod:", "  expected: 'q'", "  got:      'p'"]),
    "absent": ("{metadata: {zone: a}}", POD, ["metadata.zone:", "  expected: 'a'", "  got:      nothing"]),
    "annotation": ("{annotations: {a: b}}", POD, ["annotations.a:", "  expected: 'b'", "  got:      nothing"]),
    "not dropped": ("{dropped: true}", POD, ["dropped:", "  expected: 'true'", "  got:      'false'"]),
    "dropped": (
        "{target: default}",
        "{labels: {severity: none}}",
        ["dropped by quiet, so there is no event"],
    ),
    "fallback": (
        "{metadata: {zone: a}}",
        "{labels: {broken: yes}}",
        [
            "metadata.zone:",
            "  expected: 'a'",
            "  got:      nothing",
            "fallback of zone in broken: TypeError: unsupported operand type(s) for /: 'str' and 'int'",
        ],
    ),
}


@pytest.mark.parametrize(("expect", "alert", "differences"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_differs_is_shown(tmp_path, expect, alert, differences):
    """Each difference names the field, what was expected and what came; a template that broke says so."""
    (result,) = run_file(files(tmp_path, failing(expect, alert)))
    assert result.differences == differences


def test_a_report_is_xml_whatever_a_test_is_called():
    """Control characters, which XML cannot hold, are replaced."""
    text = junit([("f", [Result(name="x\x01\u2028", differences=["a\x02:", "  - '\n'"])])])
    assert ET.fromstring(text)[0][0].get("name") == "x\ufffd\ufffd"  # noqa: S314 - our own report


BAD = {
    "tests: []": "config: it is missing. Fix: add it.",
    "config: bridge.yaml\ntests:\n  - {name: a, alert: {labels: {}}, expect: {}}": "expect: nothing is expected. Fix: ",
    "config: bridge.yaml\ntests:\n  - {name: a, alert: {labels: {}}, expect: {ruel: x}}": "did you mean 'rule'?",
    "config: bridge.yaml\ntests:\n  - {name: a, expect: {rule: x}}": "alert: it is missing. Fix: add it.",
    failing("{rule: x}", "{labels: {}, starts_at: soon}"): "starts_at: it is not a time. Fix: such as",
    failing("{rule: x}", "{labels: {}, status: open}"): "'open' is not known here. Fix: use one of firing, resolved.",
    "config: none.yaml\ntests: []": "none.yaml:1:1: the file cannot be read: it is not there",
}


@pytest.mark.parametrize(("text", "sentence"), BAD.items())
def test_a_bad_file_says_what_and_the_fix(tmp_path, text, sentence):
    """Mistakes in a file of tests, or in the configuration it names, are told as those of a configuration."""
    with pytest.raises(ConfigError) as caught:
        run_file(files(tmp_path, text))
    assert sentence in str(caught.value)


@pytest.mark.real
async def test_the_command_speaks_as_promtool_does(tmp_path):
    """Exit 0 and SUCCESS, or 1 with each failure; --junit writes a report; a file that is not there is exit 2."""
    good = files(tmp_path, PASSING)
    report = tmp_path / "report.xml"
    code, out, err = await run(*bridge_command("test-rules", good, f"--junit={report}"))
    assert (code, out, err) == (0, f"Unit Testing:  {good}\n  SUCCESS: 4 test(s)\n", "")
    bad = tmp_path / "bad.yaml"
    bad.write_text(failing("{rule: kubernetes-pod}"))
    code, out, err = await run(*bridge_command("test-rules", good, str(bad), f"--junit={report}"))
    assert (code, err) == (1, "")
    assert "  FAILED: one\n    rule:\n      expected: 'kubernetes-pod'\n      got:      'defaults'\n" in out
    suites = ET.parse(report).getroot()  # noqa: S314 - our own report
    assert [(s.get("tests"), s.get("failures")) for s in suites] == [("4", "0"), ("1", "1")]
    assert suites[1][0][0].get("message") == "rule:"
    none = str(tmp_path / "none.yaml")
    code, out, _ = await run(*bridge_command("test-rules", none, good, f"--junit={report}"))
    assert (code, "cannot be read" in out, f"Unit Testing:  {good}\n  SUCCESS" in out) == (2, True, True)
    assert [s.get("failures") for s in ET.parse(report).getroot()] == ["1", "0"]  # noqa: S314 - as above
