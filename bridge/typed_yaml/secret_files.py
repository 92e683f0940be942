"""Secrets that are in the configuration or in files, and what is wrong with them.

In: a value or the name of a file. Out: a `Secret`, read again each time it is asked for, since Kubernetes and others
rotate such files; or a sentence with the fix, which never contains the secret.
"""

from __future__ import annotations

from pathlib import Path

from bridge.errors import of_file
from bridge.typed_yaml.secret import Secret
from bridge.typed_yaml.section import Problems

_MAX_FILE_BYTES = 1 << 20


def secret_problems(key: str, value: Secret | None, file_key: str, file: Path | None) -> Problems:
    """Return what is wrong with a secret that is either in the configuration or in a file."""
    if (value is None) == (file is None):
        return [("", f"exactly one of {key} and {file_key} is needed. Fix: set one of them.")]
    if value is not None and not value.reveal().strip():
        return [(key, "it is empty. Fix: set it, or read it from a file.")]
    return []


def missing_files(**files: Path | None) -> Problems:
    """Return which of these files cannot be read now, or hold nothing."""
    missing = []
    for key, file in files.items():
        try:
            if file is not None and not file.is_fifo() and not _bytes_of(file).strip():
                missing.append((key, f"{file}: it is empty. Fix: write what belongs there into it."))
        except OSError as error:
            missing.append((key, f"{file}: {of_file(error)}"))
    return missing


def _bytes_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_MAX_FILE_BYTES)


def read_secret(key: str, value: Secret | None, file: Path | None) -> Secret:
    """Return a secret; a file is read again each time.

    Raises:
        ValueError: the file cannot be read, or does not contain one line that a header can carry; the text names the
            fix and never contains the secret.
    """
    location = f"{key}: {file}" if file is not None else key
    try:
        text = (file.read_text(encoding="utf-8") if file is not None else value.reveal() if value else "").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{location}: it is no UTF-8 text. Fix: write the secret as text.") from None
    except OSError as error:
        raise ValueError(f"{location}: {of_file(error)}") from None
    if not text:
        raise ValueError(f"{location}: it is empty. Fix: write the secret into it.")
    if not text.isprintable():
        raise ValueError(f"{location}: it has more than one line, or characters that cannot be sent. Fix: one line.")
    return Secret(text)
