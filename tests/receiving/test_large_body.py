"""Parse in pieces: a large body is read as a small one is, and never in one go."""

import json

import pytest
from paths import DATA
from webhooks import alert, payload

from bridge.errors import PayloadError
from bridge.notification import parse
from bridge.receiving import large_body
from bridge.receiving.large_body import TooManyAlertsError, parse_in_pieces


@pytest.mark.parametrize("file", sorted((DATA / "webhook").glob("*.json")), ids=lambda file: file.stem)
@pytest.mark.parametrize("length", [1, 1_000, 1 << 20])
def test_every_captured_webhook_is_read_as_in_one_go(monkeypatch, file, length):
    """However the alerts are cut into pieces, the notification is the same."""
    monkeypatch.setattr(large_body, "_PIECE_LENGTH", length)
    assert parse_in_pieces(file.read_bytes()) == parse(file.read_bytes())


ODD = [
    json.dumps(payload(alert(text="@"))).encode().replace(b"@", text)
    for text in (
        b"\\ud800",
        b"\\ud83d\\ude00",
        b"\\\\ud800",
        b"a\\ud800\\u0041",
        b"\\uD7FF",
        b"\\udc00\\ud800",
        b"\xf0\x9f\x98\x80",
    )
]
ODD += [
    json.dumps(payload(alert(), alert("B")), indent=3).encode(),
    b" " + json.dumps(payload()).encode() + b"\n",
    json.dumps(payload(alert())).encode().replace(b'"alerts": [', b'"alerts": [], "alerts": ['),
    json.dumps(payload(alert(), commonAnnotations={"x": '{["alerts": [' * 100})).encode(),
]


@pytest.mark.parametrize("body", ODD)
def test_odd_bodies_are_read_as_in_one_go(body):
    """Halves of characters, escapes, spaces, doubled keys and braces in texts change nothing."""
    assert parse_in_pieces(body) == parse(body)


BAD = [
    (b"[]", "expected `object`"),
    (b"not json", "not JSON"),
    (b'{"version": "4", "alerts": [', "not JSON"),
    (b'{"version": "4", "alerts": [] } x', "not JSON"),
    (b'{"version": "4", "alerts": [{}, ]}', "not JSON"),
    (b'{"version": "4", "alerts": [{} {}]}', "not JSON"),
    (b'{"version": "4"}', "alerts"),
    (b'{"version": "4", "alerts": 5}', "alerts"),
    (b'{"version": "3", "alerts": [{"new": 1}]}', 'version "3"'),
    (json.dumps(payload(alert())).encode().replace(b"DiskFull", b"Disk\xffFull"), "not UTF-8"),
    (b'{"version": "4", "alerts": [], "more": ' + b"[" * 50_000, "nested too deep"),
    (json.dumps(payload(alert(), alert(), {**alert(), "status": "unknown"})).encode(), "alerts[2].status"),
    (json.dumps(payload(alert(), alert(), {**alert(), "labels": {}})).encode(), "alerts[2].labels"),
]


@pytest.mark.parametrize(("body", "words"), BAD, ids=[words for _, words in BAD])
def test_what_is_wrong_is_told_with_its_place(monkeypatch, body, words):
    """A body that is no payload says what and where, the number of the alert counted over all pieces."""
    monkeypatch.setattr(large_body, "_PIECE_LENGTH", 1)
    with pytest.raises(PayloadError) as caught:
        parse_in_pieces(body)
    assert words in str(caught.value)


def test_more_alerts_than_a_transaction_takes_are_refused_before_they_are_read(monkeypatch):
    """A body of very many tiny alerts ends at the limit, whatever they are."""
    monkeypatch.setattr(large_body, "MAX_ALERTS", 3)
    with pytest.raises(TooManyAlertsError, match="more than 3 alerts"):
        parse_in_pieces(b'{"version": "4", "alerts": [{}, {}, {}, {}, broken')
