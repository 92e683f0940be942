"""The command `aom-bridge healthcheck`: asks a running bridge whether it is alive, for containers without curl.

In: an address. Out: a sentence, and an exit code: 1 when the bridge does not answer. With TLS it needs no certificate:
a bridge that closes a connection of plain HTTP is alive, and one that hangs does not respond at all.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import DEFAULT_ADDRESS, Commands, add_command, parse_address
from bridge.cli.terminal import say

_CODES = {0: "it is alive", 1: "it does not answer, or not well"}
_SECONDS = 5
_PORTS = {"http": "80", "https": "443"}


def register(commands: Commands) -> None:
    """Add the command."""
    alive = add_command(
        commands,
        "healthcheck",
        _run,
        "ask a running bridge whether it is alive",
        codes=_CODES,
    )
    default = "127.0.0.1" + DEFAULT_ADDRESS
    help_text = f"HOST:PORT or the URL of the running bridge; default: {default}, whatever $AOM_BRIDGE_URL says"
    alive.add_argument("address", nargs="?", default=default, metavar="ADDRESS", help=help_text)


def _run(arguments: argparse.Namespace) -> int:
    is_alive, text = ask(*_address(arguments.address))
    say(text)
    return 0 if is_alive else 1


def _address(text: str) -> tuple[str, int]:
    """Return host and port of an address or a URL; raises `BridgeError`."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return parse_address(text)
    address = rest.partition("/")[0]
    has_port = address.rpartition("]")[2].count(":") == 1
    return parse_address(address if has_port else f"{address}:{_PORTS.get(scheme, '')}")


def ask(host: str, port: int) -> tuple[bool, str]:
    """Return whether the bridge is alive, and a sentence about its answer."""
    import socket

    from bridge.errors import of_connection

    location = f"{host or '127.0.0.1'}:{port}"
    try:
        with socket.create_connection((host or "127.0.0.1", port), timeout=_SECONDS) as connection:
            connection.settimeout(_SECONDS)
            connection.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
            answer = connection.recv(4_096)
    except TimeoutError:
        return False, f"{location} does not answer within {_SECONDS} s"
    except ConnectionRefusedError:
        return False, f"nothing listens on {location}"
    except ConnectionError:
        answer = b""
    except OSError as error:
        return False, of_connection(error, location).what
    if not answer.startswith(b"HTTP/"):
        return True, f"{location} is alive, and speaks TLS"
    status = answer.split(b" ", 2)[1].decode(errors="relocation")
    return status == "200", f"{location} answers {status}"
