"""What a start of the program imports: commands do not wait for what they do not use."""

import subprocess
import sys

import pytest
from bridge_rig import settings_text
from paths import ROOT

from bridge import log
from bridge.cli import alarms, serve
from bridge.event import SEVERITIES

HEAVY = ("aiohttp", "alembic", "jinja2", "msgspec", "psycopg", "re2", "rich", "sqlalchemy", "structlog", "yaml")


def imported(*arguments):
    """Run the command line in a process of its own; return the names of what it has imported."""
    code = "import sys; from bridge.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.real
@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("alarms", "list", "--help")])
def test_options_are_parsed_without_what_the_commands_need(arguments):
    """No library but Python's own is imported before a command runs, and no event loop."""
    modules = imported(*arguments)
    assert "bridge.cli.serve" in modules
    assert modules.isdisjoint((*HEAVY, "asyncio", "ssl", "bridge.config.settings"))


def test_every_face_that_imports_late_has_the_names_that_it_promises():
    """Each name in `__all__` of a package is there when it is asked for, and another one is an AttributeError."""
    packages = [
        ".".join(file.parent.relative_to(ROOT).parts)
        for file in (ROOT / "bridge").rglob("__init__.py")
        if "lazy_face(__name__" in file.read_text()
    ]
    assert len(packages) > 1
    for package in packages:
        module = __import__(package, fromlist=["__all__"])
        assert [name for name in module.__all__ if not hasattr(module, name)] == []
        assert not hasattr(module, "nothing_has_this_name")


@pytest.mark.real
def test_a_ledger_is_listed_without_what_serves_or_sends(tmp_path):
    """`alarms list` imports SQLAlchemy, but no HTTP library, no migrations and no driver that the address needs not."""
    file = tmp_path / "bridge.yaml"
    file.write_text(settings_text("http://127.0.0.1:9", tmp_path / "ledger.db"))
    modules = imported("alarms", "list", f"--config.file={file}")
    assert "sqlalchemy" in modules
    assert modules.isdisjoint({"aiohttp", "alembic", "prometheus_client", "psycopg", "bridge.aom.client"})


def test_the_choices_that_are_written_again_are_those_of_the_code():
    """Options name severities and levels without importing what defines them; both are the same."""
    assert alarms._SEVERITIES == SEVERITIES
    assert serve._LEVELS == log.LEVELS
