"""Exports of every alarm that a search finds, streamed; what cannot be finished is broken off."""

import csv
import io
import json

import aiohttp
import pytest
from webhooks import alert

from bridge.errors import LedgerUnavailableError
from bridge.web.alarm_csv import as_text
from bridge.web.handlers import exports


@pytest.fixture
def small_pages(monkeypatch):
    """Two alarms a page."""
    monkeypatch.setattr(exports, "_AT_ONCE", 2)


@pytest.mark.usefixtures("small_pages")
async def test_every_page_is_in_the_file(rig):
    """CSV and JSON hold each alarm once, whatever a page takes, and a filter holds for all pages."""
    await rig.send(*(alert(f"A{number}", severity="warning" if number % 2 else "critical") for number in range(7)))
    _, text = await rig.get("/api/v1/alarms.csv")
    assert sorted(row["event_name"] for row in csv.DictReader(io.StringIO(text))) == [f"A{n}" for n in range(7)]
    _, text = await rig.get("/api/v1/alarms.json?severity=Minor")
    assert sorted(row["labels"]["alertname"] for row in json.loads(text)["data"]) == ["A1", "A3", "A5"]
    status, text = await rig.get("/api/v1/alarms.csv?severity=minor")
    assert (status, "no severity is called 'minor'" in text) == (400, True)
    status, text = await rig.get("/api/v1/alarms.csv?sevrity=Minor")
    assert (status, "did you mean 'severity'?" in text) == (400, True)


@pytest.mark.usefixtures("small_pages")
async def test_half_a_file_is_never_taken_for_a_whole_one(rig, monkeypatch):
    """Where the ledger fails half-way the connection breaks, so that the client sees an error."""
    await rig.send(*(alert(f"A{number}") for number in range(7)))
    search, calls = rig.app.ledger.records.search, iter(range(10))

    async def failing(chosen, *rest):
        if next(calls) == 2:
            raise LedgerUnavailableError("the disk is gone")
        return await search(chosen, *rest)

    monkeypatch.setattr(rig.app.ledger.records, "search", failing)
    with pytest.raises(aiohttp.ClientError):
        await rig.get("/api/v1/alarms.csv")


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_text(value):
    """A spreadsheet shows it and does not run it; other values stay as they are."""
    assert as_text(value) == f"'{value}"
    assert as_text("web-1") == "web-1"
