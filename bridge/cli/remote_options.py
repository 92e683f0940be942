"""`--url` and what goes with it: the options by which a command asks a running bridge elsewhere.

In: argparse's parser. Out: options that `bridge.cli.remote` reads; it is imported when such a command runs.
"""

from __future__ import annotations

import argparse
import os

from bridge.cli.options import DEFAULT_ADDRESS

URL_VARIABLE = "AOM_BRIDGE_URL"
TOKEN_VARIABLE = "AOM_BRIDGE_TOKEN"  # noqa: S105 - the name of a variable


ASK_INSTEAD = f"--url http://127.0.0.1{DEFAULT_ADDRESS} asks the running bridge, and reads no file"
"""What to do where the configuration cannot be read."""


def add_remote(command: argparse.ArgumentParser) -> None:
    """Add `--url` and what goes with it."""
    group = command.add_argument_group("a running bridge elsewhere")
    group.add_argument(
        "--url",
        default=os.environ.get(URL_VARIABLE),
        help=f"its address; no configuration is read; default: ${URL_VARIABLE}",
    )
    group.add_argument(
        "--token-file", metavar="FILE", help=f"file with a bearer token; default: the token in ${TOKEN_VARIABLE}"
    )
    group.add_argument("--user", metavar="NAME", help="user for basic authentication")
    group.add_argument("--password-file", metavar="FILE", help="file with the user's password")
    group.add_argument("--ca-file", metavar="FILE", help="CA that its certificate is checked against")
    group.add_argument("--cert-file", metavar="FILE", help="client certificate")
    group.add_argument("--key-file", metavar="FILE", help="key of the client certificate")
