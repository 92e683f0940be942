"""Reads the body of an answer of AOM or IAM, up to a limit: what answers may be anything."""

from __future__ import annotations

import aiohttp

MAX_BYTES = 64 << 20
"""Of one answer, decompressed: far above any page of AOM's list."""


class TooLongError(aiohttp.ClientError):
    """An answer longer than any of AOM or IAM."""

    def __init__(self) -> None:
        super().__init__(f"the answer is longer than {MAX_BYTES >> 20} MiB, and no answer of AOM or IAM is")


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """Return an answer's body.

    Raises:
        TooLongError: it is too long; the rest is not read.
        ClientError: it broke off.
    """
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_BYTES:
            response.close()
            raise TooLongError
    return bytes(body)
