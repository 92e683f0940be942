"""Reads the body of an answer of AOM or IAM, up to a limit: a proxy may answer instead, with any content."""

from __future__ import annotations

import aiohttp

MAX_BYTES = 64 << 20
"""The most bytes of one answer, decompressed: far more than any page of AOM's list."""


class TooLongError(aiohttp.ClientError):
    """The answer exceeds `MAX_BYTES`, so it is not from AOM or IAM."""

    def __init__(self) -> None:
        super().__init__(f"the answer is longer than {MAX_BYTES >> 20} MiB, so it is not from AOM or IAM")


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """Return an answer's body.

    Raises:
        TooLongError: the body exceeds `MAX_BYTES`; reading stopped there.
        ClientError: the connection ended before the body did.
    """
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_BYTES:
            response.close()
            raise TooLongError
    return bytes(body)
