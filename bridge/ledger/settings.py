"""The `store:` section of the configuration file: the ledger's database and its limits."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from bridge.clock import DAY, MINUTE, SECOND
from bridge.errors import of_file
from bridge.ledger.storage.database import ADDRESSES, conceal_url, file_of, read_url
from bridge.typed_yaml.scalars import DurationField, Scalar
from bridge.typed_yaml.section import Problems

_DEFAULT_URL = "sqlite:///aom-bridge.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """The ledger's database and its limits.

    Attributes:
        url: `sqlite:///FILE` relative to the working directory, `sqlite:////ABSOLUTE/FILE`, or
            `postgresql://USER@HOST/DATABASE` for several replicas. SQLite needs a local disk, never a network file
            system. It may carry a password, as `${VARIABLE}`.
        max_open: open alarms that the ledger holds at most; beyond it a webhook that would add one is answered 503.
            Raise it only with disk and memory for more.
        history: how long finished alarms stay in the ledger before they are deleted. A longer history needs more disk
            (about 3.5 kB for each alarm).
        lease: how long a worker holds an alarm that it is sending, at least 10s; after that another one may take the
            alarm over. A shorter one resumes sooner after a replica was killed.
    """

    url: Annotated[str, Scalar(str, "text", conceal=conceal_url)] = field(default=_DEFAULT_URL, repr=False)
    max_open: int = 1_000_000
    history: DurationField = 7 * DAY
    lease: DurationField = 1 * MINUTE

    def problems(self) -> Problems:
        """Return the problems of the section: pairs of the key and the sentence."""
        problems = []
        try:
            read_url(self.url)
        except ValueError as error:
            problems.append(("url", f"{error}. Fix: {ADDRESSES}."))
        if self.max_open < 1:
            problems.append(("max_open", "it must be at least 1. Fix: such as 1000000."))
        if self.lease < 10 * SECOND:
            problems.append(("lease", "it must be at least 10s, twice what a request may take. Fix: such as 60s."))
        return problems

    @property
    def relative_file(self) -> Path | None:
        """The ledger's file, if the configuration names it by a path relative to the working directory."""
        file = file_of(self.url)
        is_named = self.url != _DEFAULT_URL
        return file if is_named and file is not None and not file.is_absolute() else None

    def missing(self) -> Problems:
        """Return why the ledger's file cannot be created here: pairs of the key and the sentence."""
        try:
            file = file_of(self.url)
        except ValueError:
            return []  # `problems` reports it
        if file is None:
            return []
        folder = file.parent
        try:
            os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        except OSError as error:
            return [("url", f"the ledger's folder {folder.absolute()}: {of_file(error)}")]
        if not os.access(folder, os.W_OK | os.X_OK):
            return [("url", f"the ledger's folder {folder.absolute()}: {of_file(PermissionError(errno.EACCES, ''))}")]
        if file.is_dir():
            return [("url", f"the ledger's file {file.absolute()}: {of_file(IsADirectoryError(errno.EISDIR, ''))}")]
        return []
