"""The command `aom-bridge map`: its options; what it does is in `map_alerts`.

In: the command line. Out: the exit code.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command, add_config_file
from bridge.cli.remote_options import add_remote

_CODES = {0: "done", 1: "with --diff: an alert would become something else", 2: "nothing could be read or mapped"}


def register(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "map", _run, "show rule by rule what alerts become; nothing is sent", codes=_CODES)
    add_config_file(command)
    add_remote(command)
    command.add_argument("--source", help="source of the alerts; default: that of the configuration")
    command.add_argument(
        "--last", type=int, nargs="?", const=1, metavar="N", help="map the newest alert in the ledger, or the newest N"
    )
    command.add_argument(
        "--from", dest="alertmanager", metavar="URL", help="map what this Alertmanager shows now, at most 200 alerts"
    )
    command.add_argument("--diff", metavar="OTHER.yaml", help="show what another configuration would change")
    command.add_argument("-o", "--output", dest="output", choices=("table", "json", "yaml"), default="table")
    command.add_argument(
        "alerts",
        nargs="*",
        metavar="ALERT",
        help="labels of one alert, such as alertname=DiskFull severity=critical; or a file with a webhook's body, or "
        "with what `amtool alert query -o json` prints; - reads stdin; default with --diff: all alerts of the ledger",
    )


def _run(arguments: argparse.Namespace) -> int:
    from bridge.cli.map_alerts import run

    return run(arguments)
