"""The README is a promise too: its configuration loads, its commands and links are there."""

import re
from pathlib import Path

import pytest
import yaml
from process import bridge_command, run

from bridge.config import loads

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(kind):
    """Give the README's code blocks of one kind, without their indent."""
    found = re.findall(rf"(?ms)^( *)```{kind}\n(.*?)^ *```", README)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in found]


def test_the_configuration_of_the_readme_loads():
    """The first YAML block is a whole configuration file."""
    settings = loads(blocks("yaml")[0].encode(), "README.md", {"AOM_PROJECT_ID": "p"})
    assert settings.mapping.rules[0].name == "kubernetes-pod"


def test_the_alertmanager_snippet_says_what_matters():
    """Alertmanager's snippet sends resolves, cuts nothing off, and posts to the bridge."""
    snippet = yaml.safe_load(blocks("yaml")[1])
    (webhook,) = snippet["receivers"][0]["webhook_configs"]
    assert webhook["send_resolved"] is True
    assert webhook["max_alerts"] == 0
    assert webhook["url"].endswith(":9876/webhook")


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(link):
    """Each link to a file of the project names one that is there."""
    assert (ROOT / link).exists()


async def test_the_map_command_of_the_readme_works(tmp_path):
    """`aom-bridge map` of the README works on the captured webhook it names."""
    file = tmp_path / "bridge.yaml"
    file.write_text(blocks("yaml")[0])
    payload = re.search(r"map --config.file=bridge.yaml (\S+)", README)[1]
    code, out, err = await run(*bridge_command("map", f"--config.file={file}", str(ROOT / payload)))
    assert (code, err) == (0, "")
    assert '"event_name": "DiskFull"' in out
