"""`aom-bridge alarms`: a list that fits a terminal, one alarm with its history, changes of many, here and elsewhere."""

import csv
import io
import json

import pytest
import yaml
from aiohttp import web
from bridge_rig import running, settings_text
from command_line import command
from emulated_aom import arm
from http_server import serving_routes
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from waiting import until
from web_clients import PASSWORDS, USERS
from webhooks import alert

from bridge.cli.alarm_table import lines
from bridge.cli.table import age, cut, id_length
from bridge.clock import MINUTE, SECOND, format_rfc3339
from bridge.web import WebOptions

T0 = 1_800_000_000_000
NO_ALARMS = "no unfinished or rejected alarm fits; --all-states looks at the others"


def row(name="DiskFull", resource="web-1:9100", *, target="default", source="default", severity="Critical", **more):
    """Give an alarm as the API's JSON has it."""
    metadata = {"event_name": name, "resource_id": resource}
    return {
        "id": "0123456789abcdef",
        "state": "reported",
        "severity": severity,
        "target": target,
        "source": source,
        "fired_at": format_rfc3339(T0 - 12 * MINUTE),
        "event": {"metadata": metadata, "annotations": {}},
        **more,
    }


@given(
    st.lists(st.builds(row, st.text(max_size=90), st.text(max_size=300), target=st.sampled_from("ab")), max_size=5),
    st.integers(60, 200),
)
def test_no_line_is_wider_than_the_terminal(rows, width):
    """Whatever names and resources hold, wide characters too, an alarm is one line of at most that many cells."""
    shown = list(lines(rows, width, T0, in_colour=False))
    assert len(shown) == len(rows) + 1
    assert all(cell_len(line) <= width and "\n" not in line for line in shown)


def test_the_end_of_a_resource_is_kept():
    """The name stands at the end of an id; its middle is cut."""
    resource = "clusterName=prod;kind=Pod;namespace=shop;name=cart-6f9c"
    (_, line) = lines([row(resource=resource)], 80, T0, in_colour=False)
    assert "name=cart-6f9c  01234567" in line
    assert "…" in line


def test_target_and_source_are_shown_only_where_there_are_several():
    """One target and one source say nothing."""
    (heading, _) = lines([row()], 80, T0, in_colour=False)
    assert heading.split() == ["SEVERITY", "AGE", "STATE", "EVENT", "RESOURCE", "ID"]
    heading, *_ = lines([row(), row(target="other")], 80, T0, in_colour=False)
    assert heading.split() == ["SEVERITY", "AGE", "STATE", "EVENT", "RESOURCE", "TARGET", "ID"]


def test_an_id_is_as_long_as_it_must_be():
    """8 characters, or as many as tell those that are shown apart."""
    assert id_length([]) == id_length(["0123456789abcdef", "0123"]) == 8
    assert id_length(["0123456789abcdef", "0123456789aacdef"]) == 12
    alike = row(), {**row(), "id": "0123456789ffffff"}
    assert [line.split()[-1] for line in lines(alike, 80, T0, in_colour=False)] == ["ID", "0123456789a", "0123456789f"]


def test_severities_have_colours_on_a_terminal():
    """The colour covers the word alone, so that the columns stay."""
    (_, line) = lines([row()], 80, T0, in_colour=True)
    assert line.startswith("\x1b[1;31mCritical\x1b[0m  12m")


@pytest.mark.parametrize(
    ("span", "text"), [(0, "0s"), (59 * SECOND, "59s"), (90 * MINUTE, "1h"), (50 * 60 * MINUTE, "2d"), (-SECOND, "0s")]
)
def test_an_age_has_one_unit(span, text):
    """The largest one that there is; what lies ahead is no age."""
    assert age(format_rfc3339(T0 - span), T0) == text


@given(st.text(), st.integers(1, 40), st.sampled_from(["ends", "end", "start"]))
def test_a_cut_text_fits(text, size, kept):
    """At most so many cells, and unchanged if it fits."""
    shown = cut(text, size, kept)
    assert cell_len(shown) <= size
    assert shown == text or cell_len(text) > size


class Command:
    """`aom-bridge alarms`, here or with `--url`."""

    def __init__(self, *where):
        self._where = where

    async def __call__(self, *arguments):
        """Run it; give the exit code, what it printed and what it complained of."""
        return await command("alarms", *arguments[:1], *self._where, *arguments[1:])

    async def listed(self, *arguments):
        """Give the alarms that it lists."""
        code, out, err = await self("list", "-o", "json", *arguments)
        assert code == 0, err
        return json.loads(out)


@pytest.fixture(params=["local", "remote"])
async def both(request, tmp_path):
    """A bridge with three alarms, and the command at it: beside it by its configuration, or by its address."""
    async with running(tmp_path / "l.db") as rig:
        file = tmp_path / "bridge.yaml"
        file.write_text(settings_text(rig.emulator.url, tmp_path / "l.db"))
        await rig.send(
            alert("DiskFull", instance="web-1"),
            alert("Cpu", severity="warning"),
            alert("Cpu", severity="info", pod="p"),
        )
        await until(lambda: rig.count("reported") == 3)
        where = [f"--config.file={file}"] if request.param == "local" else [f"--url={rig.app.url}"]
        yield rig, Command(*where)


@pytest.mark.real
async def test_alarms_are_listed_the_same_beside_the_bridge_and_from_elsewhere(both):
    """Worst first; matchers, states, text and times choose; every format has the same alarms."""
    _, alarms = both
    assert [one["severity"] for one in await alarms.listed()] == ["Critical", "Minor", "Info"]
    assert len(await alarms.listed("--filter", 'alertname="Cpu"', "--filter", 'pod!=""')) == 1
    assert len(await alarms.listed("--text", "WEB-1")) == 1
    assert await alarms.listed("--state", "rejected") == []
    assert len(await alarms.listed("--since", "1h", "--severity", "Info")) == 1
    _, out, _ = await alarms("list", "-o", "csv")
    assert [one["event_name"] for one in csv.DictReader(io.StringIO(out))] == ["DiskFull", "Cpu", "Cpu"]
    _, out, _ = await alarms("list", "-o", "yaml", "--limit", "2")
    assert len(yaml.safe_load(out)) == 2
    code, out, _ = await alarms("list", "--state", "expired")
    assert (code, out) == (0, "no expired alarm fits\n")
    code, _, err = await alarms("list", "--filter", "alertname")
    assert (code, "is not a matcher" in err) == (2, True)


@pytest.mark.real
async def test_one_alarm_is_shown_with_its_timeline_and_an_unclear_name_lists_those_it_may_be(both):
    """By a prefix of its id; what happened, and after how long."""
    _, alarms = both
    listed = await alarms.listed()
    code, out, _ = await alarms("show", listed[0]["id"][:10])
    assert code == 0
    assert "AOM accepted the report" in out
    code, _, err = await alarms("show", "zz")
    assert (code, "no alarm has this id" in err) == (1, True)


@pytest.mark.real
async def test_what_a_search_finds_is_changed_after_a_look_and_a_yes(both):
    """A dry run changes nothing, without a terminal it needs `--yes`, and the summary counts."""
    rig, alarms = both
    chosen = ("--filter", 'alertname="Cpu"')
    code, out, err = await alarms("clear", *chosen, "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "would clear 2 alarm(s)")
    assert "Cpu" in err
    code, _, err = await alarms("clear", *chosen)
    assert (code, "--yes" in err) == (2, True)
    assert rig.count("reported") == 3
    ids = [line.split()[-1] for line in err.splitlines()[1:3]]
    code, out, _ = await alarms("clear", *chosen, "--yes")
    assert (code, out.splitlines()[-1]) == (0, "2 of 2 alarm(s) changed")
    assert [line.partition(":")[0] for line in out.splitlines()[:-1]] == ids
    await until(lambda: rig.count("cleared") == 2)
    code, out, _ = await alarms("retry", "--all", "--yes")
    assert (code, out) == (0, "no rejected or waiting alarm fits; --all-states looks at the others\n")
    code, _, err = await alarms("discard", "z" * 16)
    assert (code, err) == (1, f"{'z' * 16}: no alarm has this id or fingerprint\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list"], NO_ALARMS),
        (["list", "--all-states"], "no alarm fits"),
        (["list", "--state", "open", "--state", "cleared"], "no open or cleared alarm fits"),
        (["retry", "--all"], "no rejected or waiting alarm fits; --all-states looks at the others"),
        (["clear", "--all"], "no open alarm fits; --all-states looks at the others"),
        (["discard", "--all"], "no rejected alarm fits; --state unfinished looks at the others"),
    ],
    ids=" ".join,
)
async def test_a_search_that_finds_nothing_says_where_it_looked(words, said):
    """In which states, and by which option the others are found, where they can be changed so."""

    async def nothing(_request):
        return web.json_response({"data": []})

    async with serving_routes(web.get("/api/v1/alarms", nothing)) as url:
        assert await command("alarms", *words, f"--url={url}") == (0, f"{said}\n", "")


@pytest.mark.real
async def test_a_dry_run_of_named_alarms_shows_what_the_edit_would_find(both):
    """By id, its beginning or a fingerprint; what names no alarm, or one that the edit refuses, is said."""
    rig, alarms = both
    disk, cpu, _ = await alarms.listed()
    code, out, err = await alarms("discard", "--dry-run", disk["id"][:9], cpu["fingerprint"], disk["id"])
    assert (code, out) == (0, "would discard 2 alarm(s)\n")
    assert [line.split()[0] for line in err.splitlines()] == ["SEVERITY", "Critical", "Minor"]
    code, out, err = await alarms("discard", "--dry-run", "zz", disk["id"])
    assert (code, out) == (1, "would discard 1 alarm(s)\n")
    assert err.splitlines()[-1] == "zz: no alarm has this id or fingerprint"
    code, out, err = await alarms("retry", "--dry-run", disk["id"])
    refusal = "it is reported, and only a rejected or waiting alarm can be tried again"
    assert (code, out, err) == (1, "", f"{disk['id']}: {refusal}\n")
    assert refusal in (await alarms("retry", disk["id"]))[2]
    assert rig.count("reported") == 3


@pytest.mark.real
async def test_retry_all_tries_what_waits_as_well(both):
    """While AOM is away an alarm waits for its next try; `retry --all` finds it."""
    rig, alarms = both
    await arm(rig.emulator, {"status": 503, "on": "report"})
    await rig.send(alert("Late"))
    await until(lambda: rig.aom()["counts"]["report"] > 3)
    code, out, err = await alarms("retry", "--all", "--dry-run")
    assert (code, out) == (0, "would retry 1 alarm(s)\n"), err


@pytest.mark.real
async def test_a_bridge_elsewhere_is_asked_with_a_password(tmp_path):
    """Without one the error names the options; from a file it works; in the address it is refused."""
    web = tmp_path / "web.yml"
    web.write_text(USERS)
    user, password = next(iter(PASSWORDS.items()))
    (tmp_path / "password").write_text(password + "\n")
    async with running(tmp_path / "l.db", web_options=WebOptions(config_file=str(web))) as rig:
        alarms = Command(f"--url={rig.app.url}")
        code, _, err = await alarms("list")
        assert (code, "--token-file" in err) == (2, True)
        code, out, err = await alarms("list", "--user", user, "--password-file", str(tmp_path / "password"))
        assert (code, out) == (0, f"{NO_ALARMS}\n"), err
        with_password = Command(f"--url={rig.app.url.replace('://', f'://{user}:{password}@')}")
        code, _, err = await with_password("list")
        assert (code, password in err, "--password-file" in err) == (2, False, True)


@pytest.mark.real
async def test_an_address_where_no_bridge_answers_is_told_with_the_fix():
    """Nothing listens there, or it is no address."""
    code, _, err = await Command("--url=http://127.0.0.1:1")("list")
    assert (code, "is refused. Fix:" in err) == (2, True)
    code, _, err = await Command("--url=here")("list")
    assert (code, "no web address" in err) == (2, True)
