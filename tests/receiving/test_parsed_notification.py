"""Intake: a notification says the same in whichever process it is read."""

import json
import pickle
import tracemalloc

import msgspec
import pytest
from bridge_rig import running, settings_text
from golden import WEBHOOKS
from paths import ROOT
from waiting import until
from webhooks import alert, payload

from bridge import config
from bridge.clock import HOUR
from bridge.ledger import AlertContext
from bridge.mapping import Mapper, MappingSettings
from bridge.notification import parse
from bridge.receiving.parsed_notification import AlertmanagerReader, IntakeReport, ParsedNotification, max_alerts

CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
RULES = """
mapping:
  labels: {drop: [uid]}
  severity: {label: severity, map: {warning: Major}, default: Info}
  annotations: {message: "{{ annotations.summary | upper }} in ${CLUSTER}"}
  rules:
    - name: noise
      match: ['severity="none"']
      drop: true
    - name: pods
      match: ['namespace=~"kube-.+|default", pod!=""']
      match_group: ['receiver!=""']
      set: {resource_provider: "$${CCE}", resource_type: pod, resource_id: "{{ labels.namespace }}/${CLUSTER}"}
      annotations: {zone: "{{ labels.zone | default('${CLUSTER}') }}", broken: "{{ labels.pod | round }}"}
      timeout: 2h
      continue: true
    - name: all
      set: {event_name: "{% if labels.pod %}pod {{ labels.pod }}{% else %}{{ labels.alertname }}{% endif %}"}
"""
MAPPER = config.load(
    "t.yaml", {"CLUSTER": "east"}, raw=settings_text("http://aom.example", "l.db", more=RULES).encode()
).settings.mapper()
PLAIN = Mapper(MappingSettings(), {"default": HOUR}, "default")


def read_here(source, body, mapper):
    """Parse and map with these rules themselves; give the entries and what is to be told."""
    notification = parse(body)
    intake = ParsedNotification(source, notification, mapper, 1_000)
    return [intake.map(one) for one in notification.alerts], intake.report


def shipped(file):
    """Give the rules of a configuration file that we ship."""
    return config.load(str(file), allow_unset=True).settings.mapper()


MAPPERS = {"defaults": PLAIN, "rules": MAPPER, **{file.stem: shipped(file) for file in CONFIGS}}


@pytest.mark.slow
@pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("mapper", MAPPERS.values(), ids=MAPPERS)
def test_rules_that_travelled_map_as_they_did(webhook, mapper, monkeypatch):
    """Rules made again in another process map every captured alert to the same event, whatever its variables are."""
    monkeypatch.setenv("CLUSTER", "elsewhere")
    body = webhook.read_bytes()
    expected, notes = read_here("east", body, mapper)
    again = pickle.loads(pickle.dumps(mapper))  # noqa: S301 - they were packed a moment ago
    assert read_here("east", body, again) == (expected, notes)
    assert IntakeReport.unpacked(notes.packed()) == notes


def test_a_notification_that_is_opened_elsewhere_has_the_same_entries():
    """What the put gets of an unread notification is what its sender would have made of it, and so are the notes."""
    one = alert(pod="api-1", namespace="default", severity="warning")
    body = json.dumps(payload(one, {**alert("B"), "labels": {"alertname": "B", "severity": "none"}})).encode()
    opened = AlertmanagerReader(MAPPER).open("east", body)
    notification = parse(body)
    intake = ParsedNotification("east", notification, MAPPER, 1_000)
    entries = opened.incoming()
    assert [entry.mapped is None for entry in entries] == [False, True]
    assert [entry.key for entry in entries] == [("east", alert.fingerprint) for alert in notification.alerts]
    for one in notification.alerts:
        intake.map(one)
    notes = IntakeReport.unpacked(opened.report())
    assert notes == intake.report
    assert notes.matched == {"pods": 1, "all": 1, "noise": 1}
    assert notes.dropped == {"noise": 1}
    assert [(fallback.rule, fallback.field) for _, fallback in notes.fallbacks] == [("pods", "annotations.broken")]


def test_notes_of_two_processes_add_up():
    """What was mapped here and what was mapped elsewhere of one notification is counted together."""
    body = WEBHOOKS[0].read_bytes()
    _, one = read_here("east", body, PLAIN)
    _, other = read_here("east", body, PLAIN)
    other.dropped["noise"] = 2
    one.add(other)
    assert one.matched == {name: 2 * count for name, count in other.matched.items()}
    assert one.dropped == {"noise": 2}


def test_no_body_holds_more_alerts_than_its_length_tells():
    """The room that an unread notification asks for is never too little, however short its alerts are."""
    shortest = '{"status":"firing","labels":{"":""},"startsAt":"0001-01-01T00:00:00"}'
    for count in (0, 1, 7, 100):
        body = ('{"version":"4","alerts":[' + ",".join([shortest] * count) + "]}").encode()
        assert len(parse(body).alerts) == count
        assert max_alerts(body) >= count


async def test_what_was_left_out_is_logged_at_debug_and_counted(tmp_path, capsys):
    """The names of labels without a place among AOM's 30 keys stand in a line at debug, with their alert."""
    labels = {f"label_{number:02d}": "v" for number in range(28)}
    async with running(tmp_path / "l.db") as rig:
        await rig.send(alert("A", **labels))
        (line,) = [one for one in capsys.readouterr().out.splitlines() if "left out for AOM's limits" in one]
        assert "debug" in line
        assert "label_26, label_27" in line
        assert await rig.metric("aom_bridge_mapping_left_out_total") == line.count("label_")


async def test_the_log_tells_a_notification_by_its_group_and_events(tmp_path, capsys):
    """The line of a kept notification has the labels of its group; the names of its events stand at debug."""
    async with running(tmp_path / "l.db") as rig:
        assert (await rig.post(payload(alert("Disk"), groupLabels={"team": "shop", "site": "bj"})))[0] == 200
        output = []

        def lines(message):
            output.append(capsys.readouterr().out)
            return [one for one in "".join(output).splitlines() if message in one]

        (kept,) = await until(lambda: lines("notification kept"))
        assert "team=shop, site=bj" in kept
        (mapped,) = lines("alerts mapped")
        assert "debug" in mapped
        assert "Disk" in mapped


def entries_of(body):
    """Give what the ledger puts of a body."""
    return AlertmanagerReader(PLAIN).open("east", body).incoming()


def kept_bytes(body):
    """Give how many bytes of a body's alerts and their group lie beside their rows."""
    return sum(len(entry.mapped.contents.context) for entry in entries_of(body))


def test_what_is_kept_of_a_group_is_linear_in_its_body():
    """A large text that all alerts share is not kept for each: what is kept is a small multiple of the body."""
    alerts = [alert(n=str(number)) for number in range(200)]
    large = "x" * 100_000
    for more in ({"commonAnnotations": {"x": large}}, {"commonLabels": {"x": large}}, {"groupLabels": {"x": large}}):
        body = json.dumps(payload(*alerts, **more)).encode()
        assert kept_bytes(body) < 3 * len(body)
    for name in ("receiver", "groupKey", "externalURL"):
        body = json.dumps(payload(*alerts, **{name: large})).encode()
        assert kept_bytes(body) < 10 * len(body)


def test_memory_for_a_body_is_linear_in_it():
    """Four times as many alerts with a shared text four times as long take at most some five times the memory."""
    peaks = []
    for size in (50, 200):
        alerts = [alert(n=str(number)) for number in range(size)]
        body = json.dumps(payload(*alerts, commonAnnotations={"x": "x" * 2_000 * size})).encode()
        entries_of(body)
        tracemalloc.start()
        entries_of(body)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 6 * peaks[0]


def test_an_honest_group_is_kept_whole():
    """What all alerts of a group have in common, each of them carries, and is there when it is mapped anew."""
    body = json.dumps(
        payload(
            alert(zone="a"),
            alert("B", zone="a"),
            groupLabels={"zone": "a"},
            commonLabels={"zone": "a", "severity": "critical"},
            commonAnnotations={},
        )
    ).encode()
    for entry in entries_of(body):
        kept = msgspec.json.decode(entry.mapped.contents.context, type=AlertContext)
        assert kept.group == parse(body).group


def test_rules_see_the_whole_group():
    """What is not kept beside the row is there all the same when the alert is mapped at first."""
    body = json.dumps(payload(alert(), commonAnnotations={"only": "in the group"})).encode()
    settings = "mapping: {rules: [{name: r, set: {resource_type: '{{ group.common_annotations.only }}'}}]}"
    mapper = config.load(
        "t.yaml", {}, raw=settings_text("http://aom.example", "l.db", more=settings).encode()
    ).settings.mapper()
    mapped, _ = read_here("east", body, mapper)
    assert mapped[0].event.metadata["resource_type"] == "in the group"
