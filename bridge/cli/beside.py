"""The configuration of a command that looks at the ledger beside a running bridge.

In: the name of a file. Out: settings, or the mistakes in the file with a way to look all the same. It asks no bridge.
"""

from __future__ import annotations

from bridge import config
from bridge.cli.remote_options import ASK_INSTEAD


def load_beside(file: str) -> config.Settings:
    """Return the settings; secrets and variables that are not set are no mistake.

    Raises:
        ConfigError: the file cannot be used; its note says how a running bridge is asked without it.
    """
    try:
        return config.load(file, allow_unset=True).settings
    except config.ConfigError as error:
        error.add_note(f"aom-bridge: to look all the same: {ASK_INSTEAD}")
        raise
