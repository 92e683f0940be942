"""The command `aom-bridge emulator`: runs an emulator of AOM and IAM until it is stopped.

In: the command line. Out: a server, a few lines that say how to use it, and the exit code 0. Each of the `SWITCHES` is
an option of the emulator that its module explains.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from bridge.cli.options import Commands, add_command, parse_address
from bridge.cli.terminal import say
from bridge.emulator import CHOICES, EXAMPLES, KINDS, OPERATIONS, STATISTIC_CHOICES, Options

_CODES = {0: "it was stopped"}
_DEFAULT_ADDRESS = "127.0.0.1:9877"

SWITCHES = {
    "ids": "whether AOM keeps a supplied id",
    "same_alarm": "what makes two reports the same alarm",
    "timeout_from": "when a timeout begins",
    "repeat_restarts_timeout": "whether a repeated report restarts the timeout",
    "unknown_id": "status of the response to a clear with an unknown id",
    "relation_values": "how many values a relation of a query may have",
    "list_lag_ms": "milliseconds by which the list and the statistic lag",
    "statistic_summary": "whether the statistic has a summary",
    "statistic_scope": "whose alarms the statistic counts: those of the header's enterprise project, or all",
    "project_id": "the only project that is accepted; default: any",
    "token_length": "length of the tokens from IAM",
    "token_ttl_s": "lifetime of the tokens from IAM in seconds",
}
"""The emulator's options that the command line offers, each as ``--name-with-dashes``."""

_SPELLED = {"True": "yes", "False": "no"}

_ORDERS = """faults, by curl http://%s/emulator/faults -d 'ORDER'; curl -X DELETE removes all:
%s
  "on": OPERATION of an order is one of %s; without it: any
  "count": TIMES ends it after so many requests; without it: it stays until it is removed

other orders:
  POST /emulator/alarms/PROJECT    put in alarms of other programs: a report's body, past all faults and credentials
  DELETE /emulator/alarms/PROJECT?KEY=VALUE    clear alarms by hand, as in the console: by metadata, or by id
  POST /emulator/reset    forget everything"""

_HINT = """AOM and IAM emulator: {url}
  page          {url}/
  state         {url}/emulator/state
  faults        curl {url}/emulator/faults -d '{{"on": "report", "status": 503, "count": 2}}'
                curl -X DELETE {url}/emulator/faults
  by hand       curl -X DELETE '{url}/emulator/alarms/{project}?event_name=NAME'    clears as the console does
  IAM           domain, user and password: emulator; AK/SK: emulator-ak, emulator-sk
A target for the bridge's configuration:
  targets:
    default:
      endpoint: {url}
      project_id: {project}
      auth: {{token: {{value: {token}}}}}
Ctrl-C ends it."""


def register(commands: Commands) -> None:
    """Add the command."""
    emulator = add_command(commands, "emulator", _run, "run an emulator of AOM and IAM on loopback", codes=_CODES)
    emulator.epilog = f"{emulator.epilog}\n\n" + _ORDERS % (
        _DEFAULT_ADDRESS,
        "\n".join(f"  {kind:<15}{text}\n{'':17}{EXAMPLES[kind]}" for kind, text in KINDS.items()),
        ", ".join(OPERATIONS),
    )
    emulator.add_argument(
        "--listen-address", default=_DEFAULT_ADDRESS, metavar="ADDRESS", help=f"default: {_DEFAULT_ADDRESS}"
    )
    defaults = {field.name: field.default for field in fields(Options)}
    for name, text in SWITCHES.items():
        default = defaults[name]
        choices = None if isinstance(default, bool) else (CHOICES | STATISTIC_CHOICES).get(name)
        kind: Callable[[str], Any] = type(default) if isinstance(default, int) else str
        emulator.add_argument(
            "--" + name.replace("_", "-"),
            dest=name,
            type=_yes_or_no if isinstance(default, bool) else kind,
            choices=choices,
            metavar=None if choices else "{yes,no}" if isinstance(default, bool) else "VALUE",
            help=text if default is None else f"{text}; default: {_SPELLED.get(str(default), default)}",
        )


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no", "true", "false"):
        raise argparse.ArgumentTypeError("write yes or no")
    return text in ("yes", "true")


def _run(arguments: argparse.Namespace) -> int:
    import asyncio

    from bridge.cli.signals import run_until_stopped
    from bridge.emulator import Emulator
    from bridge.errors import BridgeError, of_listening

    host, port = parse_address(arguments.listen_address)
    switches = {name: getattr(arguments, name) for name in SWITCHES if getattr(arguments, name) is not None}
    options = Options(host=host or "127.0.0.1", port=port, **switches)
    emulator = Emulator(options)

    async def start() -> None:
        try:
            await emulator.start()
        except OSError as error:
            what, fix = of_listening(error, port)
            text = f"{arguments.listen_address} cannot be listened on: {what}"
            raise BridgeError(f"{text}. Fix: {fix} --listen-address.") from None
        project = options.project_id or "demo"
        say(*_HINT.format(url=emulator.url, token=options.tokens[0], project=project).splitlines())

    return asyncio.run(run_until_stopped(start, emulator.stop))
