"""Alerts that a person pastes: a webhook's body, or the list that Alertmanager's API answers."""

import json

import pytest
from webhooks import alert, payload, resolved

from bridge.errors import PayloadError
from bridge.mapping.playground.pasted import as_pasted, read_pasted
from bridge.notification import parse, written

LISTED = {
    "annotations": {"summary": "s"},
    "endsAt": "2026-11-27T04:04:00.000Z",
    "fingerprint": "00000000000000ab",
    "receivers": [{"name": "aom.eu"}, {"name": "mail"}],
    "startsAt": "2026-11-27T03:00:00.500Z",
    "status": {"inhibitedBy": [], "silencedBy": [], "state": "active"},
    "updatedAt": "2026-11-27T04:00:00.000Z",
    "generatorURL": "http://prometheus",
    "labels": {"alertname": "A"},
}


def test_a_webhook_is_read_as_the_bridge_reads_it():
    """Each alert comes with the source that is named and the group of its webhook; what was cut off is counted."""
    body = payload(alert("A"), resolved(alert("B")), truncated=3, groupLabels={"team": "shop"})
    read = read_pasted("\ufeff " + json.dumps(body), "eu")
    notification = parse(json.dumps(body).encode())
    assert [each.alert for each in read.alerts] == list(notification.alerts)
    assert {(each.source, each.group.receiver, each.group.group_labels["team"]) for each in read.alerts} == {
        ("eu", "aom", "shop")
    }
    assert read.truncated == 3


def test_a_list_of_the_api_is_alerts_that_fire():
    """The status object and the end that the API shows do not count; the group has the first receiver."""
    (read,) = read_pasted(json.dumps([LISTED]), "eu").alerts
    assert (read.alert.status, read.alert.ends_at, read.alert.labels) == ("firing", None, {"alertname": "A"})
    assert (read.alert.fingerprint, read.alert.generator_url) == ("00000000000000ab", "http://prometheus")
    assert (read.group.receiver, read.group.group_labels, read.group.common_labels) == (
        r"aom\.eu",
        {},
        {"alertname": "A"},
    )


def test_a_list_of_alerts_of_webhooks_keeps_what_has_resolved():
    """A list cut out of a webhook is read, too; a resolved alert stays resolved."""
    read = read_pasted(json.dumps([alert("A"), resolved(alert("B"))]), "eu").alerts
    assert [each.alert.status for each in read] == ["firing", "resolved"]
    assert read[1].alert.ends_at is not None


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff"])
def test_a_blank_text_holds_no_alert(text):
    """Nothing pasted is no mistake."""
    assert read_pasted(text, "eu").alerts == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "the body is not JSON"),
        ('{"version": "3", "alerts": []}', 'this payload has version "3"'),
        ("[1]", "this is no list of alerts"),
        ('[{"labels": {}}', "this is no list of alerts"),
        (json.dumps([LISTED, {**LISTED, "labels": {}}]), "alerts[1].labels: the alert has no labels"),
        (json.dumps([{**LISTED, "startsAt": "today"}]), "alerts[0].startsAt: 'today' is not a time"),
        (json.dumps([{**LISTED, "receivers": 7, "labels": {"a": 1}}]), "alerts[0].labels['a']"),
        ("[" * 100_000, "this is no list of alerts"),
        ('{"version": "4", "alerts": ' + "[" * 100_000, "alerts[0]: expected `object`, got `array`"),
        ("\ud800", "the body is not JSON"),
    ],
)
def test_what_is_no_list_of_alerts_is_told_with_its_place(text, words):
    """Every mistake is one sentence of the parser, with the alert that it is about."""
    with pytest.raises(PayloadError) as caught:
        read_pasted(text, "eu")
    assert words in str(caught.value)


def test_a_kept_alert_is_pasted_again_as_it_was():
    """The text of an alert with its group is a webhook that is read as that alert, resolved or firing."""
    for grouped in read_pasted(
        json.dumps(payload(alert("A"), resolved(alert("B")), groupLabels={"a": "ü"})), "eu"
    ).alerts:
        assert read_pasted(as_pasted(grouped), "eu").alerts == (grouped,)
        assert '\n      "labels": {\n' in as_pasted(grouped)


def test_a_written_notification_is_read_again_as_it_was():
    """`written` is the opposite of `parse`, for firing and resolved alerts, and for a group with all of its fields."""
    body = payload(
        alert("A", zone="ü"), resolved(alert("B")), truncated=2, groupLabels={"a": "b"}, commonAnnotations={"c": "d"}
    )
    notification = parse(json.dumps(body).encode())
    assert parse(written(notification)) == notification
    assert json.loads(written(notification)).keys() == body.keys()
