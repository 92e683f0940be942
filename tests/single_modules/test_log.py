"""Every log line is one line, in logfmt or JSON, with the words of Prometheus, and shows no secret."""

import io
import json
import logging
import re
import unicodedata

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge import log
from bridge.typed_yaml.secret import Secret

FORMATS = ["logfmt", "json"]
FIRST_KEYS = ["ts", "level", "component", "msg"]
PAIR = re.compile(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')
HOSTILE = (
    'two words, "quoted", a=b, C:\\temp, line\nbreak\r\n, tab\t, NUL\x00, \x1b[31mred, \x7f\x85\x9b, \u2028, \u78c1'
    "\u202e\u2066"
)


@pytest.fixture(autouse=True)
def restored():
    """Give the test its own logging, and put the former one back after it."""
    root, ours = logging.getLogger(), logging.getLogger("bridge")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    structlog.reset_defaults()


def written(fmt, write, level="info"):
    """Give what is written to the stream while ``write`` runs."""
    stream = io.StringIO()
    log.configure(level, fmt, stream)
    write()
    return stream.getvalue()


def pairs(text):
    """Take a logfmt line apart."""
    line = text.removesuffix("\n")
    found = PAIR.findall(line)
    assert "".join(f"{key}={value} " for key, value in found).rstrip() == line.rstrip()
    return dict(found)


def test_lines_that_belong_together_are_written_at_once_and_in_their_order():
    """Lines held together are one write, in the order in which they were logged; later lines are written one by one."""
    writes = []

    class Stream(io.StringIO):
        def write(self, text):
            writes.append(text)
            return super().write(text)

    log.configure("info", "logfmt", Stream())
    with log.together():
        log.logger("webhook").info("first")
        log.logger("webhook").info("second")
        assert writes == []
    log.logger("webhook").info("third")
    assert [re.findall("msg=([a-z]+)", text) for text in writes] == [["first", "second"], ["third"]]


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_line_has_time_level_component_and_message(fmt):
    """Each line has ts, level, component and msg; in logfmt they come first, in this order."""
    text = written(fmt, lambda: log.logger("webhook").info("notification kept", alerts=3))
    found = json.loads(text) if fmt == "json" else pairs(text)
    assert set(found) == {*FIRST_KEYS, "alerts"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", found["ts"])
    assert (found["level"], found["component"]) == ("info", "webhook")
    assert found["msg"].strip('"') == "notification kept"
    assert str(found["alerts"]) == "3"
    if fmt == "logfmt":
        assert list(found)[:4] == FIRST_KEYS


def test_a_logfmt_line_is_written_as_prometheus_writes_it():
    """Values with spaces, equals signs and quotes are quoted, plain ones are not."""
    text = written(
        "logfmt", lambda: log.logger("sender").warning("a b", plain="x", eq="a=b", quote='a"b', n=1, no=None)
    )
    assert text.partition(" level=")[2] == 'warn component=sender msg="a b" plain=x eq="a=b" quote="a\\"b" n=1 no=\n'


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("key", ["msg", "value", "list", "exception"])
def test_a_hostile_value_stays_on_one_line(fmt, key):
    """Spaces, quotes, line breaks and control characters of a value can neither end the line nor steer a terminal."""

    def write():
        if key == "msg":
            log.logger("webhook").info(HOSTILE)
        elif key == "exception":
            log.logger("webhook").error("broken", exc_info=ValueError(HOSTILE))
        else:
            log.logger("webhook").info("m", value=HOSTILE if key == "value" else [HOSTILE])

    text = written(fmt, write)
    assert text.endswith("\n")
    line = text[:-1]
    assert "\u78c1" in line
    assert [char for char in line if unicodedata.category(char) in ("Cc", "Cf")] == []
    if fmt == "json":
        assert json.loads(line)["level"] in ("info", "error")
    else:
        assert len(line.splitlines()) == 1


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_one_line(message, value):
    """Whatever the texts, a line is written, is one line, and in JSON is read again as it was."""
    text = written("logfmt", lambda: log.logger("webhook").info(message, value=value))
    assert text.count("\n") == 1
    found = json.loads(written("json", lambda: log.logger("webhook").info(message, value=value)))
    assert (found["msg"], found["value"]) == (message, value)


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_secret_shows_as_secret(fmt):
    """A secret is written as <secret>, alone as well as inside a list or a map."""
    secret = Secret("hunter2")
    text = written(fmt, lambda: log.logger("aom").info("token", token=secret, many=[secret], named={"a": secret}))
    assert "hunter2" not in text
    assert text.count("<secret>") == 3


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_libraries_own_lines_have_the_same_form(fmt):
    """What a library logs goes to the same stream in the same format, from warnings upwards."""

    def write():
        logging.getLogger("aiohttp.server").warning("odd %s", "request\nline")
        logging.getLogger("aiohttp.server").info("chatter")

    text = written(fmt, write)
    found = json.loads(text) if fmt == "json" else pairs(text)
    assert found["level"] == "warn"
    assert "chatter" not in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_decides_what_is_written(level, seen):
    """Each level lets its own lines and the graver ones through, under Prometheus's names."""

    def write():
        logger = log.logger("webhook")
        for method in (logger.debug, logger.info, logger.warning, logger.error):
            method("x")

    assert level in log.LEVELS
    assert [json.loads(line)["level"] for line in written("json", write, level).splitlines()] == seen


def test_a_value_never_fills_the_disk():
    """Of a long value only the beginning is written, with a visible mark."""
    found = json.loads(written("json", lambda: log.logger("webhook").info("m", value="x" * 100_000)))
    assert found["value"] == "x" * 2_048 + "\u2026"


def test_configuring_again_replaces_the_former_stream():
    """A second configuration takes the place of the first, so no line is written twice."""
    former = io.StringIO()
    log.configure("info", "json", former)
    assert written("logfmt", lambda: log.logger("webhook").info("m")).count("msg=m") == 1
    assert former.getvalue() == ""
