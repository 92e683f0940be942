"""Whatever labels hold, nothing that the command line prints steers a terminal, and programs read the same value."""

import asyncio
import json

import pytest
from bridge_rig import running, settings_text
from hypothesis import given
from hypothesis import strategies as st
from waiting import until
from webhooks import alert, payload

from bridge.cli import main
from bridge.cli.terminal import pretty, printable, say

HOSTILE = "\x1b]0;owned\x07 \x9b31m \x7f \u202emoc.live \u2066 \u200b \u2028 \ufeff \x00 \n end"
STEERING = [char for char in HOSTILE if not char.isprintable() and char != "\n"]


@given(st.text())
def test_any_text_is_printable_and_reads_as_it_was(text):
    """Every character can be printed, and JSON with it is read again as the same value."""
    assert printable(text).isprintable()
    lines = pretty({text: [text]})
    assert json.loads("\n".join(printable(line) for line in lines)) == json.loads(json.dumps({text: [text]}))


def test_a_line_stays_one_line(capsys):
    """A line break in what is said forges no line, and plain text is said as it is."""
    say("a\nb", "\u78c1\u76d8 100 %")
    assert capsys.readouterr().out == "a\\nb\n\u78c1\u76d8 100 %\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("alarms", "list"),
        ("alarms", "list", "-o", "json"),
        ("alarms", "show", "{id}"),
        ("alarms", "show", "{id}", "-o", "json"),
        ("alarms", "retry", "{id}"),
        ("alarms", "clear", "no\x1b[31m", "\u202eon"),
        ("alarms", "show", "no\x1b[31m"),
        ("map", "--last"),
        ("map", "payload.json"),
        ("map", "--last", "--diff", "other.yaml"),
        ("map", "bad.json"),
    ],
    ids=" ".join,
)
async def test_no_label_steers_the_terminal(tmp_path, monkeypatch, capsys, arguments):
    """Names and values with escapes, line breaks and marks of direction are printed harmlessly by every command."""
    monkeypatch.chdir(tmp_path)
    hostile = alert(HOSTILE, annotations={HOSTILE: HOSTILE}, **{HOSTILE: HOSTILE, "instance": HOSTILE})
    rule = (
        f"mapping: {{rules: [{{name: r, match: [{json.dumps(json.dumps('a') + '!=b')}], set: {{resource_type: x}}}}]}}"
    )
    async with running(tmp_path / "l.db", more=rule) as rig:
        await rig.send(hostile)
        await until(rig.active)
        (own_id,) = [view["id"] for view in json.loads((await rig.get("/api/v1/alarms"))[1])["data"]]
        (tmp_path / "bridge.yaml").write_text(settings_text(rig.emulator.url, tmp_path / "l.db", more=rule))
        (tmp_path / "other.yaml").write_text(settings_text(rig.emulator.url, tmp_path / "l.db"))
        (tmp_path / "payload.json").write_text(json.dumps(payload(hostile)))
        (tmp_path / "bad.json").write_text(json.dumps(payload({**hostile, "status": HOSTILE})))
        capsys.readouterr()  # what the bridge has logged is not the command's
        command = [part.format(id=own_id) for part in arguments]
        await asyncio.to_thread(main, [*command, "--config.file=bridge.yaml"])
    out, err = capsys.readouterr()
    assert out or err
    assert [char for char in out + err if char in STEERING] == []
    assert "\n end" not in out + err
