"""Tells whether the client of a request still waits for its answer.

In: a request. Out: yes or no, from the state of its socket; nothing is read or sent.
"""

from __future__ import annotations

import select
import socket

from aiohttp import web

_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


def is_connected(request: web.Request) -> bool:
    """Return whether the client still waits for the answer.

    Requests that Alertmanager has given up on stay in the socket's buffer and are read later; storing one would raise
    an alarm whose resolve never comes. The socket shows that the client has closed it (measured: every time).
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        return False
    connection = transport.get_extra_info("socket")
    if connection is None:
        return True
    return not _is_hung_up(connection)


def _is_hung_up(connection: socket.socket) -> bool:
    poll = select.poll()
    try:
        poll.register(connection.fileno(), getattr(select, "POLLRDHUP", 0))
        return any(event & _HUNG_UP for _, event in poll.poll(0))
    except (OSError, ValueError):
        return True
