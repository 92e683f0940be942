"""Why a switch is missing, by what the peers of Alertmanager have shown last."""

import pytest
from plain_words import is_chinese

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
    assert words in why.probable.en
    assert why.look_at.en.startswith(f"Look, in this order: {first}")


@pytest.mark.parametrize(
    ("views", "has_ended", "words"),
    [
        ([], False, "没有到达 aom-bridge"),
        ([view("http://one", listed=[SWITCH])], False, "（http://one）列出了该心跳的告警"),
        ([view("http://one")], False, "（http://one）有应答，但没有列出"),
        ([view(silent=["http://one"])], False, "没有 Alertmanager 应答 aom-bridge（http://one: connection refused）"),
        ([], True, "已通知该心跳的告警恢复"),
    ],
    ids=["none asked", "stale", "absent", "silent", "resolved"],
)
def test_the_same_is_told_in_chinese(views, has_ended, words):
    """AOM's console shows it to those who read Chinese."""
    why = explain(SWITCH, views, has_ended=has_ended)
    assert words in why.probable.zh
    assert why.look_at.zh.startswith("请按以下顺序检查：")
    assert is_chinese(why.probable.zh)
    assert is_chinese(why.look_at.zh)
