"""Authentication and authorization in front of each handler.

In: a request. Out: the handler's answer, or 401, 403 or 503. Without passwords and tokens anyone may post alerts and
read, and changes are accepted from loopback only, unless `--web.enable-admin` allows them from everywhere. A listener
on loopback then accepts only a Host that DNS cannot control (localhost or an IP address): otherwise a page whose name
resolves to loopback (DNS rebinding) could read and post through a browser on this machine. The body is not read here.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler

from bridge.log import logger
from bridge.metrics import Metrics
from bridge.rate_limit import PeerRateLimiter
from bridge.web.accounts import Accounts, TooManyGuessesError
from bridge.web.policy import Policy
from bridge.web.responses import MAY_CHANGE, WHO, Failure
from bridge.web.settings import DEFAULT_RIGHTS, Right

REASONS = (
    "no_credentials",
    "wrong_credentials",
    "too_many_guesses",
    "no_right",
    "not_loopback",
    "foreign_page",
    "foreign_host",
    "outdated",
)

ON_LOOPBACK = web.AppKey("on_loopback", bool)
"""Whether an application's listener can be reached from its own machine only."""

OnRefused = Callable[[web.Request, Failure], None]
_NAME_KINDS = ("DNS", "URI", "email", "IP Address")
_READING = ("GET", "HEAD")
_PROXY_HEADERS = ("forwarded", "via", "x-real-ip")

_log = logger("web")


class Guard:
    """Decides for each request whether it is allowed.

    Args:
        policy: the rights of each user, token and certificate.
        accounts: verifies passwords and tokens.
        metrics: where refusals are counted.
        monotonic: a clock in seconds that never goes back.
        on_refused_webhook: called with each webhook that is refused, and its answer.
        is_admin_open: without authentication, changes are accepted from every address.
    """

    def __init__(
        self,
        policy: Policy,
        accounts: Accounts,
        metrics: Metrics,
        monotonic: Callable[[], float],
        *,
        on_refused_webhook: OnRefused,
        is_admin_open: bool,
    ) -> None:
        self._policy = policy
        self._accounts = accounts
        self._metrics = metrics
        self._log_limiter = PeerRateLimiter(monotonic)
        self._on_refused_webhook = on_refused_webhook
        self._is_admin_open = is_admin_open
        self._trusts: WeakKeyDictionary[ssl.SSLContext, bytes] = WeakKeyDictionary()
        self.reconfigure(policy)

    def reconfigure(self, policy: Policy) -> None:
        """Use another policy from the next request on."""
        self._policy = policy
        self._accounts.reconfigure(policy)
        if policy.tls is not None:
            self._trusts[policy.tls] = policy.trust

    def before(self, right: Right, handle: Handler) -> Handler:
        """Return a handler that checks this right before it calls `handle`."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            is_outdated = self._is_outdated(request)
            refusal = await self._refusal(request, right, is_outdated=is_outdated)
            response = await handle(request) if refusal is None else refusal
            if is_outdated:
                response.force_close()
            if refusal is not None and right == "webhook":
                self._on_refused_webhook(request, refusal)
            return response

        return guarded

    def _is_outdated(self, request: web.Request) -> bool:
        """Return whether the connection was made under another policy, which trusted other clients."""
        policy, context = self._policy, _context(request)
        if context is None or policy.tls is None:
            return context is not policy.tls
        return self._trusts.get(context) != policy.trust

    async def _refusal(self, request: web.Request, right: Right, *, is_outdated: bool) -> Failure | None:
        policy = self._policy
        if is_outdated and (right == "admin" or (policy.trust and not self._was_verified(request))):
            text = "the web configuration has changed since this connection was made; connect again"
            return self._refused(request, "outdated", text, 503)
        certificate = _certificate_name(request, policy)
        if policy.allowed_sans and certificate is None:
            text = "the certificate has none of the names that client_allowed_sans lists"
            return self._refused(request, "no_right", text)
        if policy.needs_credentials:
            return await self._check_credentials(request, right)
        return self._check(request, right, certificate)

    async def _check_credentials(self, request: web.Request, right: Right) -> Failure | None:
        header = _authorization(request)
        if not header:
            return self._unknown(request, "no_credentials", "a user and password or a bearer token is required")
        try:
            name = self._accounts.known(header) or await self._accounts.verify(header, request.remote or "")
        except TooManyGuessesError:
            return self._too_many(request)
        if name is None:
            return self._unknown(request, "wrong_credentials", "the user, password or token is wrong")
        return self._check(request, right, name)

    def _was_verified(self, request: web.Request) -> bool:
        """Return whether the policy of this connection has verified the client's certificate."""
        context = _context(request)
        return context is not None and bool(self._trusts.get(context))

    def _check(self, request: web.Request, right: Right, name: str | None) -> Failure | None:
        request[WHO] = name or "anybody"
        if name is None and request.app[ON_LOOPBACK] and not _is_fixed(request.headers.get("Host", "localhost")):
            text = "Host not allowed. Fix: use localhost or an IP address, or configure users or tokens"
            return self._refused(request, "foreign_host", text)
        rights = self._policy.rights_of(name) if name else DEFAULT_RIGHTS
        request[MAY_CHANGE] = self._may_change(request, rights, name)
        if right not in rights:
            if name and (self._policy.needs_credentials or self._policy.rights):
                text = f"{name!r} has no right {right!r}. Fix: grant it under rights in the web configuration"
                return self._refused(request, "no_right", text, who=name)
            if not request[MAY_CHANGE]:
                text = "changes are accepted from loopback only. Fix: run aom-bridge alarms on the bridge's machine"
                return self._refused(request, "not_loopback", text)
        is_read = right == "status"
        is_anonymous = name is None and not is_read  # a page with our address in its name may read all of it anyway
        if not (is_read and request.method in _READING) and _is_from_a_foreign_page(request, is_anonymous=is_anonymous):
            return self._refused(request, "foreign_page", "a page of another site sent this request")
        return None

    def _may_change(self, request: web.Request, rights: frozenset[Right], name: str | None) -> bool:
        """Return whether this caller may change alarms."""
        is_known = name is not None and bool(self._policy.needs_credentials or self._policy.rights)
        return "admin" in rights or (not is_known and (self._is_admin_open or _is_local(request)))

    def _unknown(self, request: web.Request, reason: str, text: str) -> Failure:
        response = self._refused(request, reason, text, 401)
        response.headers["WWW-Authenticate"] = 'Basic realm="aom-bridge"' if self._policy.users else "Bearer"
        return response

    def _too_many(self, request: web.Request) -> Failure:
        text = "too many wrong passwords or tokens from this address; this request was not checked"
        response = self._refused(request, "too_many_guesses", text, 503)
        response.headers["Retry-After"] = "10"
        return response

    def _refused(self, request: web.Request, reason: str, text: str, status: int = 403, **more: str) -> Failure:
        self._metrics.web_refusals.labels(reason).inc()
        peer = request.remote or ""
        if self._log_limiter.take(peer):
            _log.warning("request refused", status=status, reason=reason, path=request.path[:200], peer=peer, **more)
        return Failure(text, status)


def _authorization(request: web.Request) -> str:
    """Return the header if there is exactly one; a proxy could have checked another one of two."""
    headers = request.headers.getall("Authorization", [])
    return headers[0] if len(headers) == 1 else ""


def _context(request: web.Request) -> ssl.SSLContext | None:
    context: ssl.SSLContext | None = request.transport.get_extra_info("sslcontext") if request.transport else None
    return context


def _certificate_name(request: web.Request, policy: Policy) -> str | None:
    """Return the name in the client's verified certificate; an allowed or listed name comes first."""
    if policy.tls is None or request.transport is None:
        return None
    certificate: dict[str, Any] = request.transport.get_extra_info("peercert") or {}
    names = [_plain(kind, value) for kind, value in certificate.get("subjectAltName", ()) if kind in _NAME_KINDS]
    if policy.allowed_sans:
        return next((name for name in names if name in policy.allowed_sans), None)
    subject = [value for pairs in certificate.get("subject", ()) for key, value in pairs if key == "commonName"]
    listed = [name for name in (*names, *subject) if name in policy.rights]
    return next(iter((*listed, *names, *subject)), None)


def _plain(kind: str, value: str) -> str:
    """Return a name as the configuration has it: Python writes an IPv6 address uncompressed."""
    return str(ipaddress.ip_address(value.strip())) if kind == "IP Address" else value


def _is_local(request: web.Request) -> bool:
    """Return whether the request comes from this machine, and not through a proxy on it."""
    names = (name.lower() for name in request.headers)
    if any(name in _PROXY_HEADERS or name.startswith("x-forwarded-") for name in names):
        return False
    return is_loopback(request.remote or "")


def is_loopback(address: str) -> bool:
    """Return whether an address can be reached from its own machine only."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return (mapped or parsed).is_loopback


def _is_from_a_foreign_page(request: web.Request, *, is_anonymous: bool) -> bool:
    """Return whether a browser sent this request for a page of another site.

    Browsers say so in headers. A page whose name resolves to the bridge's address passes as the same origin (DNS
    rebinding): without authentication, only a host that DNS cannot control is trusted.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    host = origin.partition("://")[2]
    return host != request.host or (is_anonymous and not _is_fixed(host))


@lru_cache(maxsize=64)
def _is_fixed(host: str) -> bool:
    """Return whether a host, with or without port, is one that DNS cannot control: localhost or an IP address."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
