"""Explains why a database cannot be used, in terms that an operator can act on.

In: an exception of SQLAlchemy or of the operating system. Out: a `Failure`. The driver's own messages have several
lines, repeat each address that was tried, and end in questions. Facts: the messages of libpq, PostgreSQL and SQLite.
"""

from __future__ import annotations

import re

from bridge.errors import Failure, of_file

_LOGIN = "correct user and password: in store.url, or the password in PGPASSWORD or ~/.pgpass"
_NO_CONNECTION = "has no free connection"
_MORE_CONNECTIONS = "raise its max_connections, or the limit of the user or database; a bridge takes five"
_KNOWN = {
    "connection refused": ("refuses connections", "start PostgreSQL there, or correct host and port in store.url"),
    "failed to resolve host|could not translate host": ("has a host name that cannot be resolved", "correct store.url"),
    "timeout expired|timed out": (
        "did not answer in time",
        "correct the host in store.url, or let firewalls pass the traffic",
    ),
    "connection to server on socket": (
        "has no socket on this machine",
        "write its host into store.url, or start PostgreSQL",
    ),
    "password authentication failed": ("rejects the password of this user", _LOGIN),
    "no password supplied": ("requires a password", _LOGIN),
    "no pg_hba.conf entry": (
        "has no entry in pg_hba.conf for this user and address",
        "add an entry; or, if it requires TLS, add ?sslmode=require to store.url",
    ),
    'database "[^"]*" does not exist': ("does not exist", "create the database, or correct its name in store.url"),
    'role "[^"]*" does not exist': ("has no such user", "create the user, or correct its name in store.url"),
    "permission denied": (
        "does not let this user create tables",
        "make the user the database's owner, or GRANT CREATE ON SCHEMA public TO it",
    ),
    "read-only transaction": ("is read-only", "name the primary server in store.url, not a standby"),
    "too many (connections|clients)|connection slots": (_NO_CONNECTION, _MORE_CONNECTIONS),
    "does not support ssl": ("does not support TLS", "switch ssl on there, or remove sslmode from store.url"),
    "certificate": ("has a certificate that is not trusted", "write ?sslrootcert=FILE of its CA into store.url"),
    "database or disk is full": ("has no room, since the disk is full", "free disk space, or use a larger volume"),
    "database is locked": (
        "is locked by another program",
        "end what holds it open for long, such as the sqlite3 shell or a backup program",
    ),
    "readonly database": ("is read-only", "let the bridge's user write the file and its folder"),
    "disk i/o error": ("had an error of the disk", "look at the system's log, and at free space on the volume"),
    "malformed|not a database": (
        "is damaged",
        "stop the bridge, and put back a backup; or move the file away, and set audit_adopt: true for a new one",
    ),
    "invalid connection option": ("has an option that PostgreSQL does not know", "remove it from store.url"),
}


def of_database(error: Exception) -> Failure:
    """Explain an error of the driver; the caller names the database."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, OSError):
        return of_file(cause)
    text = " ".join(str(cause).split())
    for pattern, (what, fix) in _KNOWN.items():
        if re.search(pattern, text, re.IGNORECASE):
            return Failure(f"it {what}", fix)
    return Failure(text, "let store.url name a database that is running and that the bridge can write")
