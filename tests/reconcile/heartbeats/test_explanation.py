"""Why a switch is missing, by what the peers of Alertmanager have shown last."""

import pytest

from bridge.reconcile.heartbeats.explanation import PeersView, explain

SWITCH = "0123456789abcdef"


def view(*answering, silent=(), listed=()):
    """Give what a round has shown."""
    return PeersView(dict.fromkeys(silent, "connection refused"), answering, frozenset(listed))


@pytest.mark.parametrize(
    ("views", "has_ended", "words", "first"),
    [
        ([], False, "Prometheus does not send its alert, or no notification", "does Prometheus run"),
        ([view("http://one")], False, "Alertmanager (http://one) answers and does not list", "does Prometheus run"),
        ([view("http://one", listed=[SWITCH])], False, "lists its alert, but Prometheus no", "does Prometheus run"),
        ([view("http://one", listed=["other"])], False, "answers and does not list", "does Prometheus run"),
        ([view(silent=["http://one"])], False, "(http://one: connection refused)", "does Alertmanager run"),
        ([view(silent=["http://one"]), view("http://two")], False, "Alertmanager (http://two) ans", "does Prometheus"),
        ([view("http://one")], True, "Alertmanager has told that its alert resolved", "does Prometheus run"),
    ],
    ids=["none asked", "absent", "stale", "another", "silent", "one silent", "resolved"],
)
def test_the_text_begins_with_what_is_known_to_be_wrong(views, has_ended, words, first):
    """Whoever reads it looks there first."""
    why = explain(SWITCH, views, has_ended=has_ended)
    assert words in why.probable
    assert why.look_at.startswith(f"Look, in this order: {first}")
