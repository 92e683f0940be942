"""docs/cli.md and the manual page are what the parser says."""

import shutil
import subprocess

import man_page
import pytest
from cli_page import page
from paths import ROOT

MAN = ROOT / "docs" / "man" / "aom-bridge.1"


def test_the_page_of_the_command_line_is_made_from_the_parser():
    """Every command with its options and exit codes; `make docs-cli` writes the page anew."""
    assert (ROOT / "docs" / "cli.md").read_text() == page()


def test_the_manual_page_is_made_from_the_parser():
    """The page that the wheel installs for `man aom-bridge`; `make man` writes it anew."""
    assert MAN.read_text() == man_page.page()


@pytest.mark.real
def test_the_manual_page_can_be_printed():
    """groff, where it is installed, prints the page without a warning, and options as they are typed."""
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    command = [groff, "-man", "-ww", "-Tascii", "-P-cbou", str(MAN)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "--web.listen-address ADDRESS" in done.stdout
