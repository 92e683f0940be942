"""A webhook body becomes a notification that keeps what Alertmanager said, or an error that says what and where."""

import codecs
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import DATA

from bridge.clock import ZERO_TIME
from bridge.errors import PayloadError
from bridge.notification import Notification, fingerprint, parse

WEBHOOKS = sorted((DATA / "webhook").glob("*.json"))
START = "2026-11-23T08:20:43.123Z"
START_MS = 1_795_422_043_123
BRACKETS = 40_000_000


def body(*alerts, **more):
    """Write a webhook body."""
    return json.dumps({"version": "4", "alerts": list(alerts), **more}).encode()


def wire(**more):
    """Give one alert as it stands in a body; a value of ... leaves the key out."""
    alert = {"status": "firing", "labels": {"alertname": "Disk"}, "startsAt": START, **more}
    return {key: value for key, value in alert.items() if value is not ...}


def read(**more):
    """Parse a body of one alert."""
    (alert,) = parse(body(wire(**more))).alerts
    return alert


def independent_fnv(labels):
    """Compute Alertmanager's fingerprint step by step, as Prometheus's model package describes it."""
    value = 14_695_981_039_346_656_037
    for name, text in sorted(labels.items(), key=lambda pair: pair[0].encode()):
        if text == "":
            continue
        for byte in [*name.encode(), 255, *text.encode(), 255]:
            value ^= byte
            value = value * 1_099_511_628_211 % 2**64
    return format(value, "x").zfill(16)


# What is kept


def test_a_whole_notification_is_read():
    """Every key that the house uses arrives under its own name, and unknown keys are passed over."""
    notification = parse(
        body(
            wire(
                status="resolved",
                labels={"alertname": "Disk", "b": "2"},
                annotations={"summary": "full"},
                endsAt="2026-11-23T08:21:43Z",
                generatorURL="http://prometheus.example:9090/graph",
                fingerprint="00000000000000ff",
                unknown=[1, {"a": None}],
            ),
            receiver="aom",
            status="firing",
            groupKey='{}:{alertname="Disk"}',
            groupLabels={"alertname": "Disk"},
            commonLabels={"b": "2"},
            commonAnnotations={"summary": "full"},
            externalURL="http://alertmanager.example:9093",
            truncatedAlerts=7,
            notification_reason="first notification",
        )
    )
    (alert,) = notification.alerts
    assert (alert.status, alert.fingerprint) == ("resolved", "00000000000000ff")
    assert (alert.starts_at, alert.ends_at) == (START_MS, 1_795_422_103_000)
    assert (alert.labels, alert.annotations) == ({"alertname": "Disk", "b": "2"}, {"summary": "full"})
    assert alert.generator_url == "http://prometheus.example:9090/graph"
    group = notification.group
    assert (group.receiver, group.group_key) == ("aom", '{}:{alertname="Disk"}')
    assert (group.group_labels, group.common_labels) == ({"alertname": "Disk"}, {"b": "2"})
    assert (group.common_annotations, group.external_url) == ({"summary": "full"}, "http://alertmanager.example:9093")
    assert notification.truncated_alerts == 7


def test_the_least_body_is_read():
    """Version, and of each alert status, labels and startsAt are enough."""
    alert = read()
    assert (alert.annotations, alert.generator_url, alert.ends_at) == ({}, "", None)
    assert alert.fingerprint == independent_fnv({"alertname": "Disk"})


def test_a_notification_without_alerts_is_read():
    """An empty list of alerts is a notification that says nothing."""
    assert parse(body()).alerts == ()


def test_the_status_is_the_alerts_own():
    """The group's status, which is firing while any alert is, never covers that of an alert."""
    statuses = [a.status for a in parse(body(wire(status="resolved"), wire(), status="firing")).alerts]
    assert statuses == ["resolved", "firing"]


def test_alerts_keep_their_order():
    """Alerts come in the order in which they stand in the body."""
    names = [f"n{number}" for number in range(50)]
    alerts = parse(body(*(wire(labels={"alertname": name}) for name in names))).alerts
    assert [alert.labels["alertname"] for alert in alerts] == names


@pytest.mark.parametrize("digits", range(10))
def test_a_start_with_any_number_of_fraction_digits_is_read(digits):
    """Go writes none to nine fraction digits; what is finer than a millisecond is cut."""
    fraction = "987654321"[:digits]
    alert = read(startsAt=f"2026-11-23T08:20:43{'.' if digits else ''}{fraction}Z")
    assert alert.starts_at == 1_795_422_043_000 + int(fraction.ljust(3, "0")[:3])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T16:20:43.123456789+08:00", START_MS),
        ("2026-11-23T02:50:43.123-05:30", START_MS),
        ("1970-01-01T00:00:00Z", 0),
        ("2099-01-01T00:00:00Z", 4_070_908_800_000),
        ("0001-01-01T00:00:00Z", ZERO_TIME),
        ("0001-01-01T00:00:00+08:00", ZERO_TIME - 28_800_000),
        ("9999-12-31T23:59:59.999999999-23:59", 253_402_387_139_999),
    ],
)
def test_a_start_with_an_offset_or_of_an_odd_year_is_read(text, expected):
    """Offsets are taken off; the year 1970, the future and the ends of the calendar pass."""
    assert read(startsAt=text).starts_at == expected


@pytest.mark.parametrize("ends_at", ["0001-01-01T00:00:00Z", "", ..., "0001-01-01T08:00:00+08:00"])
def test_a_zero_end_is_no_end(ends_at):
    """Go's zero time means that there is no end, in a firing alert as in a resolved one."""
    assert read(endsAt=ends_at).ends_at is None
    assert read(endsAt=ends_at, status="resolved").ends_at is None


def test_a_firing_alert_has_no_end_whatever_was_posted():
    """An end that stands in a firing alert is only when it would time out."""
    assert read(endsAt="2026-11-24T00:00:00Z").ends_at is None


ODD_LABELS = {
    "no alertname": {"foo": "bar"},
    "UTF-8 names": {"\u56e2\u961f": "a", "a-b": "a", "k8s.pod": "a", "1a": "a"},
    "NUL": {"c": "a\x00b"},
    "controls": {"c": "\x01\x1b\x7f\x85\n\r\t"},
    "emoji": {"c": "\U0001f525", "\U0001f525": "c"},
    "spaces": {"c": "  lead and trail  "},
    "empty value": {"c": "x", "d": ""},
    "methods": {"items": "i", "keys": "k", "get": "g", "__class__": "c"},
    "ours": {"event_name": "x", "resource_id": "y", "alert_fingerprint": "z"},
    "20 KB": {"big": "B" * 20_480},
    "2028": {"c": "a\u2028b\u2029c"},
}


@pytest.mark.parametrize("labels", ODD_LABELS.values(), ids=ODD_LABELS.keys())
def test_odd_labels_and_annotations_stay_as_they_are(labels):
    """Nothing is cut or cleaned here, whatever names and values Alertmanager lets pass."""
    alert = read(labels=labels, annotations=labels)
    assert alert.labels == labels
    assert alert.annotations == labels


def test_lone_surrogates_become_the_replacement_character():
    """Half a surrogate pair, which no UTF-8 text can hold, becomes U+FFFD, in names and values; whole pairs stay."""
    text = (
        '{"version":"4","receiver":"\\udc00","alerts":[{"status":"firing","startsAt":"%s",'
        '"labels":{"a\\uD800":"x\\udfff","pair":"\\ud83d\\udd25","two":"\\udd25\\ud83d","esc":"\\\\ud800"},'
        '"annotations":{"\\udBFF":"\\ud83dz"}}]}'
    )
    notification = parse((text % START).encode())
    (alert,) = notification.alerts
    assert alert.labels == {"a\ufffd": "x\ufffd", "pair": "\U0001f525", "two": "\ufffd\ufffd", "esc": "\\ud800"}
    assert alert.annotations == {"\ufffd": "\ufffdz"}
    assert notification.group.receiver == "\ufffd"


@pytest.mark.parametrize("half", ["\\ud800", "\\uD800", "\\udBfF", "\\udc00", "\\uDFFF"])
def test_each_spelling_of_half_a_pair_is_replaced(half):
    """Escapes are written in small or capital letters, and each alone is enough to be cleaned."""
    raw = body(wire(labels={"a": "@"})).decode().replace("@", half)
    assert parse(raw.encode()).alerts[0].labels == {"a": "\ufffd"}


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "::not a url::", "http://[::1"])
def test_a_generator_url_is_only_text(url):
    """A generatorURL may be empty or a script; it is kept and never understood."""
    assert read(generatorURL=url).generator_url == url


def test_null_labels_and_annotations_are_dropped():
    """A null value is no label, as Alertmanager's own reader has it; null maps are empty."""
    alert = read(labels={"a": "1", "b": None}, annotations={"c": None, "d": ""})
    assert (alert.labels, alert.annotations) == ({"a": "1"}, {"d": ""})
    group = parse(body(groupLabels=None, commonLabels={"a": None}, commonAnnotations=None)).group
    assert (group.group_labels, group.common_labels, group.common_annotations) == ({}, {}, {})
    assert read(annotations=None).annotations == {}


OPTIONAL = (
    "annotations",
    "endsAt",
    "generatorURL",
    "fingerprint",
    "dashboardURL",
    "panelURL",
    "imageURL",
    "silenceURL",
)
OPTIONAL_OF_ALL = ("receiver", "groupKey", "groupLabels", "commonLabels", "commonAnnotations", "externalURL")


@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_null_in_an_optional_field_is_absent(status):
    """A null where a field may be absent reads as its absence, of an alert and of the notification."""
    nulls = body(wire(status=status, **dict.fromkeys(OPTIONAL)), **dict.fromkeys((*OPTIONAL_OF_ALL, "truncatedAlerts")))
    assert parse(nulls) == parse(body(wire(status=status)))


def test_a_byte_order_mark_is_ignored():
    """A body that begins with the mark of UTF-8 is read like one that does not."""
    raw = body(wire(labels={"alertname": "\u56e2\u961f"}))
    assert parse(codecs.BOM_UTF8 + raw) == parse(raw)
    with pytest.raises(PayloadError, match="the body is not JSON"):
        parse(codecs.BOM_UTF8 + codecs.BOM_UTF8 + raw)


def test_the_webhook_of_grafana_is_read():
    """Grafana's own webhook (version "1") is read as the same alerts; its links become annotations, if it has them."""
    notification = parse((DATA / "grafana" / "webhook.json").read_bytes())
    firing, resolved = notification.alerts
    assert notification.group.group_key == '{}/{}:{grafana_folder="Shop"}'
    assert firing.labels == {"alertname": "Basket is slow", "grafana_folder": "Shop", "team": "shop"}
    assert (firing.fingerprint, firing.starts_at) == ("6a7f0c53e0b0b1a2", 1_795_420_810_250)
    assert firing.annotations == {
        "summary": "95 % of requests take over 2 s",
        "dashboard_url": "https://grafana.example/d/shop?orgId=1",
        "panel_url": "https://grafana.example/d/shop?orgId=1&viewPanel=4",
        "image_url": "https://images.example/basket.png",
        "silence_url": "https://grafana.example/alerting/silence/new?alertmanager=grafana&matcher=team%3Dshop",
    }
    assert firing.generator_url == "https://grafana.example/alerting/grafana/basket/view?orgId=1"
    assert (resolved.status, resolved.ends_at) == ("resolved", 1_795_422_000_000)
    assert resolved.annotations == {"panel_url": "the sender's own"}


# The fingerprint


@pytest.mark.parametrize("path", WEBHOOKS, ids=lambda path: path.stem)
def test_a_missing_fingerprint_is_computed_as_alertmanager_does(path):
    """Without its fingerprints, every captured webhook gets the very same ones."""
    payload = json.loads(path.read_bytes())
    sent = [alert.pop("fingerprint") for alert in payload["alerts"]]
    assert sent
    assert [alert.fingerprint for alert in parse(json.dumps(payload).encode()).alerts] == sent
    assert [alert.fingerprint for alert in parse(path.read_bytes()).alerts] == sent


def test_the_fingerprint_of_nothing_is_the_offset():
    """FNV-1a over nothing is its own start value; labels with an empty value do not count."""
    assert fingerprint({}) == fingerprint({"a": "", "b": ""}) == "cbf29ce484222325"


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=6))
def test_the_fingerprint_is_fnv_1a_over_the_sorted_labels(labels):
    """An independent implementation agrees for any labels, in any order."""
    assert fingerprint(labels) == independent_fnv(labels)
    assert fingerprint(dict(reversed(labels.items()))) == fingerprint(labels)


# What is refused

NOT_4 = "so this is not an Alertmanager payload of version 4"


def not_text(where, kind):
    """Give the sentence about a value that must be text."""
    return re.escape(f"{where}: expected `str | null`, got `{kind}`. Fix: send it as text, in quotes")


BAD_BODIES = {
    "empty": (b"", "the body is empty; an Alertmanager payload of version 4 is JSON"),
    "blank": (b" \r\n", "the body is empty"),
    "text": (b"hello", "the body is not JSON: .*invalid character .byte 0.; it begins with 'hello'"),
    "form": (b"payload=%7B%7D", "the body is not JSON: .* it begins with 'payload=%7B%7D'"),
    "cut off": (b'{"version":"4","alerts":[', "the body is not JSON: .*truncated"),
    "two": (b'{"version":"4","alerts":[]}{}', "the body is not JSON: .*trailing characters"),
    "NaN": (b'{"version":"4","alerts":[],"x":NaN}', "the body is not JSON: .*byte 31"),
    "NaN and a surrogate": (b'{"version":"4","alerts":[],"x":NaN,"y":"\\ud800"}', "the body is not JSON"),
    "not UTF-8": (b'{"version":"4\xff"}', "the body is not UTF-8: byte 13 is 0xff"),
    "Latin-1": (body(wire(labels={"a": "@"})).replace(b"@", b"\xe9"), "the body is not UTF-8: byte .* is 0xe9"),
    "UTF-16": (body().decode().encode("utf-16"), "the body is not UTF-8: byte 0 is 0xff"),
    "list": (b"[]", f"the body: expected `object`, got `array`, {NOT_4}"),
    "number": (b"4", f"the body: expected `object`, got `int`, {NOT_4}"),
    "null": (b"null", f"the body: expected `object`, got `null`, {NOT_4}"),
    "string": (b'"4"', f"the body: expected `object`, got `str`, {NOT_4}"),
    "no version": (b'{"alerts":[]}', f"the body: object missing required field `version`, {NOT_4}"),
    "version 3": (
        b'{"version":"3","alert":{}}',
        'version: this payload has version "3"; the bridge reads "4" .Alertmanager. and "1" .Grafana.',
    ),
    "version 5": (
        b'{"version":"5","alerts":[]}',
        'version: this payload has version "5"; the bridge reads "4" .Alertmanager. and "1" .Grafana.',
    ),
    "version number": (
        b'{"version":4,"alerts":[]}',
        'version: this payload has version 4; the bridge reads "4" .Alertmanager. and "1" .Grafana.',
    ),
    "version null": (b'{"version":null,"alerts":[]}', f"version: expected `str`, got `null`, {NOT_4}"),
    "no alerts": (b'{"version":"4"}', f"the body: object missing required field `alerts`, {NOT_4}"),
    "alerts null": (body().replace(b"[]", b"null"), f"alerts: expected `array`, got `null`, {NOT_4}"),
    "alerts object": (body().replace(b"[]", b"{}"), f"alerts: expected `array`, got `object`, {NOT_4}"),
    "alert string": (body("x"), rf"alerts\[0\]: expected `object`, got `str`, {NOT_4}"),
    "no labels": (body(wire(), wire(labels=...)), rf"alerts\[1\]: object missing required field `labels`, {NOT_4}"),
    "empty labels": (body(wire(), wire(labels={})), r"alerts\[1\].labels: the alert has no labels"),
    "only null labels": (body(wire(labels={"a": None})), r"alerts\[0\].labels: the alert has no labels"),
    "labels null": (body(wire(labels=None)), rf"alerts\[0\].labels: expected `object`, got `null`, {NOT_4}"),
    "labels list": (body(wire(labels=[])), rf"alerts\[0\].labels: expected `object`, got `array`, {NOT_4}"),
    "label number": (
        body(wire(), wire(labels={"a": "1", "b": None, "c": 1})),
        not_text("alerts[1].labels['c']", "int"),
    ),
    "label list": (body(wire(labels={"a": ["b"]})), not_text("alerts[0].labels['a']", "array")),
    "label object": (body(wire(labels={"\x1b": {"a": 1}})), not_text(r"alerts[0].labels['\x1b']", "object")),
    "label bool": (body(wire(labels={"a": "", "b" * 99: True})), not_text(f"alerts[0].labels['{'b' * 80}']", "bool")),
    "annotation list": (body(wire(annotations={"a": []})), not_text("alerts[0].annotations['a']", "array")),
    "group label": (body(groupLabels={"a": "b", "c": 1.5}), not_text("groupLabels['c']", "float")),
    "a label that stands twice": (
        b'{"version":"4","alerts":[{"status":"firing","startsAt":"","labels":{"a":1,"a":"b"}}]}',
        not_text("alerts[0].labels[...]", "int"),
    ),
    "no status": (body(wire(status=...)), r"alerts\[0\]: object missing required field `status`"),
    "long status": (body(wire(status="p" * 9_000)), r"alerts\[0\].status: invalid enum value 'p{100,160}, so"),
    "bad status": (body(wire(status="pending")), r"alerts\[0\].status: invalid enum value 'pending'"),
    "no start": (body(wire(startsAt=...)), r"alerts\[0\]: object missing required field `startsAt`"),
    "start number": (body(wire(startsAt=5)), r"alerts\[0\].startsAt: expected `str`, got `int`"),
    "bad start": (body(wire(startsAt="now")), r"alerts\[0\].startsAt: 'now' is not a time in the format of RFC 3339"),
    "empty start": (body(wire(startsAt="")), r"alerts\[0\].startsAt: '' is not a time in the format of RFC 3339"),
    "bad end": (
        body(wire(), wire(status="resolved", endsAt="2026-99-99T00:00:00Z")),
        r"alerts\[1\].endsAt: '2026-99-99T00:00:00Z' is not a time in the format of RFC 3339",
    ),
    "long start": (body(wire(startsAt="x" * 9_000)), r"alerts\[0\].startsAt: 'x{80}' is not a time"),
    "bad fingerprint": (body(wire(fingerprint="../etc")), r"alerts\[0\].fingerprint: '../etc' is not a fingerprint"),
    "long fingerprint": (body(wire(fingerprint="f" * 65)), r"alerts\[0\].fingerprint: 'f{65}' is not a fingerprint"),
    "generatorURL": (body(wire(generatorURL=1)), r"alerts\[0\].generatorURL: expected `str .*`, got `int`"),
    "receiver": (body(receiver=1), "receiver: expected `str .*`, got `int`"),
    "groupLabels": (body(groupLabels=[]), "groupLabels: expected `object.*`, got `array`"),
    "truncatedAlerts": (body(truncatedAlerts="3"), "truncatedAlerts: expected `int .*`, got `str`"),
}


@pytest.mark.parametrize(("bad", "sentence"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_refused_with_what_and_where(bad, sentence):
    """Every kind of bad body raises PayloadError, whose one line says what is wrong and where."""
    with pytest.raises(PayloadError, match=f"^{sentence}") as caught:
        parse(bad)
    assert len(str(caught.value).splitlines()) == 1


DEEP = {
    "arrays": b"[" * BRACKETS,
    "objects": b'{"a":' * (BRACKETS // 5),
    "closed": b"[" * (BRACKETS // 2) + b"]" * (BRACKETS // 2),
    "as alerts": b'{"version":"4","alerts":' + b"[" * BRACKETS,
    "under an unknown key": b'{"version":"4","alerts":[],"x":' + b"[" * BRACKETS,
    "with a surrogate": b'["\\ud800",' + b"[" * BRACKETS,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP.keys())
def test_40_mb_of_brackets_fail_fast(deep):
    """Tens of megabytes of nested brackets are refused at once, without a RecursionError, in a short sentence."""
    with pytest.raises(PayloadError, match="not an Alertmanager payload") as caught:
        parse(deep)
    assert len(str(caught.value)) < 200


def test_an_error_never_repeats_the_whole_body():
    """However long the body is, the message shows only its beginning."""
    with pytest.raises(PayloadError) as caught:
        parse(b"x" * 1_000_000)
    assert len(str(caught.value)) < 300


# Nothing else


def either_way(raw):
    """Parse, and let only a PayloadError pass; what was read holds no surrogate and can be stored."""
    try:
        notification = parse(raw)
    except PayloadError:
        return
    assert isinstance(notification, Notification)
    for alert in notification.alerts:
        assert alert.labels
        assert json.dumps([alert.labels, alert.annotations], ensure_ascii=False).encode()


texts = st.text(st.characters(exclude_categories=()), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
maps = st.dictionaries(texts, st.none() | texts | scalars, max_size=3)
times = st.sampled_from([START, "0001-01-01T00:00:00Z", "2026-11-23T08:20:43+08:00", "", "x"]) | texts
wires = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | values,
        "labels": maps | values,
        "annotations": maps | values,
        "startsAt": times | values,
        "endsAt": times | values,
        "generatorURL": texts,
        "fingerprint": st.sampled_from(["", "00000000000000ff"]) | texts,
    },
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "version": st.just("4") | values,
        "alerts": st.lists(wires, max_size=3) | values,
        "groupLabels": maps | values,
        "receiver": texts,
        "truncatedAlerts": st.integers() | values,
        "x": values,
    },
)
good_wires = st.builds(
    lambda labels, annotations, status: wire(labels=labels, annotations=annotations, status=status, endsAt=START),
    st.dictionaries(texts, texts, min_size=1, max_size=4),
    st.dictionaries(texts, texts, max_size=4),
    st.sampled_from(["firing", "resolved"]),
)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_read_or_refused(raw):
    """Any bytes parse or raise PayloadError, and nothing else."""
    either_way(raw)


@settings(deadline=None, max_examples=200)
@given(values | payloads)
def test_any_json_is_read_or_refused(value):
    """Any JSON value parses or raises PayloadError, and nothing else."""
    either_way(json.dumps(value).encode())
    either_way(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))


@settings(deadline=None)
@given(st.lists(good_wires, min_size=1, max_size=3))
def test_whatever_texts_an_alert_holds_it_is_read(wires):
    """A body of the right shape is always read, whatever text its labels and annotations hold."""
    alerts = parse(body(*wires)).alerts
    assert [alert.status for alert in alerts] == [one["status"] for one in wires]
