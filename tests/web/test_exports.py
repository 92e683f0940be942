"""Exports of a search: complete, and harmless in the program that opens them."""

import csv
import io
import json

from webhooks import alert

from bridge.web.handlers.exports import _AT_ONCE

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1")


async def test_an_export_has_every_alarm_that_its_search_finds(rig):
    """More alarms than one page of the search holds are all there, once each and no others, as CSV and as JSON."""
    wanted = {f"n{number}" for number in range(2 * _AT_ONCE + 1)}
    await rig.send(*(alert(alertname="Wanted", instance=name) for name in sorted(wanted)), alert(alertname="Other"))
    status, text = await rig.get("/api/v1/alarms.json", params={"filter": "alertname=Wanted"})
    assert status == 200
    assert sorted(row["labels"]["instance"] for row in json.loads(text)["data"]) == sorted(wanted)
    status, text = await rig.get("/api/v1/alarms.csv", params={"filter": "alertname=Wanted"})
    assert status == 200
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sorted(json.loads(row["labels"])["instance"] for row in rows) == sorted(wanted)


async def test_a_spreadsheet_runs_no_cell_of_an_export(rig):
    """A value that begins as a formula does is text in each cell of the CSV."""
    await rig.send(*(alert(alertname=formula, instance=formula, job=formula) for formula in FORMULAS))
    _, text = await rig.get("/api/v1/alarms.csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(FORMULAS)
    cells = [cell for row in rows for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert {"'=1+1", "'@SUM(A1)"} <= {row["event_name"] for row in rows}


async def test_an_export_refuses_a_wrong_filter_with_a_sentence(rig):
    """A filter that cannot be used is a 400, not half a file."""
    for name in ("alarms.csv", "alarms.json"):
        status, text = await rig.get(f"/api/v1/{name}", params={"filter": "=x"})
        assert (status, json.loads(text)["status"]) == (400, "error")
