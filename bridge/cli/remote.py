"""A running bridge elsewhere, as commands with `--url` ask it: its API, with a token, a password or TLS files.

In: the options of the command line, or their environment variables. Out: answers of the API, or errors that name the
fix. No configuration file is read. Secrets come from files or the environment: the process list shows arguments.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bridge.cli.remote_options import TOKEN_VARIABLE
from bridge.errors import BridgeError, UnknownAlarmError, of_connection, of_file, without_stop

_SECONDS = 30
_NOT_FOUND, _CONFLICT = 404, 409


class Remote:
    """A running bridge.

    Args:
        url: its address.
        headers: sent with each request.
        tls: the context for https; None: the system's.
    """

    def __init__(self, url: str, headers: dict[str, str], tls: ssl.SSLContext | None) -> None:
        self._url = url.rstrip("/")
        self._headers = headers
        self._tls = tls

    def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """Return an answer of the API.

        Raises:
            UnknownAlarmError: it says that there is no such alarm, or that several are meant.
            BridgeError: there is no answer, or an error; the text names the fix.
        """
        address = urllib.parse.quote(path) + ("?" + urllib.parse.urlencode(query) if query else "")
        return self._answer(urllib.request.Request(self._url + address, headers=self._headers))  # noqa: S310 - the scheme of its address was checked by `remote_of`

    def post(self, path: str, value: object = None) -> dict[str, Any]:
        """Return the answer to a request that carries JSON; raises as `get`."""
        body = b"" if value is None else json.dumps(value).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        address = self._url + urllib.parse.quote(path)
        return self._answer(urllib.request.Request(address, body, headers, method="POST"))  # noqa: S310 - the scheme of its address was checked by `remote_of`

    def _answer(self, request: urllib.request.Request) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS, context=self._tls) as response:  # noqa: S310 - the scheme of its address was checked by `remote_of`
                return _json(response.read())
        except urllib.error.HTTPError as error:
            raise self._refused(error.code, error.read()) from None
        except urllib.error.URLError as error:
            reason = error.reason if isinstance(error.reason, OSError) else OSError(error.reason)
            raise BridgeError(f"{self._url}: {self._why(reason)}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise BridgeError(f"{self._url}: {self._why(error)}") from None

    def _refused(self, status: int, body: bytes) -> BridgeError:
        try:
            text = str(_json(body)["error"])
        except (ValueError, KeyError, TypeError):
            text = f"answer {status}, which is not of aom-bridge's API. Fix: {self._own_address()}"
        if status == _NOT_FOUND:
            return UnknownAlarmError(text)
        if status in (401, 403):
            fix = f"--token-file, or --user with --password-file, or ${TOKEN_VARIABLE}"
            whole = text if "Fix:" in text else f"{without_stop(text)}. Fix: {fix}."
            return BridgeError(f"{self._url}: {whole}")
        return ConflictError(text) if status == _CONFLICT else BridgeError(f"{self._url}: {text}")

    def _why(self, error: Exception) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({error.verify_message}). Fix: --ca-file with the CA's certificate."
        if isinstance(error, OSError):
            parts = urllib.parse.urlsplit(self._url)
            proxy = f"{parts.scheme.upper()}_PROXY"  # urllib honours it
            return str(of_connection(error, parts.netloc, proxy=proxy, is_plain=self._is_plain))
        return f"it is no answer of aom-bridge: {error}. Fix: {self._own_address()}."

    @property
    def _is_plain(self) -> bool:
        return self._url.startswith("http://")

    def _own_address(self) -> str:
        """Return what the address should be; a port with TLS may answer a plain request with a refusal."""
        return "the address of the bridge itself" + (", with https:// if it uses TLS" if self._is_plain else "")


class ConflictError(BridgeError):
    """The alarm is in a state that does not allow the change."""


def _json(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - an answer that is not the API's, as any other one
    return value


def remote_of(arguments: argparse.Namespace) -> Remote | None:
    """Return the bridge that the options name; None if they name none.

    Raises:
        BridgeError: they cannot be used; the text names the fix.
    """
    return remote_at(arguments) if arguments.url else None


def remote_at(arguments: argparse.Namespace) -> Remote:
    """Return the bridge at the URL of the options.

    Raises:
        BridgeError: they cannot be used; the text names the fix.
    """
    parts = urllib.parse.urlsplit(arguments.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BridgeError("--url is no web address. Fix: such as https://aom-bridge.example:9876.")
    if parts.username or parts.password:
        raise BridgeError("--url holds a password, which the process list shows. Fix: --user and --password-file.")
    return Remote(arguments.url, _headers(arguments), _tls(arguments))


def _headers(arguments: argparse.Namespace) -> dict[str, str]:
    if arguments.user:
        password = _secret(arguments.password_file) if arguments.password_file else ""
        pair = base64.b64encode(f"{arguments.user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    token = _secret(arguments.token_file) if arguments.token_file else os.environ.get(TOKEN_VARIABLE, "")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _secret(name: str) -> str:
    try:
        return Path(name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BridgeError(f"{name}: {of_file(error)}") from None


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    if not (arguments.ca_file or arguments.cert_file):
        return None
    try:
        context = ssl.create_default_context(cafile=arguments.ca_file)
        if arguments.cert_file:
            context.load_cert_chain(arguments.cert_file, arguments.key_file)
    except OSError as error:
        raise BridgeError(f"the TLS files cannot be used: {error}. Fix: certificates and key in PEM form.") from None
    return context
