"""aom-bridge: the Prometheus Alertmanager webhook bridge to Huawei Cloud AOM.

Here are its version, and how the face of a package is made whose modules are imported only when a name of theirs is
first used. Such a package imports its face under `if TYPE_CHECKING:`, where mypy and import-linter read it, and takes
the `__getattr__` (PEP 562) from here. Short commands then do not wait for what they do not use: the settings of AOM's
client, for example, are read without an HTTP library. No package may rely on the order in which it is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

__version__ = "0.1.0"


def lazy_face(package: str, file: str) -> Callable[[str], object]:
    """Return the `__getattr__` of a package.

    Args:
        package: its `__name__`.
        file: its `__file__`, whose imports under `if TYPE_CHECKING:` are the face.
    """
    places: dict[str, tuple[str, str]] = {}

    def get(name: str) -> object:
        if not places:
            places.update(_places(file))
        if name not in places or places[name][0] == package:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original = places[name]
        return getattr(importlib.import_module(module), original)

    return get


def _places(file: str) -> dict[str, tuple[str, str]]:
    """Return for each name of the face its module, and its name there."""
    import ast  # noqa: PLC0415 - only a face that is used needs it
    from pathlib import Path  # noqa: PLC0415 - only a face that is used needs it

    return {
        alias.asname or alias.name: (statement.module or "", alias.name)
        for block in ast.parse(Path(file).read_text(encoding="utf-8")).body
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
