"""The answers of Alertmanager's API: what is read of them, and what is refused."""

import json

import pytest

from bridge.notification import fingerprint
from bridge.reconcile.answers import (
    AnswerError,
    Fingerprints,
    read_alerts,
    read_group_labels,
    read_muting,
    read_status,
)

STATUS = {
    "cluster": {
        "name": "01ARZ3",
        "status": "ready",
        "peers": [{"name": "01ARZ3", "address": "10.0.0.1:9094"}, {"name": "01BX5Z", "address": "10.0.0.2:9094"}],
    },
    "config": {"original": "route: {receiver: aom}\n"},
    "uptime": "2026-11-27T04:00:00.123Z",
    "versionInfo": {"version": "0.33.1", "branch": "HEAD"},
}
LABELS = {"alertname": "Down", "job": "node"}


def listed(labels=None, **changes):
    """Give an alert as the API writes it, its keys in its order."""
    labels = LABELS if labels is None else labels
    return {
        "annotations": {"summary": 'it says },{"annotations": and means it'},
        "endsAt": "2026-11-27T04:04:00.000Z",
        "fingerprint": fingerprint(labels),
        "receivers": [{"name": "aom"}, {"name": "mail"}],
        "startsAt": "2026-11-27T03:00:00.500Z",
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
        "updatedAt": "2026-11-27T04:00:00.000+00:00",
        "generatorURL": "http://prometheus.example/graph",
        "labels": labels,
        **changes,
    }


def body(content):
    """Give an answer's body."""
    return json.dumps(content, separators=(",", ":")).encode()


def read(content):
    """Give the alerts of a list."""
    raw = content if isinstance(content, bytes) else body(content)
    return [alert for piece in read_alerts(raw, Fingerprints()) for alert in piece]


def test_a_status_is_read():
    """Name, state, peers, start and configuration; a cluster that is switched off has neither name nor peers."""
    status = read_status(body(STATUS))
    assert (status.name, status.state, status.peers) == (
        "01ARZ3",
        "ready",
        {"01ARZ3": "10.0.0.1:9094", "01BX5Z": "10.0.0.2:9094"},
    )
    assert (status.started_at % 1000, status.version) == (123, "0.33.1")
    assert status.config == "route: {receiver: aom}\n"
    alone = read_status(body({**STATUS, "cluster": {"status": "disabled"}}))
    assert (alone.name, alone.state, alone.peers) == ("", "disabled", {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        body(STATUS)[:-20],
        body({**STATUS, "uptime": "yesterday"}),
        body({**STATUS, "uptime": "2026-11-27T04:00:00"}),
        body({**STATUS, "cluster": {"status": "odd"}}),
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_status_is_refused(content):
    """A proxy's page, a part of an answer or another server's says what it begins with."""
    with pytest.raises(AnswerError, match="no status of Alertmanager"):
        read_status(content)


def test_an_alert_is_read():
    """Times are milliseconds; a validity is what its sender's post is good for."""
    (alert,) = read([listed()])
    assert (alert.fingerprint, alert.labels, alert.receivers) == (fingerprint(LABELS), LABELS, ("aom", "mail"))
    assert (alert.validity, alert.starts_at % 1000, alert.is_suppressed) == (240_000, 500, False)


def test_a_suppressed_alert_is_read_as_one():
    """Silenced or inhibited; which of them makes no difference to webhooks."""
    (alert,) = read([listed(status={"state": "suppressed", "silencedBy": ["x"], "inhibitedBy": []})])
    assert alert.is_suppressed


def test_a_false_fingerprint_does_not_name_another_alert():
    """It is computed from the labels, whatever the peer writes."""
    other = fingerprint({"alertname": "Other"})
    (alert,) = read([listed(fingerprint=other)])
    assert alert.fingerprint == fingerprint(LABELS)


def test_a_fingerprint_is_computed_once_for_each_set_of_labels():
    """The same label set in the next round is recognised; another one under its fingerprint is not taken for it."""
    known = Fingerprints()
    own = known.of("", LABELS)
    assert known.of(own, LABELS) == own
    assert known.of(own, {"alertname": "Other"}) == fingerprint({"alertname": "Other"})
    known.forget_all_but(())
    assert known.of(own, LABELS) == own


def test_a_long_list_is_read_in_pieces_and_completely():
    """It is cut between alerts only, whatever their texts contain; whatever the order of the keys, nothing is lost."""
    many = [listed({"alertname": "Many", "n": str(number)}) for number in range(2_000)]
    pieces = list(read_alerts(body(many), Fingerprints()))
    assert len(pieces) > 2
    assert [alert.labels["n"] for piece in pieces for alert in piece] == [str(number) for number in range(2_000)]
    other_order = [dict(reversed(alert.items())) for alert in many]
    assert len(read(other_order)) == 2_000


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"{}",
        body([listed()])[:-3],
        body([{**listed(), "labels": {}}]),
        body([{**listed(), "labels": {"a": 1}}]),
        body([{**listed(), "endsAt": "2026-11-27T04:04:00"}]),
        body([{**listed(), "status": {"state": "gone"}}]),
        body([{"labels": LABELS}]),
    ],
)
def test_what_is_no_list_is_refused(content):
    """One alert that cannot be read spoils the list: what is missing from it must not look absent."""
    with pytest.raises(AnswerError, match="no list of alerts"):
        read(content)


def group(receiver, *alerts, **labels):
    """Give a group as the API writes it."""
    return {"receiver": {"name": receiver}, "labels": labels, "alerts": list(alerts)}


def muted(labels, *by):
    """Give an alert that is muted by these time intervals."""
    return listed(labels, status={"state": "active", "mutedBy": list(by)})


def test_muting_is_read_of_our_groups_only():
    """An alert in two of our groups is muted only where both are; a peer that does not tell shows none."""
    one, two = {"alertname": "A"}, {"alertname": "B"}
    groups = [
        group("aom", muted(one, "nights"), muted(two, "nights")),
        group("aom", muted(two)),
        group("mail", muted(one)),
        group("aom", listed({"alertname": "Old"}, status={"state": "active"})),
    ]
    assert read_muting(body(groups), {"aom"}) == {fingerprint(one): True, fingerprint(two): False}


def test_group_labels_are_read():
    """By receiver and alert, for those that were asked for."""
    groups = [group("aom", listed(), team="a"), group("mail", listed({"alertname": "B"}), team="b")]
    assert read_group_labels(body(groups), {fingerprint(LABELS)}) == {("aom", fingerprint(LABELS)): {"team": "a"}}
