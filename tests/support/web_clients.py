"""Clients of a guarded bridge: a bridge behind a web configuration, its users and tokens, and one request at it."""

import base64
import socket
from contextlib import asynccontextmanager

import bcrypt
from bridge_rig import running
from webhooks import alert, payload

from bridge.web import WebOptions

TOKEN = "a-token-of-enough-length"
OTHER = "another-token-of-enough-length"


def hashed(password):
    """Give the cheapest hash there is, so that tests are quick."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def basic(user, password):
    """Give the header of a user and password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    """Give the header of a token."""
    return {"Authorization": f"Bearer {token}"}


PASSWORDS = {"alertmanager": "am", "prometheus": "prom", "oncall": "night"}
HASHES = [f"  {user}: {hashed(word)}" for user, word in PASSWORDS.items()]
USERS = "\n".join(["basic_auth_users:", *HASHES, ""])
RIGHTS = "rights:\n  alertmanager: [webhook]\n  prometheus: [status]\n  oncall: [status, admin]\n"


@asynccontextmanager
async def guarded(folder, text=None, *, tokens=None, admin=False, is_admin_open=False, **config):
    """Run a bridge behind a web configuration."""
    file = folder / "web.yml"
    if tokens is not None:
        (folder / "tokens.yml").write_text(tokens)
        text = (text or "") + "bearer_tokens_file: tokens.yml\n"
    if text is not None:
        file.write_text(text)
    options = WebOptions(
        config_file=str(file) if text is not None else "",
        admin_address=("127.0.0.1", 0) if admin else None,
        is_admin_open=is_admin_open,
    )
    async with running(folder / "ledger.db", web_options=options, **config) as rig:
        yield rig


async def ask(rig, method, path, *, headers=None, url=None, **more):
    """Give the status of one request."""
    data = more.pop("json", payload(alert()) if path.startswith("/webhook") else None)
    async with rig.session.request(
        method, (url or rig.app.admin_url) + path, headers=headers, json=data, **more
    ) as got:
        await got.read()
        return got.status


def own_address():
    """Give an address of this machine that is not loopback; a client may come from it to a server on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return probe.getsockname()[0]


WEBHOOK, STATUS, ADMIN = ("POST", "/webhook"), ("GET", "/metrics"), ("POST", "/api/v1/alarms/retry")
