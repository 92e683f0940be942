"""The table of `aom-bridge diff`: one line for each alert at the width of a terminal."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bridge.cli.difference_table import lines, wide_lines
from bridge.clock import MINUTE, format_rfc3339

T0 = 1_800_000_000_000


def row(name="KubePodCrashLooping", *, source="default", difference="vanished", is_due=False, **more):
    """Give an alert that differs."""
    return {
        "source": source,
        "fingerprint": "0123456789abcdef",
        "labels": {"alertname": name},
        "alertmanager": "absent",
        "ledger": "reported",
        "aom": "open",
        "difference": difference,
        "since": format_rfc3339(T0 - 12 * MINUTE),
        "next": "waits until every peer has answered for long enough",
        "brief": "waits for peers",
        "is_due": is_due,
        **more,
    }


def narrow(*rows, width=80, in_colour=False):
    """Give the lines of a terminal."""
    return list(lines(rows, width, T0, in_colour=in_colour))


@given(
    st.lists(st.builds(row, st.text(max_size=90), source=st.sampled_from("ab")), max_size=5),
    st.integers(80, 200),
)
def test_no_line_is_wider_than_the_terminal(rows, width):
    """Whatever names hold, an alert is one line of at most that many cells."""
    shown = narrow(*rows, width=width)
    assert len(shown) == len(rows) + 1
    assert all(cell_len(line) <= width and "\n" not in line for line in shown)


def test_a_line_of_80_cells_tells_all_sides_and_what_is_next():
    """The alert's name loses its middle; source and fingerprint are in the wide table."""
    heading, line = narrow(row())
    assert heading.split() == ["DIFFERENCE", "AGE", "ALERT", "ALERTMANAGER", "LEDGER", "AOM", "NEXT"]
    assert line.split()[2:6] == ["KubePodC…Looping", "absent", "reported", "open"]
    assert line.endswith("  waits for peers")
    _, line = wide_lines([row()])
    assert "default  KubePodCrashLooping  0123456789abcdef  absent" in line
    assert line.endswith("2027-01-15T07:48:00.000Z  waits until every peer has answered for long enough")


def test_what_is_the_same_everywhere_or_was_not_asked_has_no_column():
    """One source says nothing, nor does a side that was not asked; a fingerprint stands for an unknown name."""
    heading, _, _ = narrow(row(), row(source="other"))
    assert "SOURCE" in heading
    heading, line = narrow(row(alertmanager=None, aom=None, labels={}))
    assert heading.split() == ["DIFFERENCE", "AGE", "ALERT", "LEDGER", "NEXT"]
    assert "0123456789abcdef" in line


def test_what_is_due_has_a_colour_on_a_terminal():
    """The colour covers the word alone."""
    _, line = narrow(row(difference="cleared_elsewhere", is_due=True), in_colour=True)
    assert line.startswith("\x1b[31mcleared_els…\x1b[0m  12m")
    assert "\x1b" not in narrow(row(), in_colour=True)[1]
