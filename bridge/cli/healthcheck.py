"""Asks a running bridge on this machine whether it is alive, for containers without curl.

In: an address. Out: a sentence, and whether it is. With TLS it needs no certificate: whoever hangs up on plain HTTP is
alive, and whoever hangs does not answer at all.
"""

from __future__ import annotations

import socket

from bridge.errors import of_connection

_SECONDS = 5


def ask(host: str, port: int) -> tuple[bool, str]:
    """Return whether the bridge answers, and what it said."""
    place = f"{host or '127.0.0.1'}:{port}"
    try:
        with socket.create_connection((host or "127.0.0.1", port), timeout=_SECONDS) as connection:
            connection.settimeout(_SECONDS)
            connection.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
            answer = connection.recv(4_096)
    except TimeoutError:
        return False, f"{place} does not answer within {_SECONDS} s"
    except ConnectionRefusedError:
        return False, f"nothing listens on {place}"
    except ConnectionError:
        answer = b""
    except OSError as error:
        return False, of_connection(error, place).what
    if not answer.startswith(b"HTTP/"):
        return True, f"{place} is alive, and speaks TLS"
    status = answer.split(b" ", 2)[1].decode(errors="replace")
    return status == "200", f"{place} answers {status}"
