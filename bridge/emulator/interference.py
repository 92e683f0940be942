"""What an armed fault does to a request and its connection.

In: a request, the faults that hit it and the way to answer it properly. Out: an answer, or a connection that
is closed, reset or left hanging. It arms nothing and reads no body. No rule of the API is here: these
are faults of a network between a client and a service.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from aiohttp import web

from bridge.emulator.answers import refused
from bridge.emulator.faults import Fault, Faults, Operation

# How often a hanging request checks whether its client has disconnected.
_CHECK_INTERVAL_S = 0.05

# SO_LINGER on with a linger of 0 s: the kernel answers with a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


async def interfered(
    request: web.Request,
    operation: Operation,
    faults: Faults,
    answer: Callable[[], web.Response],
) -> tuple[web.StreamResponse, int]:
    """Answer a request through every fault that hits it.

    After a latency or a hang the next fault applies; any other kind ends the request.

    Returns:
        What the server is to send, and the status that the client sees: 0 for a broken answer.
    """
    for fault in faults.hitting(operation):
        if fault.kind == "latency_ms":
            await faults.pause(fault.latency_ms / 1_000)
        elif fault.kind == "hang":
            await _hang(request, faults)
        elif fault.refusal is not None:
            return refused(fault.refusal, iam=operation == "token", headers=fault.headers), fault.status
        else:
            return await _broken(request, fault, answer), 0
    response = answer()
    return response, response.status


async def _broken(request: web.Request, fault: Fault, answer: Callable[[], web.Response]) -> web.StreamResponse:
    if fault.after:
        answer()
    if fault.kind == "half":
        return await _half(request)
    if fault.kind == "reset":
        _reset(request.transport)
    elif request.transport is not None:
        request.transport.close()
    # aiohttp wants a response to give up on; the connection it belongs to is gone.
    return web.Response(status=204)


async def _half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"events": [')
    if request.transport is not None:
        request.transport.close()
    return response


def _reset(transport: asyncio.Transport | None) -> None:
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


async def _hang(request: web.Request, faults: Faults) -> None:
    while request.transport is not None and not request.transport.is_closing():
        if await faults.pause(_CHECK_INTERVAL_S):
            return
