"""Why a database refuses us, in the words of the person who must mend it.

In: an exception of SQLAlchemy's or of the system's. Out: a `Failure`. The driver's own texts run over several lines,
repeat each address that was tried, and end in questions. Facts: libpq's and PostgreSQL's messages.
"""

from __future__ import annotations

import re

from bridge.errors import Failure, of_file

_LOGIN = "correct user and password: in store.url, or the password in PGPASSWORD or ~/.pgpass"
_CLOSED = "has no connection left for us"
_ROOM = "raise its max_connections, or the limit of the user or database; a bridge takes five"
_KNOWN = {
    "connection refused": ("refuses connections", "start PostgreSQL there, or correct host and port in store.url"),
    "failed to resolve host|could not translate host": ("has a host that no name server knows", "correct store.url"),
    "timeout expired|timed out": ("did not answer in time", "correct the host in store.url, or let firewalls pass it"),
    "connection to server on socket": (
        "runs on no socket of this machine",
        "write its host into store.url, or start it",
    ),
    "password authentication failed": ("knows this user by another password", _LOGIN),
    "no password supplied": ("asks for a password", _LOGIN),
    "no pg_hba.conf entry": (
        "lets this user in from here neither way",
        "add a line to its pg_hba.conf; or, where it asks for TLS, ?sslmode=require to store.url",
    ),
    'database "[^"]*" does not exist': ("is not there", "create the database, or correct its name in store.url"),
    'role "[^"]*" does not exist': ("knows no such user", "create the user, or correct its name in store.url"),
    "permission denied": (
        "does not let this user create tables",
        "make the user the database's owner, or GRANT CREATE ON SCHEMA public TO it",
    ),
    "read-only transaction": ("takes no writes", "name the primary server in store.url, not a standby"),
    "too many (connections|clients)|connection slots": (_CLOSED, _ROOM),
    "does not support ssl": ("speaks no TLS", "switch ssl on there, or take sslmode out of store.url"),
    "certificate": ("has a certificate that is not trusted", "write ?sslrootcert=FILE of its CA into store.url"),
    "invalid connection option": ("has an option that no PostgreSQL takes", "take it out of store.url"),
}


def of_database(error: Exception) -> Failure:
    """Explain an error of the driver; the database itself is named by the caller."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, OSError):
        return of_file(cause)
    text = " ".join(str(cause).split())
    for pattern, (what, fix) in _KNOWN.items():
        if re.search(pattern, text, re.IGNORECASE):
            return Failure(f"it {what}", fix)
    return Failure(text, "let store.url name a database that is up and ours to write in")
