"""What the history of an alarm keeps of AOM's answers, through a bridge and the emulated AOM."""

import json

import pytest
from bridge_rig import running
from waiting import until
from webhooks import alert, resolved

ONE = alert("A")


async def steps(rig):
    """Give the kind and the text of each step of the one alarm."""
    ((own_id),) = [one["id"] for one in json.loads((await rig.get("/api/v1/alarms"))[1])["data"]]
    shown = json.loads((await rig.get(f"/api/v1/alarms/{own_id}"))[1])["data"]
    return [(step["kind"], step["text"]) for step in shown["steps"]]


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (
            {"status": 400, "error_code": "AOM.0400"},
            "refused",
            "AOM refused the clear, and its list is asked: 400 AOM.",
        ),
        ({"status": 503}, "failed", "a try failed: 503"),
    ],
)
async def test_a_clear_that_aom_does_not_take_at_once_says_why(tmp_path, fault, kind, words):
    """A refused clear and a failed one are told apart, each once, however often it is tried again."""
    async with running(tmp_path / "l.db") as rig:
        await rig.send(ONE)
        await until(lambda: rig.count("reported") == 1)
        assert await steps(rig) == []
        await rig.arm({"on": "clear", **fault})
        await rig.send(resolved(ONE))
        await until(lambda: rig.aom()["counts"]["clear"] >= 3)
        await rig.disarm()
        await until(lambda: rig.count("cleared") == 1)
        ((is_kind, text),) = await steps(rig)
        assert (is_kind, text.startswith(words)) == (kind, True), text
