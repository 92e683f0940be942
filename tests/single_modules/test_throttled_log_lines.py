"""What happens often is logged seldom, and nothing of it goes uncounted."""

from waiting import until

from bridge.log import ThrottledLine


async def test_a_storm_is_a_line_a_second_with_its_count(monkeypatch):
    """The first one is logged at once, the others together, with what the last one said; each counts once."""
    monkeypatch.setattr("bridge.log._THROTTLE_SECONDS", 0.05)
    lines = []
    seldom = ThrottledLine(lambda **line: lines.append(line))
    for number in range(100):
        seldom.add(number=number)
    assert lines == [{"count": 1, "number": 0}]
    await until(lambda: len(lines) == 2)
    assert lines[1] == {"count": 99, "number": 99}
    await until(lambda: not seldom._is_waiting)
    seldom.add(number=100)
    assert lines[2:] == [{"count": 1, "number": 100}]
