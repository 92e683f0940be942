"""docs/cli.md is what the parser says."""

from cli_page import page
from paths import ROOT


def test_the_page_of_the_command_line_is_made_from_the_parser():
    """Every command with its options and exit codes; `make docs-cli` writes the page anew."""
    assert (ROOT / "docs" / "cli.md").read_text() == page()
