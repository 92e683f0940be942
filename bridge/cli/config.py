"""The command `aom-bridge config`: writes a configuration to begin with, and prints the JSON Schema for editors.

In: the name of an example of `config/`, which the wheel carries. Out: a new file or text on standard output, and an
exit code: 1 when the file is there already. It never changes a file.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command, add_group
from bridge.cli.terminal import complain, say

EXAMPLES = ("minimal", "kubernetes", "hosts", "databases", "teams")
"""The names of the examples, the default first."""

_DEFAULT_FILE = "bridge.yaml"
_STDOUT = "-"


def register(commands: Commands) -> None:
    """Add the command with its sub-commands."""
    actions = add_group(commands, "config", "write a configuration to begin with, or print its JSON Schema")
    text = "write an example with mapping rules into a new file"
    codes = {0: "the file is written", 1: "the file is there already, and is not changed"}
    init = add_command(actions, "init", _init, text, codes=codes)
    init.add_argument(
        "example", nargs="?", choices=EXAMPLES, default=EXAMPLES[0], help=f"what it is for; default: {EXAMPLES[0]}"
    )
    init.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        default=_DEFAULT_FILE,
        help=f"file to create; - prints it; default: {_DEFAULT_FILE}",
    )
    add_command(actions, "schema", _schema, "print the JSON Schema of the configuration, which editors read")


def _init(arguments: argparse.Namespace) -> int:
    text = example(arguments.example)
    if arguments.file == _STDOUT:
        say(*text.splitlines())
        return 0
    try:
        with open(arguments.file, "x", encoding="utf-8") as file:  # noqa: PTH123 - pathlib cannot create a file with its text at once
            file.write(text)
    except FileExistsError:
        fix = f"name another file, or print it: aom-bridge config init {arguments.example} {_STDOUT}"
        complain(f"aom-bridge: {arguments.file} is there already, and is not changed. Fix: {fix}.")
        return 1
    variables = ", ".join(_variables(text))
    say(f"{arguments.file} is written. Set {variables}; then: aom-bridge check-config {arguments.file}")
    _say_schema(arguments.file)
    return 0


def _say_schema(file: str) -> None:
    """Say how the schema that the file names is written, where it is not there."""
    from pathlib import Path
    from shlex import quote

    schema_file = Path(file).with_name("schema.json")
    if not schema_file.exists():
        complain(f"Editors check the file against {schema_file}: aom-bridge config schema > {quote(str(schema_file))}")


def _schema(_arguments: argparse.Namespace) -> int:
    import json

    from bridge.config.json_schema import schema

    say(*json.dumps(schema(), indent=2).splitlines())
    return 0


def example(name: str) -> str:
    """Return the text of an example, as it is in `config/`."""
    from importlib.resources import files

    packaged = files("bridge.config") / "examples"
    in_checkout = files("bridge") / ".." / "config"
    return ((packaged if packaged.is_dir() else in_checkout) / f"{name}.yaml").read_text(encoding="utf-8")


def _variables(text: str) -> list[str]:
    """Return the variables that have no default, in the order of the file."""
    import re

    lines = (line.partition("#")[0] for line in text.splitlines())
    return list(dict.fromkeys(name for line in lines for name in re.findall(r"\$\{([A-Z_]+)\}", line)))
