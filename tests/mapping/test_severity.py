"""The severity of an alert is a word of one of many tools; each word gets its meaning, and an unknown one is told."""

import json

import pytest
from bridge_rig import running
from config_reading import TARGETS, problems
from mapping_driver import alert, rule
from mapping_driver import run as mapped_by
from process import bridge_command, run
from webhooks import alert as fired
from webhooks import payload

from bridge.mapping import Fallback
from bridge.mapping.severity import SeveritySettings
from bridge.mapping.template import Template

WORDS = {
    "Critical": "emergency fatal Disaster crit P1 sev1 紧急 致命 panic alert blocker urgent SEV-0 s_1 p0 CRITICAL",
    "Major": "high err 严重 重要 error severe P2 Sev-2 S2 MAJOR",
    "Minor": "warning WARN minor moderate average medium P3 次要 警告 一般 告警 ticket",
    "Info": "informational notice debug info none low trivial ok 提示 信息 P5 sev4 S5 trace not-ice",
}


def severity_of(word, **settings):
    """Give the severity of an alert with this word, and its fallbacks."""
    result = mapped_by(alert({"alertname": "Disk", "severity": word}), **settings)
    return result.mapped.event.severity, result.fallbacks


@pytest.mark.parametrize(
    ("word", "expected"),
    [(word, name) for name, words in WORDS.items() for word in [*words.split(), f" {words.split()[0]} "]],
)
def test_the_words_of_many_tools_have_their_meaning(word, expected):
    """Words of Prometheus, syslog, Zabbix, Opsgenie and AOM's console are known, however they are spelled."""
    assert severity_of(word) == (expected, ())


@pytest.mark.parametrize("word", ["purple", "1", "5", "critical!", "-", "特别", "x" * 100_000])
def test_a_word_that_is_in_no_table_is_a_fallback(word):
    """An unknown word, and a bare digit, gets the default and is noted with the word, cut to what a log can hold."""
    problem = f"severity={word[:80]!r} is not in the table: Minor"
    assert severity_of(word) == ("Minor", (Fallback("defaults", "event_severity", problem, word[:80]),))


@pytest.mark.parametrize("labels", [{}, {"severity": ""}, {"severity": " "}])
def test_an_alert_without_a_severity_is_no_fallback(labels):
    """Where there is no word, the default is what was meant."""
    result = mapped_by(alert({"alertname": "Disk", **labels}), severity=SeveritySettings(default="Info"))
    assert (result.mapped.event.severity, result.fallbacks) == ("Info", ())


def test_a_rules_own_table_names_its_rule():
    """What a rule's table does not hold counts for that rule; the shipped table does not help."""
    made = rule("r", severity=SeveritySettings(label="prio", map={"Sehr Hoch": "Major"}))
    found = [mapped_by(alert({"prio": word}), made) for word in ("sehr_hoch", "critical")]
    assert [one.mapped.event.severity for one in found] == ["Major", "Minor"]
    assert [[(f.rule, f.word) for f in one.fallbacks] for one in found] == [[], [("r", "critical")]]


def test_a_template_that_gives_none_falls_back_to_the_table():
    """Where the template of a rule and the common table both know nothing, each is noted."""
    made = rule("r", severity=Template.parse("{{ labels.nope }}"))
    found = mapped_by(alert({"severity": "purple"}), made).fallbacks
    assert [(f.rule, f.word) for f in found] == [("r", ""), ("defaults", "purple")]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("{Critical: Critical, critical: Major}", "'critical' and 'Critical' are one word here"),
        ("{sev-1: Critical, 'SEV 1': Info}", "'SEV 1' and 'sev-1' are one word here"),
        ("{'- _': Info}", "'- _' has nothing but spaces, _ and -. Fix: "),
    ],
)
def test_two_words_that_are_one_must_agree(table, sentence):
    """Two spellings of one word with two severities are a mistake, in the common table and in that of a rule."""
    for text in (f"severity: {{map: {table}}}", f"rules: [{{name: r, severity: {{map: {table}}}}}]"):
        (line,) = problems(TARGETS + f"mapping: {{{text}}}")
        assert sentence in line
        assert "Fix: " in line


def test_two_spellings_with_one_severity_are_no_mistake():
    """A table that names a word twice with the same severity is fine."""
    assert SeveritySettings(map={"sev-1": "Critical", "SEV1": "Critical"}).problems() == []


@pytest.mark.real
async def test_map_names_the_word(tmp_path):
    """`map` shows the word that is in no table, and where the severity comes from instead."""
    file = tmp_path / "bridge.yaml"
    file.write_text(TARGETS)
    body = json.dumps(payload(fired("x", severity="purple"))).encode()
    _, out, _ = await run(*bridge_command("map", f"--config.file={file}", "-"), stdin=body)
    assert "fallback of event_severity in defaults: severity='purple' is not in the table: Minor\n" in out


async def test_an_unknown_word_is_logged_once_and_counted_each_time(tmp_path, capsys):
    """Each word has one line in the log, however many alerts bring it; the metric counts every one."""
    async with running(tmp_path / "l.db") as rig:
        for instance in ("a", "b"):
            await rig.send(
                fired("x", instance=instance, severity="purple"), fired("y", instance=instance, severity="beige")
            )
        assert await rig.metric("aom_bridge_mapping_fallbacks_total", rule="defaults") == 4
        lines = [line for line in capsys.readouterr().out.splitlines() if "mapping fell back" in line]
        assert [word for line in lines for word in ("purple", "beige") if word in line] == ["purple", "beige"]


async def test_words_without_end_do_not_fill_the_log(tmp_path, capsys, monkeypatch):
    """Who sends one new word after another has so many of them logged, and all of them counted."""
    monkeypatch.setattr("bridge.receiving.intake_log._MAX_FALLBACKS_LOGGED", 2)
    async with running(tmp_path / "l.db") as rig:
        await rig.send(*(fired("x", instance=str(i), severity=f"word-{i}") for i in range(9)))
        assert await rig.metric("aom_bridge_mapping_fallbacks_total", rule="defaults") == 9
        assert capsys.readouterr().out.count("mapping fell back") == 2
