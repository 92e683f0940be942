"""What the command line takes: commands, options and their help; nothing runs here and nothing is printed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bridge import __version__, log
from bridge.emulator import CHOICES, Options
from bridge.ledger import STATES
from bridge.typed_yaml.scalars import parse_duration

Commands = Mapping[str, Callable[[argparse.Namespace], int]]

DEFAULT_CONFIG = "config/bridge.yaml"
CONFIG_VARIABLE = "AOM_BRIDGE_CONFIG_FILE"
DEFAULT_ADDRESS = ":9876"
EMULATOR_ADDRESS = "127.0.0.1:9877"

_DEFAULT_LIST_LIMIT = 1_000
_NAMED = "its id, the beginning of it, or its alert's fingerprint: then the newest alarm of that alert"

SWITCHES = {
    "ids": "does AOM keep a supplied id",
    "same_alarm": "what makes two reports the same alarm",
    "timeout_from": "from when a timeout runs",
    "repeat_restarts_timeout": "does a repeated report restart it",
    "unknown_id": "the answer to a clear with an unknown id",
    "relation_values": "may several values stand in one relation",
    "list_lag_ms": "milliseconds by which the list lags",
    "project_id": "the only project; any by default",
    "token_length": "length of IAM's tokens",
    "token_ttl_s": "life of IAM's tokens in seconds",
}
"""The emulator's options that the command line offers, each as ``--name-with-dashes``."""


def default_config() -> str:
    """Return the configuration file that is used when none is named."""
    return os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG)


def parser(run: Commands) -> argparse.ArgumentParser:
    """Return the parser; each command carries its function as ``run``."""
    made = argparse.ArgumentParser(
        prog="aom-bridge", description="Prometheus Alertmanager webhook bridge to Huawei Cloud AOM."
    )
    made.add_argument("--version", action="version", version=f"aom-bridge {__version__}")
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands, run)
    demo = _command(commands, "demo", run["demo"], "the main job in front of your eyes: no account, no configuration")
    demo.add_argument("--once", action="store_true", help="end after the replay; exit code 0 if AOM ended up right")
    _add_emulator(commands, run)
    check = _command(commands, "check-config", run["check-config"], "check configuration files with serve's own loader")
    check.add_argument("files", nargs="*", metavar="FILE", help=f"default: ${CONFIG_VARIABLE} or {DEFAULT_CONFIG}")
    check.add_argument(
        "--allow-unset", action="store_true", help="only warn of ${VARIABLES} that are not set and of missing files"
    )
    web = _command(commands, "check-web-config", run["check-web-config"], "check files of --web.config.file")
    web.add_argument("files", nargs="+", metavar="FILE", help="with all that it names: certificates, keys, tokens")
    for command in (check, web):
        command.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    alive = _command(commands, "healthcheck", run["healthcheck"], "ask a running bridge whether it is alive")
    alive.add_argument("address", nargs="?", default="127.0.0.1" + DEFAULT_ADDRESS, metavar="ADDRESS", help="its own")
    shown = _command(commands, "map", run["map"], "show rule by rule what a webhook's body becomes")
    _add_config(shown)
    shown.add_argument("--source", help="the source to map as; default: the configuration's")
    shown.add_argument(
        "--last",
        type=int,
        nargs="?",
        const=1,
        metavar="N",
        help="map the newest alert that the ledger keeps, or N of them",
    )
    shown.add_argument("--diff", metavar="OTHER.yaml", help="show what another configuration would change")
    shown.add_argument(
        "payload",
        nargs="?",
        metavar="PAYLOAD.json",
        help="the body of a webhook; - reads standard input; with --diff the default is all that the ledger keeps",
    )
    tested = _command(commands, "test-rules", run["test-rules"], "run unit tests of mapping rules")
    tested.add_argument("files", nargs="+", metavar="FILE", help="a file of tests; it names its configuration")
    tested.add_argument("--junit", metavar="FILE", help="write a report that CI systems read")
    sent = _command(commands, "send-test", run["send-test"], "report, find and clear one test alarm; say what works")
    _add_config(sent)
    sent.add_argument("--target", action="append", help="only this one; may be repeated")
    sent.add_argument(
        "--wait", type=_duration, metavar="DURATION", help="for how long AOM's list may lag; default: lookup_wait"
    )
    _add_alarms(commands, run)
    _add_ledger(commands, run)
    return made


def _add_serve(commands: Any, run: Commands) -> None:  # noqa: ANN401 - argparse's own type is private
    serve = _command(commands, "serve", run["serve"], "run the bridge")
    _add_config(serve)
    serve.add_argument(
        "--web.listen-address",
        dest="listen_address",
        default=DEFAULT_ADDRESS,
        metavar="ADDRESS",
        help=f"where to listen; default: {DEFAULT_ADDRESS}",
    )
    serve.add_argument(
        "--web.admin-listen-address",
        dest="admin_address",
        metavar="ADDRESS",
        help="where to show status and take changes; then only webhooks and probes are at --web.listen-address",
    )
    serve.add_argument(
        "--web.config.file",
        dest="web_config_file",
        default="",
        metavar="FILE",
        help="TLS, users, tokens and their rights, in the format of Prometheus; read anew when it changes",
    )
    serve.add_argument(
        "--web.enable-admin",
        dest="is_admin_open",
        action="store_true",
        help="take reloads and changes of alarms from everywhere; without, from loopback or by right only",
    )
    serve.add_argument(
        "--config.watch", dest="watch", action="store_true", help="reload when the configuration file changes"
    )
    serve.add_argument("--log.level", dest="log_level", choices=log.LEVELS, default="info", help="default: info")
    serve.add_argument(
        "--log.format", dest="log_format", choices=("logfmt", "json"), default="logfmt", help="default: logfmt"
    )


def _add_emulator(commands: Any, run: Commands) -> None:  # noqa: ANN401 - as above
    emulator = _command(commands, "emulator", run["emulator"], "run AOM's and IAM's emulator on loopback")
    emulator.add_argument(
        "--listen-address", default=EMULATOR_ADDRESS, metavar="ADDRESS", help=f"default: {EMULATOR_ADDRESS}"
    )
    defaults = {field.name: field.default for field in fields(Options)}
    for name, text in SWITCHES.items():
        default = defaults[name]
        choices = None if isinstance(default, bool) else CHOICES.get(name)
        kind: Callable[[str], Any] = type(default) if isinstance(default, int) else str
        emulator.add_argument(
            "--" + name.replace("_", "-"),
            dest=name,
            type=_yes_or_no if isinstance(default, bool) else kind,
            choices=choices,
            metavar=None if choices else "{yes,no}" if isinstance(default, bool) else "VALUE",
            help=text if default is None else f"{text}; default: {_SPELLED.get(str(default), default)}",
        )


_SPELLED = {"True": "yes", "False": "no"}


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no", "true", "false"):
        raise argparse.ArgumentTypeError("write yes or no")
    return text in ("yes", "true")


def _add_alarms(commands: Any, run: Commands) -> None:  # noqa: ANN401 - as above
    alarms = commands.add_parser("alarms", help="look at the alarms in the ledger, and change them by hand")
    actions = alarms.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = _command(actions, "list", run["alarms list"], "list alarms, the newest first")
    _add_config(listing)
    listing.add_argument("--state", action="append", choices=STATES, help="only these; may be repeated")
    listing.add_argument("--target", help="only those of this target")
    listing.add_argument("--source", help="only those of this source")
    listing.add_argument(
        "--limit", type=int, default=_DEFAULT_LIST_LIMIT, help=f"at most so many; default: {_DEFAULT_LIST_LIMIT}"
    )
    show = _command(actions, "show", run["alarms show"], "show one alarm whole")
    _add_config(show)
    show.add_argument("id", metavar="ID", help=_NAMED)
    _add_edits(actions, run)
    for command in (listing, show):
        command.add_argument("-o", dest="output", choices=("table", "json"), default="table", help="default: table")


def _add_ledger(commands: Any, run: Commands) -> None:  # noqa: ANN401 - as above
    ledger = commands.add_parser("ledger", help="back a ledger up, or move it to another database")
    actions = ledger.add_subparsers(title="commands", metavar="COMMAND", required=True)
    backup = _command(actions, "backup", run["ledger backup"], "copy a SQLite ledger into a file while serve runs")
    _add_config(backup)
    backup.add_argument("file", type=Path, metavar="FILE", help="where to; it must not be there yet")
    copy = _command(actions, "copy", run["ledger copy"], "copy a ledger into an empty database; stop serve before")
    copy.add_argument("source", metavar="FROM", help="what store.url is: sqlite:///FILE or postgresql://USER@HOST/NAME")
    copy.add_argument("destination", metavar="TO", help="what it will be; passwords by PGPASSWORD or ~/.pgpass")


def _add_edits(actions: Any, run: Commands) -> None:  # noqa: ANN401 - as above
    texts = {
        "retry": "send rejected alarms again, reports mapped anew; waiting ones at once",
        "clear": "clear alarms in AOM as if their alerts had resolved now",
        "discard": "give alarms up without sending anything",
    }
    for edit, text in texts.items():
        command = _command(actions, edit, run[f"alarms {edit}"], text)
        _add_config(command)
        command.add_argument("ids", nargs="+" if edit != "retry" else "*", metavar="ID", help=_NAMED)
        if edit == "retry":
            command.add_argument("--all", action="store_true", help="every rejected alarm")
            command.add_argument("--target", help="with --all: only those of this target")
            command.add_argument("--source", help="with --all: only those of this source")


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config.file",
        dest="config_file",
        default=default_config(),
        metavar="FILE",
        help=f"the configuration; default: ${CONFIG_VARIABLE} or {DEFAULT_CONFIG}",
    )


def _command(commands: Any, name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:  # noqa: ANN401 - as above
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command
