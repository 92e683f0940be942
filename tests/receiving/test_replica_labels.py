"""Alerts of an HA pair of Prometheus whose label of the replica was not dropped are told of, once and cheaply."""

import pytest
from bridge_rig import Rig, running
from webhooks import alert

from bridge.notification import Alert
from bridge.receiving import replica_labels
from bridge.receiving.replica_labels import ReplicaWatch, sightings


def firing(status="firing", **labels):
    """Give an alert with these labels."""
    return Alert("f", status, {"alertname": "a", **labels}, {}, 0, None, "")


def pair_of(*alerts, source="s", watch=None):
    """Give what a watch finds in one notification."""
    return (watch or ReplicaWatch()).see(source, sightings(alerts))


@pytest.mark.parametrize("name", ["replica", "prometheus_replica"])
def test_alerts_that_differ_in_the_replica_alone_are_a_pair(name):
    """Two firing alerts that only this label tells apart are found, in one notification and over several."""
    one, other = firing(**{name: "p-0"}), firing(**{name: "p-1"})
    assert pair_of(one, other) == (name, ("p-0", "p-1"))
    watch = ReplicaWatch()
    assert pair_of(one, watch=watch) is None
    assert pair_of(other, watch=watch) == (name, ("p-0", "p-1"))
    assert pair_of(one, other, watch=watch) is None
    assert pair_of(one, other, watch=watch, source="t") == (name, ("p-0", "p-1"))


def test_other_alerts_are_no_pair():
    """Alerts that differ elsewhere too, repeats, resolves and alerts of two sources are what they seem."""
    one = firing(replica="p-0")
    assert pair_of(one, one) is None
    assert pair_of(one, firing(replica="p-1", pod="x")) is None
    assert pair_of(one, firing("resolved", replica="p-1")) is None
    assert pair_of(one, firing(prometheus_replica="p-1")) is None
    watch = ReplicaWatch()
    assert pair_of(one, watch=watch) is None
    assert pair_of(firing(replica="p-1"), watch=watch, source="t") is None


def test_what_is_remembered_is_bounded(monkeypatch):
    """However many alerts have the label, only the latest are remembered, and each only by a digest."""
    monkeypatch.setattr(replica_labels, "_MAX_REMEMBERED", 10)
    watch = ReplicaWatch()
    for number in range(100):
        assert pair_of(firing(replica="p-0", number=str(number), text="x" * 10_000), watch=watch) is None
    assert len(watch._values) == 10
    assert len(sightings([firing(replica=str(number)) for number in range(2_000)])) == 1_000


@pytest.mark.parametrize("has_writer", [False, pytest.param(True, marks=pytest.mark.real)])
async def test_a_pair_is_told_once(tmp_path, monkeypatch, capsys, has_writer):
    """One warning for a source names the label and the fix; the alerts are kept as they are."""
    monkeypatch.setattr(Rig, "has_writer", has_writer)
    async with running(tmp_path / "l.db") as rig:
        for value in ("p-0", "p-1", "p-2"):
            assert await rig.send(alert("A", replica=value)) == "1 new"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "differ only in one label" in line]
    assert "alert_relabel_configs" in line
    assert "label=replica" in line
    assert "p-0, p-1" in line
