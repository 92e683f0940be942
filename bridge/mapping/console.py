"""The annotations that AOM's console shows, as templates over the usual annotations of Prometheus; pure."""

from __future__ import annotations

from bridge.mapping.template import Template

CONSOLE = {
    name: Template.parse(text)
    for name, text in {
        "message": "{{ annotations.message or annotations.description or annotations.summary }}",
        "alarm_probableCause_en_us": "{{ annotations.cause }}",
        "alarm_probableCause_zh_cn": "{{ annotations.cause_zh or annotations.cause }}",
        "alarm_fix_suggestion_en_us": "{{ annotations.fix or annotations.runbook_url | link }}",
        "alarm_fix_suggestion_zh_cn": "{{ annotations.fix_zh or annotations.fix or annotations.runbook_url | link }}",
        "runbook_url": "{{ annotations.runbook_url | link }}",
        "dashboard_url": "{{ annotations.dashboard_url | link }}",
        "generator_url": "{{ alert.generator_url | link }}",
    }.items()
}
"""What AOM's console shows of an alarm (AOM user guide, "Checking Alarms"), and links to where it came from."""

LINKS = frozenset(name for name in CONSOLE if name.endswith("_url"))
"""Annotations that the console shows as links: anything but a web address is left out of them."""
