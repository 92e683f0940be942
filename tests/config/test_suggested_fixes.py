"""The fix of each message about a configuration's form is applied to its file, and the file is read."""

import pytest
from paths import DATA

from bridge.config import load

BAD = DATA / "config" / "bad"
ENV = {"AOM_PROJECT_ID": "p1", "AOM_DOMAIN": "d", "AOM_USER": "u"}

MENDS = {
    "yaml_template_unquoted": [("{{ labels.instance }}", "'{{ labels.instance }}'")],
    "yaml_template_unquoted_tail": [
        ("{{ labels.namespace }}/{{ labels.pod }}", "'{{ labels.namespace }}/{{ labels.pod }}'")
    ],
    "yaml_template_unquoted_filter": [
        ("{{ labels.instance | default('x') }}", "'{{ labels.instance | default(''x'') }}'")
    ],
    "yaml_template_unquoted_index": [('{{ labels["a.b"] }}', "'{{ labels[\"a.b\"] }}'")],
    "yaml_template_block_unquoted": [("{% if labels.a %}b{% endif %}", "'{% if labels.a %}b{% endif %}'")],
    "yaml_template_after_colon": [("alert: {{ labels.alertname }}", "'alert: {{ labels.alertname }}'")],
    "yaml_backslash": [('"instance=~\\"10\\.0\\.0\\..*\\""', "'instance=~\"10\\.0\\.0\\..*\"'")],
    "yaml_tab_for_a_space": [("\t", " ")],
    "yaml_nbsp": [("\xa0", " ")],
    "yaml_ideographic_space": [("\u3000", "")],
    "yaml_nbsp_after_colon": [("\xa0", " ")],
    "yaml_zero_width_in_key": [("\u200b", "")],
    "yaml_full_width_colon": [("：", ": ")],
    "yaml_space_missing": [("region:", "region: ")],
    "yaml_colon_missing": [("region ", "region: ")],
    "yaml_colon_missing_first": [("region ", "region: ")],
    "yaml_percent": [("%a", "'%a'")],
    "yaml_at": [("@a", "'@a'")],
    "yaml_star": [("[*]", "all")],
    "yaml_star_matcher": [("- *", "- '{a=\"b\"}'")],
    "yaml_anchor": [(" &usual", "")],
    "yaml_pipe": [("|a text", "'|a text'")],
    "yaml_after_the_quote": [('"{{ labels.a }}"/{{ labels.b }}', "'{{ labels.a }}/{{ labels.b }}'")],
    "yaml_after_the_quote_text": [("'it's'", "'it''s'")],
    "yaml_flow_mapping": [("a.db", "a.db}")],
    "yaml_too_deep": [("      project_id", "    project_id")],
    "yaml_too_flat": [("   project_id", "    project_id")],
    "yaml_list_lost": [("    match", "      match")],
    "yaml_list_lost_by_one": [("     match", "      match")],
    "yaml_dash_among_keys": [("- rules", "rules")],
    "yaml_matcher_in_braces": [('{severity="critical", team="x"}', '\'{severity="critical", team="x"}\'')],
    "yaml_matchers_as_a_map": [
        (
            'match:\n        severity: critical\n        team: "it\'s"',
            "match: ['severity=\"critical\"', 'team=\"it''s\"']",
        )
    ],
    "yaml_matchers_as_braces": [('{severity="critical"}', "['severity=\"critical\"']")],
    "yaml_matcher_as_a_map": [("severity: critical", "'severity=\"critical\"'")],
    "tags": [("!env AOM_PROJECT_ID", "p1"), ("!secret aom", "'!secret aom'")],
    "tag_include": [
        ("!include targets.yaml", "{default: {region: cn-north-4, project_id: p1, auth: {token: {value: t}}}}")
    ],
    "tag_of_a_type": [("!!int ", "")],
    "tag_of_a_section": [("!!map ", "")],
    "tag_with_a_handle": [("!e!x ", "")],
    "lost_level_target": [("\n  region", "\n    region"), ("\n  project", "\n    project"), ("\n  auth", "\n    auth")],
    "lost_level_targets": [
        ("\ndefault", "\n  default"),
        ("\n  region", "\n    region"),
        ("\n  project", "\n    project"),
        ("\n  auth", "\n    auth"),
    ],
    "lost_level_rules": [("\nrules:\n  - ", "\n  rules:\n    - ")],
    "lost_level_mapping_missing": [("rules:\n  - ", "mapping:\n  rules:\n    - ")],
    "lost_level_auth": [("    token", "      token")],
    "lost_level_token": [("      value", "        value")],
    "lost_level_set": [("      resource", "        resource")],
    "name_of_target_missing": [("targets:", "targets:\n default:")],
    "variables_of_a_shell": [
        ("$AOM_PROJECT_ID", "'${AOM_PROJECT_ID}'"),
        ("$(AOM_DOMAIN)", "'${AOM_DOMAIN}'"),
        ("%AOM_USER%", "${AOM_USER}"),
    ],
    "variables_of_other_forms": [
        ("${AOM_PROJECT_ID:?set it}", "${AOM_PROJECT_ID}"),
        ("${AOM_DOMAIN-acme}", "${AOM_DOMAIN:-acme}"),
        ("${env:AOM_USER}", "${AOM_USER}"),
        ("a${b", "a$${b"),
    ],
    "variable_in_a_default": [("${A:-${B}}", "${A:-b}")],
    "template_in_a_plain_value": [("{{ .Values.project }}", "${AOM_PROJECT_ID}")],
    "yaml_alias": [("*hunter2", "eu")],
    "yaml_secrets_that_begin_with_a_sign": [
        ("!hunter2", "'!hunter2'"),
        ("&hunter2", "'&hunter2'"),
        ("*hunter2", "'*hunter2'"),
    ],
    "not_yaml_bracket": [("[a, b", "[a, b]")],
    "not_yaml_colon": [("a: b", "'a'")],
    "not_yaml_quote": [('"eu', '"eu"')],
    "not_yaml_tab": [("\t", "  ")],
    "alias": [("&usual ", ""), ("*usual", "{region: cn-north-4, project_id: p1, auth: {token: {value: t}}}")],
}
"""What is written instead of what, as the message of the bad file of that name says."""


@pytest.mark.parametrize("name", MENDS)
def test_what_a_message_tells_to_do_mends_the_file(name):
    """A file that is changed exactly as its message says is read without a mistake."""
    text = (BAD / f"{name}.yaml").read_text(encoding="utf-8")
    for old, new in MENDS[name]:
        assert old in text
        text = text.replace(old, new)
    assert load(f"{name}.yaml", ENV, raw=text.encode()).settings.targets


@pytest.mark.parametrize("text", ["---\n{}---\n", "---\n---\n{}", "{}...\n", "{}---\n# nothing\n---\n"])
def test_documents_that_hold_nothing_are_passed_over(text):
    """Dashes before and after the one document that holds something, as Helm writes them, do no harm."""
    target = "targets: {default: {region: cn-north-4, project_id: p1, auth: {token: {value: t}}}}\n"
    assert load("f.yaml", {}, raw=text.replace("{}", target).encode()).settings.targets


def test_a_secret_that_begins_with_a_sign_of_yaml_is_not_repeated():
    """A password that YAML takes for a tag, an anchor or an alias is told without its text."""
    assert "hunter2" not in (BAD / "yaml_secrets_that_begin_with_a_sign.expected").read_text(encoding="utf-8")
