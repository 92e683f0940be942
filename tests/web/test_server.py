"""The web server and its listeners before they are started."""

import platform

import pytest
from aiohttp import web

from bridge import __version__
from bridge.app.label_sets import LABEL_SETS
from bridge.metrics import Metrics
from bridge.typed_yaml.secret import Secret
from bridge.web import Policy, WebOptions, WebServer
from bridge.web.listener import Listener


def error_page(_request, sentence, status):
    """Give the page of an error."""
    return web.Response(text=sentence, status=status, content_type="text/html")


def ignored(_request, _response):
    """Do nothing with a webhook that is refused."""


def server():
    """Make a server that is not started."""
    metrics = Metrics(__version__, platform.python_version(), LABEL_SETS)
    return WebServer(
        "127.0.0.1",
        0,
        WebOptions(admin_address=("127.0.0.1", 0)),
        metrics,
        error_page=error_page,
        on_refused_webhook=ignored,
    )


def listener():
    """Make a listener that is not started."""
    return Listener("127.0.0.1", 0, "--web.listen-address")


@pytest.mark.parametrize("make", [server, listener])
async def test_a_stop_before_the_start_does_nothing(make):
    """What was never started is stopped without an error, and has no port yet."""
    made = make()
    await made.stop()
    with pytest.raises(RuntimeError, match="not started"):
        _ = made.port


async def test_a_server_starts_after_such_a_stop():
    """A stop that came too early leaves a server that can still be started."""
    made = server()
    await made.stop()
    await made.prepare()
    await made.start((), 0)
    try:
        assert made.url == f"http://127.0.0.1:{made.port}"
    finally:
        await made.stop()


@pytest.mark.parametrize(
    ("policy", "posters"),
    [
        (Policy(), ""),
        (Policy(users={"am": Secret("x"), "oncall": Secret("x")}, rights={"oncall": frozenset({"status"})}), "am"),
        (Policy(tokens={b"digest": "ci"}), "ci"),
    ],
)
def test_a_policy_names_who_may_post(policy, posters):
    """Users and tokens with the right to post are named; where neither is needed, no name stands for everyone."""
    assert policy.posters == posters


async def test_the_start_says_who_may_post(capsys):
    """On loopback an open port is told; the warning for other addresses names the fix."""
    made = server()
    await made.prepare()
    await made.start((), 0)
    try:
        assert "every program on this machine" in capsys.readouterr().out
        made._main._host = ""
        made._log_posters()
        assert "everyone who reaches the port may post. Fix: --web.config.file" in capsys.readouterr().out
    finally:
        await made.stop()
