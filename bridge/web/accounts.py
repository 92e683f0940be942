"""Verifies passwords and tokens, and limits how often a peer may guess.

In: an ``Authorization`` header and the peer. Out: a name, or None. A password that was right is cached: bcrypt takes
50 ms, and a storm brings thousands of requests a second. A wrong one takes the same time for known and unknown users.
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
from bridge.typed_yaml.secret import Secret
from bridge.web.policy import Policy

_MAX_WAITING = 64
_BCRYPT_READS = 72
"""Bytes of a password that bcrypt uses; htpasswd and Go ignore the rest silently, bcrypt's library raises an error."""


class TooManyGuessesError(Exception):
    """Too many wrong credentials were sent; these were not checked."""


class Accounts:
    """The users and tokens of a policy.

    Args:
        policy: the users with their hashes, and the tokens.
        monotonic: a clock in seconds that never goes back.
    """

    def __init__(self, policy: Policy, monotonic: Callable[[], float]) -> None:
        self._guesses = PeerRateLimiter(monotonic)
        self._key = secrets.token_bytes(32)
        self._cached_proofs: dict[str, bytes] = {}
        self._checks: dict[bytes, asyncio.Future[bool]] = {}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")
        self.reconfigure(policy)

    def reconfigure(self, policy: Policy) -> None:
        """Use another policy; cached passwords stay valid if the user and the hash are unchanged."""
        self._users: Mapping[str, Secret] = policy.users
        self._tokens = policy.tokens
        self._cached_proofs = {user: proof for user, proof in self._cached_proofs.items() if user in policy.users}

    def stop(self) -> None:
        """Stop checking passwords."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def known(self, header: str) -> str | None:
        """Return the owner of the credentials if no slow hash is needed: a token, or a cached password."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer":
            return self._tokens.get(hashlib.sha256(value.strip().encode(errors="surrogateescape")).digest())
        user, password = _user_and_password(scheme, value)
        proof = self._cached_proofs.get(user)
        if proof is None:
            return None
        return user if secrets.compare_digest(proof, self._proof(user, password)) else None

    async def verify(self, header: str, peer: str) -> str | None:
        """Return the owner of the credentials; None if they are wrong.

        Raises:
            TooManyGuessesError: the peer, or all peers together, guess too often; nothing was checked.
        """
        user, password = _user_and_password(*header.partition(" ")[::2])
        if not user or not self._users:
            if not self._guesses.take(peer):
                raise TooManyGuessesError
            return None
        while True:
            hashed = self._users.get(user)
            proof = self._proof(user, password)
            if not await asyncio.shield(self._checks.get(proof) or self._start_check(user, password, proof, peer)):
                if self._users.get(user) != hashed:
                    continue  # the user's hash was changed meanwhile, and the password may be right for the new one
                return None
            if self._users.get(user) == hashed:
                self._cached_proofs[user] = proof
                return user

    def _start_check(self, user: str, password: bytes, proof: bytes, peer: str) -> asyncio.Future[bool]:
        """Start the check of a password that no other request is checking; a right one does not count as a guess."""
        if len(self._checks) >= _MAX_WAITING or not self._guesses.take(peer):
            raise TooManyGuessesError
        check = asyncio.ensure_future(self._check(user, password))
        self._checks[proof] = check

        def done(result: asyncio.Future[bool]) -> None:
            self._checks.pop(proof, None)
            if result.cancelled() or result.exception() is not None or result.result():
                self._guesses.give_back(peer)

        check.add_done_callback(done)
        return check

    async def _check(self, user: str, password: bytes) -> bool:
        # An unknown user is checked against another user's hash, so that the time does not tell which users exist.
        hashed = self._users.get(user)
        compared = hashed or next(iter(self._users.values()))
        loop = asyncio.get_running_loop()
        is_match = await loop.run_in_executor(self._executor, _matches, password, compared.reveal().encode())
        return is_match and hashed is not None

    def _proof(self, user: str, password: bytes) -> bytes:
        """Return a keyed hash of the credentials for the cache; it changes with the user's hash in the policy."""
        hashed = self._users.get(user)
        proof = hashlib.blake2b(key=self._key)
        for part in (user.encode(errors="surrogateescape"), hashed.reveal().encode() if hashed else b"", password):
            proof.update(len(part).to_bytes(4, "big") + part)
        return proof.digest()


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


def _user_and_password(scheme: str, value: str) -> tuple[str, bytes]:
    """Return user and password of Basic credentials (RFC 7617); both empty for anything else."""
    if scheme.lower() != "basic":
        return "", b""
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return "", b""
    user, _, password = raw.partition(b":")
    return user.decode(errors="surrogateescape"), password[:_BCRYPT_READS]
