"""What `aom-bridge check-alertmanager` finds: what in Alertmanager's own configuration loses alerts or their ends.

In: the name of a file, or the base URL of an Alertmanager, which is asked for its status; the bridge's configuration if
it is named. Out: lines for people or JSON for programs, and an exit code: 1 when something was found, 2 when the
configuration could not be read. It only reads, and judges only the receivers that send to the bridge.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec
from yarl import URL

from bridge import config
from bridge.aom.settings import DEFAULT_ALARM_TIMEOUT
from bridge.cli.terminal import complain, pretty, say
from bridge.clock import system_clock
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.reconcile.alertmanager_yaml import UnreadableRoutingError
from bridge.reconcile.lint import Finding, Question, findings, nothing_is_sent, probable_receivers
from bridge.reconcile.peer import Address, PeerClient, PeerError
from bridge.reconcile.routing import Routing, parse_routing
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.typed_yaml.problems import read_file

_CREDENTIALS = re.compile("://[^/]*@")


class Check(msgspec.Struct, frozen=True):
    """The result; its fields are what ``--format json`` prints.

    ``name``: the file or URL as it was given. ``receivers``: those that were judged.
    """

    name: str
    receivers: list[str]
    findings: list[Finding]


class _Source(msgspec.Struct, frozen=True):
    """Where the configuration is from: its text, and the number of Alertmanagers that have it."""

    text: str
    peers: int


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    try:
        settings = config.load(arguments.config_file, allow_unset=True).settings if arguments.config_file else None
        check = _checked(arguments.name, arguments.receiver or (), settings)
    except config.ConfigError as error:
        complain(*error.lines())
        return 2
    except _UnreadableError as error:
        complain(*error.lines)
        return 2
    _print(check, arguments.format)
    return 1 if check.findings else 0


class _UnreadableError(BridgeError):
    """What is to be checked is no configuration of Alertmanager; ``lines``: why, each with the place."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = list(lines)
        super().__init__("\n".join(self.lines))


def _checked(name: str, receivers: Sequence[str], settings: Settings | None) -> Check:
    every = () if settings is None else settings.alertmanagers
    own = next((one for one in every if any(_is_at(name, url) for url in (*one.urls, one.dns))), None)
    alertmanagers = every if own is None else (own,)
    is_url = name.startswith(("http://", "https://"))
    source = asyncio.run(_of_peer(name, own)) if is_url else _of_file(name, alertmanagers)
    routing = _routing(name, source.text)
    named = frozenset(receivers) or frozenset(each for one in alertmanagers for each in one.receivers)
    judged = named or probable_receivers(routing)
    timeout = DEFAULT_ALARM_TIMEOUT if settings is None else settings.alarm_timeout
    sources = frozenset[str]() if settings is None else frozenset(settings.all_sources)
    question = Question(judged, bool(named), source.peers, timeout, is_in_step=bool(alertmanagers), sources=sources)
    found = findings(routing, question) if judged else [nothing_is_sent(routing)]
    return Check(name, sorted(judged), found)


def _is_at(name: str, url: str) -> bool:
    """Say whether a URL is at an address of the settings, which may be a name and a port alone."""
    try:
        return URL(name).origin() == URL(url if "://" in url else f"http://{url}").origin()
    except ValueError:
        return False


def _of_file(name: str, alertmanagers: Sequence[AlertmanagerSettings]) -> _Source:
    text = read_file(name).decode(errors="replace")
    return _Source(text, max((len(one.urls) for one in alertmanagers), default=1))


async def _of_peer(name: str, own: AlertmanagerSettings | None) -> _Source:
    """Ask a peer for its configuration; ``own``: the settings of its address, whose credentials go nowhere else."""
    settings = replace(own, urls=(name,), dns="") if own else AlertmanagerSettings(urls=(name,))
    for _, problem in settings.problems():
        raise _UnreadableError([f"{_CREDENTIALS.sub('://', name)}: {problem}"])
    client = PeerClient(settings, system_clock)
    await client.start()
    try:
        status = await client.status(Address(name))
    except PeerError as error:
        raise _UnreadableError([f"{name}: its status cannot be read: {error}"]) from None
    finally:
        await client.stop()
    return _Source(status.config, max(len(status.peers), len(own.urls) if own else 1))


def _routing(name: str, text: str) -> Routing:
    """Read the configuration; whatever cannot be read of it is an error here, since nothing else would tell."""
    try:
        routing = parse_routing(text)
    except UnreadableRoutingError as error:
        raise _UnreadableError([f"{name}:{error.line}: {error}"]) from None
    if not routing.routes:
        what = "there is no route at the top, so this is no configuration of Alertmanager."
        raise _UnreadableError([f"{name}:1: {what} Fix: its own file, such as alertmanager.yml, or its URL."])
    if routing.faults:
        raise _UnreadableError(f"{name}:{line}: {fault}" for line, fault in routing.faults)
    return routing


def _print(check: Check, form: str) -> None:
    if form == "json":
        say(*pretty(check))
        return
    complain(*(f"{check.name}:{one.line}: {one.text}" for one in check.findings))
    judged = f"receivers judged: {', '.join(check.receivers) or 'none'}"
    if check.findings:
        complain(f"{check.name}: FAILED: {len(check.findings)} finding(s); {judged}")
    else:
        say(f"{check.name}: SUCCESS: nothing is found that loses alerts; {judged}")
