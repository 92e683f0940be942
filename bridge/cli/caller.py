"""Who runs this command, for the history of the alarms that it changes.

In: the process. Out: a `By`. It must not ask another service.
"""

from __future__ import annotations

import getpass
import os
import socket

from bridge.ledger import By


def caller() -> By:
    """Return the user of this process, with the user of sudo if it was used, and the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # the user of a container often has no name
        user = f"uid {os.getuid()}"
    behind, host = os.environ.get("SUDO_USER"), socket.gethostname()
    name = f"{behind} as {user}" if behind else user
    return By(f"{name}@{host}", f"command line on {host}")
