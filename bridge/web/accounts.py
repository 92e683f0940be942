"""Passwords and tokens: whose they are, and how often a peer may guess.

In: an ``Authorization`` header and the peer. Out: a name, or None. A password that was right is known again at once:
bcrypt takes 50 ms, and a storm brings thousands of requests a second. A wrong one costs the same whoever it is for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from bridge.rate_limit import PeerRateLimiter
from bridge.secret import Secret
from bridge.web.policy import Policy

_MAX_WAITING = 64
_BCRYPT_READS = 72
"""Bytes of a password; htpasswd and Go leave the rest out without a word, and bcrypt's library refuses it."""


class TooManyGuessesError(Exception):
    """Wrong credentials came too often: these were not looked at."""


class Accounts:
    """The users and tokens of a policy.

    Args:
        policy: whose.
        monotonic: seconds that never go back.
    """

    def __init__(self, policy: Policy, monotonic: Callable[[], float]) -> None:
        self._guesses = PeerRateLimiter(monotonic)
        self._key = secrets.token_bytes(32)
        self._proven: dict[str, bytes] = {}
        self._asked: dict[bytes, asyncio.Future[bool]] = {}
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")
        self.reconfigure(policy)

    def reconfigure(self, policy: Policy) -> None:
        """Go over to another policy; passwords that were right and still are stay known."""
        self._users: Mapping[str, Secret] = policy.users
        self._tokens = policy.tokens
        self._proven = {user: proof for user, proof in self._proven.items() if user in policy.users}

    def stop(self) -> None:
        """Look at no password any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def known(self, header: str) -> str | None:
        """Return whose credentials these are, if that is known without a hash that takes long."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer":
            return self._tokens.get(hashlib.sha256(value.strip().encode(errors="surrogateescape")).digest())
        user, password = _user_and_password(scheme, value)
        proof = self._proven.get(user)
        if proof is None:
            return None
        return user if secrets.compare_digest(proof, self._proof(user, password)) else None

    async def verify(self, header: str, peer: str) -> str | None:
        """Return whose credentials these are; None when they are wrong.

        Raises:
            TooManyGuessesError: the peer, or all peers together, guess too much; nothing was looked at.
        """
        user, password = _user_and_password(*header.partition(" ")[::2])
        if not user or not self._users:
            if not self._guesses.take(peer):
                raise TooManyGuessesError
            return None
        while True:
            hashed = self._users.get(user)
            proof = self._proof(user, password)
            if not await asyncio.shield(self._asked.get(proof) or self._ask(user, password, proof, peer)):
                if self._users.get(user) != hashed:
                    continue  # another hash came meanwhile, and the password may be right for that one
                return None
            if self._users.get(user) == hashed:
                self._proven[user] = proof
                return user

    def _ask(self, user: str, password: bytes, proof: bytes, peer: str) -> asyncio.Future[bool]:
        """Begin to look at a password that nobody looks at yet; what turns out right was no guess."""
        if len(self._asked) >= _MAX_WAITING or not self._guesses.take(peer):
            raise TooManyGuessesError
        asked = asyncio.ensure_future(self._look_at(user, password))
        self._asked[proof] = asked

        def done(result: asyncio.Future[bool]) -> None:
            self._asked.pop(proof, None)
            if result.cancelled() or result.exception() is not None or result.result():
                self._guesses.give_back(peer)

        asked.add_done_callback(done)
        return asked

    async def _look_at(self, user: str, password: bytes) -> bool:
        # A user that nobody knows costs as much as one that is known.
        hashed = self._users.get(user)
        measure = hashed or next(iter(self._users.values()))
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._threads, _fits, password, measure.reveal().encode())
        return fits and hashed is not None

    def _proof(self, user: str, password: bytes) -> bytes:
        """Return what stands for these credentials in memory; another hash of the user's makes it another."""
        hashed = self._users.get(user)
        made = hashlib.blake2b(key=self._key)
        for part in (user.encode(errors="surrogateescape"), hashed.reveal().encode() if hashed else b"", password):
            made.update(len(part).to_bytes(4, "big") + part)
        return made.digest()


def _fits(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


def _user_and_password(scheme: str, value: str) -> tuple[str, bytes]:
    """Read what Basic carries (RFC 7617); empty for anything else."""
    if scheme.lower() != "basic":
        return "", b""
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return "", b""
    user, _, password = raw.partition(b":")
    return user.decode(errors="surrogateescape"), password[:_BCRYPT_READS]
