"""Makes docs/man/aom-bridge.1 from the parser: every command with its options and exit codes. `make man` runs it."""

import sys

from cli_page import commands, described

from bridge.cli.main import parser

HEAD = [
    '.TH AOM-BRIDGE 1 "" aom-bridge "User Commands"',
    ".SH NAME",
    r"aom-bridge \- report the alerts of Prometheus Alertmanager to Huawei Cloud AOM",
    ".SH SYNOPSIS",
    r".B aom-bridge",
    r".I COMMAND \fR[\fIOPTIONS\fR]",
]


def page():
    """Give the page."""
    return "\n".join([*HEAD, *(line for one in commands(parser()) for line in section(one)), ""])


def section(one):
    """Yield the lines of one command."""
    yield f".SH {escaped(one.prog)}"
    yield escaped(one.description[0].upper() + one.description[1:] + ".")
    for action in one._actions:
        if action.dest != "help":
            name, text = described(one, action)
            yield from (".TP", rf"\fB{escaped(name)}\fR", escaped(text) or r"\&")
    yield from (".PP", ".nf", *map(escaped, one.epilog.splitlines()), ".fi")


def escaped(text):
    """Give a text as roff prints it literally."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return r"\&" + text if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write(page())
