"""The Dockerfile as a list of its instructions."""

from paths import ROOT

DOCKERFILE = ROOT / "Dockerfile"


def instructions():
    """Give the Dockerfile's instructions by stage: pairs of the word and its text."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    stages = []
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stages.append([])
        elif word and not word.startswith("#"):
            stages[-1].append((word, rest.strip()))
    return stages
