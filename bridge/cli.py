"""The commands; the only place that prints.

In: the command line. Out: text for people or JSON for programs on standard output, logs and errors on standard error,
and an exit code: 0 done, 1 the answer is no (a wrong configuration, an alarm that is not there), 2 it could not run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bridge import __version__, config, log
from bridge.clock import format_rfc3339, system_clock
from bridge.errors import BridgeError, PayloadError
from bridge.event import report
from bridge.ledger import STATES, AlarmView, alarm_id, read
from bridge.mapping import Mapper
from bridge.notification import Alert, Notification, parse

DEFAULT_CONFIG = "config/bridge.yaml"
CONFIG_VARIABLE = "AOM_BRIDGE_CONFIG_FILE"
DEFAULT_ADDRESS = ":9876"
EMULATOR_ADDRESS = "127.0.0.1:9877"

_LATEST_FIRST = 1_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except config.ConfigError as error:
        _complain(*error.lines())
        return 1
    except BridgeError as error:
        _complain(f"aom-bridge: {error}")
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _serve(arguments: argparse.Namespace) -> int:
    from bridge.app import App  # noqa: PLC0415 - the other commands start faster without the server's imports

    log.configure(arguments.log_level, arguments.log_format)
    settings = config.load(arguments.config_file)
    host, port = _address(arguments.listen_address)
    app = App(settings, host, port)
    return asyncio.run(_until_stopped(app.start, app.stop))


def _emulator(arguments: argparse.Namespace) -> int:
    from bridge.emulator import Emulator, Options  # noqa: PLC0415 - as above

    host, port = _address(arguments.listen_address)
    switches = {name: getattr(arguments, name) for name in _SWITCHES if getattr(arguments, name) is not None}
    options = Options(host=host or "127.0.0.1", port=port, **switches)
    emulator = Emulator(options)

    async def start() -> None:
        try:
            await emulator.start()
        except OSError as error:
            text = f"{arguments.listen_address} cannot be listened on: {error.strerror}"
            raise BridgeError(f"{text}. Fix: choose another --listen-address.") from None
        print(_EMULATOR_HINT.format(url=emulator.url, token=options.tokens[0]), flush=True)

    return asyncio.run(_until_stopped(start, emulator.stop))


def _demo(arguments: argparse.Namespace) -> int:
    from bridge.demo import Demo  # noqa: PLC0415 - as above

    log.configure("error", "logfmt")
    demo = Demo(Console(), is_live=sys.stdout.isatty(), once=arguments.once)
    return asyncio.run(_demo_until_stopped(demo.run))


def _check_config(arguments: argparse.Namespace) -> int:
    wrong = 0
    for file in arguments.files or [_default_config()]:
        try:
            settings = config.load(file, allow_unset=arguments.allow_unset)
        except config.ConfigError as error:
            wrong += 1
            _complain(*error.lines())
            _complain(f"{file}: FAILED: {len(error.problems)} problem(s)")
        else:
            rules = len(settings.mapping.rules)
            print(f"{file}: SUCCESS: {len(settings.targets)} target(s), {rules} rule(s)")
    return 1 if wrong else 0


def _map(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True)
    notification = _read_payload(arguments.payload)
    timeouts = {name: target.alarm_timeout for name, target in settings.targets.items()}
    mapper = Mapper(settings.mapping, timeouts, settings.default_target)
    source = arguments.source or settings.source
    for index, alert in enumerate(notification.alerts, 1):
        print(f"alert {index} of {len(notification.alerts)}: {alert.status} {alert.fingerprint}")
        _print_mapping(mapper, source, alert, notification)
    return 0


def _print_mapping(mapper: Mapper, source: str, alert: Alert, notification: Notification) -> None:
    for name, failing in mapper.explain(alert.labels):
        print(f"  rule {name}: " + ("matches" if failing is None else f"no, for {failing} does not hold"))
    result = mapper.map(source, alert, notification.group)
    for fallback in result.fallbacks:
        print(f"  fallback of {fallback.field} in {fallback.rule}: {fallback.problem}")
    if result.left_out:
        print(f"  left out for AOM's limits: {result.left_out} label(s) or annotation(s)")
    if result.mapped.event is None:
        print(f"  dropped by {result.mapped.rule}")
        return
    print(f"  mapped by {result.mapped.rule} for target {result.mapped.target}")
    now = system_clock()
    own_id = alarm_id((source, alert.fingerprint), alert.starts_at)
    entry = report(result.mapped.event, alarm_id=own_id, starts_at=alert.starts_at, now=now)
    print(_indented(_pretty(entry)))


def _alarms_list(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True)
    with read.looking_at(settings.store.url) as connection:
        views = read.listing(
            connection,
            states=arguments.state or (),
            target=arguments.target,
            source=arguments.source,
            limit=arguments.limit,
        )
    if arguments.output == "json":
        print(_pretty([_as_json(view) for view in views]))
    else:
        _print_table(views)
    return 0


def _alarms_show(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True)
    with read.looking_at(settings.store.url) as connection:
        view = read.show(connection, arguments.id)
    if view is None:
        _complain(f"aom-bridge: no alarm, or more than one, has an id that begins with {arguments.id!r}")
        return 1
    if arguments.output == "json":
        print(_pretty(_as_json(view)))
        return 0
    for name, value in _as_json(view).items():
        shown = value if isinstance(value, str) else _pretty(value)
        print(f"{name}: {shown}")
    return 0


def _as_json(view: AlarmView) -> dict[str, Any]:
    """Return one alarm for people and programs: times as RFC 3339, nothing that is empty."""
    row = {name: getattr(view.alarm, name) for name in view.alarm.__struct_fields__ if name not in _INTERNAL}
    shown = {name: _time_or_value(name, value) for name, value in row.items() if value not in (None, False)}
    event = {"metadata": view.event.metadata, "annotations": view.event.annotations}
    context = msgspec.to_builtins(view.context)
    return {**shown, "event": event, "labels": context["alert"]["labels"], "group": context["group"]}


def _time_or_value(name: str, value: object) -> object:
    is_time = name.endswith(("_at", "_since", "_seen")) and isinstance(value, int)
    return format_rfc3339(value) if is_time and isinstance(value, int) else value


def _print_table(views: Sequence[AlarmView]) -> None:
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("ID", "STATE", "SEVERITY", "EVENT", "RESOURCE", "TARGET", "SOURCE", "SINCE", "REASON"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("ID", "STATE", "SINCE"))
    for view in views:
        alarm, metadata = view.alarm, view.event.metadata
        table.add_row(
            alarm.id[:12],
            alarm.state,
            alarm.severity,
            *(_plain(text) for text in (metadata["event_name"], metadata["resource_id"], alarm.target, alarm.source)),
            format_rfc3339(alarm.fired_at),
            alarm.reason or "",
        )
    wide = None if sys.stdout.isatty() else 200
    Console(width=wide, highlight=False, markup=False).print(table)


def _plain(text: str) -> str:
    """Keep a label's value from steering the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:60])


def _read_payload(name: str) -> Notification:
    try:
        return parse(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except OSError as error:
        raise BridgeError(
            f"{name}: {error.strerror}. Fix: name a file with a webhook's body, or - for stdin."
        ) from None
    except PayloadError as error:
        raise BridgeError(f"{name}: {error}") from None


async def _until_stopped(start: Callable[[], Any], stop: Callable[[], Any]) -> int:
    """Run until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await start()
    await stopped.wait()
    await stop()
    return 0


async def _demo_until_stopped(run: Callable[[asyncio.Event], Any]) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return int(await run(stopped))


def _address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``:PORT`` or ``[IPv6]:PORT``."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise BridgeError(f"{text!r} is not an address. Fix: write HOST:PORT, or :PORT for all addresses.")
    return host.strip("[]"), int(port)


def _default_config() -> str:
    return os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG)


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


def _complain(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)


_INTERNAL = ("seq", "digest", "claimed_by", "newest_starts_at", "newest_fired_at", "earliest_at")

_SWITCHES = {
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

_EMULATOR_HINT = """AOM and IAM emulator: {url}
  page          {url}/
  state         {url}/emulator/state
  faults        POST {url}/emulator/faults
A target for the bridge's configuration:
  targets:
    default:
      endpoint: {url}
      project_id: demo
      auth: {{token: {{value: {token}}}}}
Ctrl-C ends it."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aom-bridge", description="Prometheus Alertmanager webhook bridge to Huawei Cloud AOM."
    )
    parser.add_argument("--version", action="version", version=f"aom-bridge {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    demo = _command(commands, "demo", _demo, "the main job in front of your eyes: no account, no configuration")
    demo.add_argument("--once", action="store_true", help="end after the replay; exit code 0 if AOM ended up right")
    _add_emulator(commands)
    check = _command(commands, "check-config", _check_config, "check configuration files with serve's own loader")
    check.add_argument("files", nargs="*", metavar="FILE", help=f"default: ${CONFIG_VARIABLE} or {DEFAULT_CONFIG}")
    check.add_argument("--allow-unset", action="store_true", help="take variables that are not set for a text")
    shown = _command(commands, "map", _map, "show rule by rule what a webhook's body becomes")
    _add_config(shown)
    shown.add_argument("--source", help="the source to map as; default: the configuration's")
    shown.add_argument("payload", metavar="PAYLOAD.json", help="the body of a webhook; - reads standard input")
    _add_alarms(commands)
    return parser


def _add_serve(commands: Any) -> None:  # noqa: ANN401 - argparse's own type is private
    serve = _command(commands, "serve", _serve, "run the bridge")
    _add_config(serve)
    serve.add_argument(
        "--web.listen-address",
        dest="listen_address",
        default=DEFAULT_ADDRESS,
        metavar="ADDRESS",
        help=f"where to listen; default: {DEFAULT_ADDRESS}",
    )
    serve.add_argument("--log.level", dest="log_level", choices=log.LEVELS, default="info", help="default: info")
    serve.add_argument(
        "--log.format", dest="log_format", choices=("logfmt", "json"), default="logfmt", help="default: logfmt"
    )


def _add_emulator(commands: Any) -> None:  # noqa: ANN401 - as above
    from bridge.emulator import Options  # noqa: PLC0415 - as above

    emulator = _command(commands, "emulator", _emulator, "run AOM's and IAM's emulator on loopback")
    emulator.add_argument(
        "--listen-address", default=EMULATOR_ADDRESS, metavar="ADDRESS", help=f"default: {EMULATOR_ADDRESS}"
    )
    defaults = {field.name: field.default for field in fields(Options)}
    for name, text in _SWITCHES.items():
        default = defaults[name]
        kind: Callable[[str], Any] = type(default) if isinstance(default, int) else str
        emulator.add_argument(
            "--" + name.replace("_", "-"),
            dest=name,
            type=_yes_or_no if isinstance(default, bool) else kind,
            choices=_CHOICES.get(name),
            metavar=None if name in _CHOICES else "VALUE",
            help=f"{text}; default: {default}",
        )


_CHOICES: dict[str, tuple[object, ...]] = {
    "ids": ("assigned", "supplied"),
    "same_alarm": ("metadata", "id"),
    "timeout_from": ("arrival", "starts_at"),
    "unknown_id": (204, 400),
    "relation_values": ("any", "one"),
}


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no", "true", "false"):
        raise argparse.ArgumentTypeError("write yes or no")
    return text in ("yes", "true")


def _add_alarms(commands: Any) -> None:  # noqa: ANN401 - as above
    alarms = commands.add_parser("alarms", help="look at the alarms in the ledger")
    actions = alarms.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = _command(actions, "list", _alarms_list, "list alarms, the newest first")
    _add_config(listing)
    listing.add_argument("--state", action="append", choices=STATES, help="only these; may be repeated")
    listing.add_argument("--target", help="only those of this target")
    listing.add_argument("--source", help="only those of this source")
    listing.add_argument("--limit", type=int, default=_LATEST_FIRST, help=f"at most so many; default: {_LATEST_FIRST}")
    show = _command(actions, "show", _alarms_show, "show one alarm whole")
    _add_config(show)
    show.add_argument("id", metavar="ID", help="its id, or the beginning of it")
    for command in (listing, show):
        command.add_argument("-o", dest="output", choices=("table", "json"), default="table", help="default: table")


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config.file",
        dest="config_file",
        default=_default_config(),
        metavar="FILE",
        help=f"the configuration; default: ${CONFIG_VARIABLE} or {DEFAULT_CONFIG}",
    )


def _command(commands: Any, name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:  # noqa: ANN401 - as above
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command
