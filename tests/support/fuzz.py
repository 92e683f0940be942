"""Coverage-guided fuzzing, by atheris, of what reads bytes from outside.

``python tests/support/fuzz.py TARGET FOLDER SECONDS`` runs one target. Each may raise what its promise names, and
nothing else. The figures come from libFuzzer on standard error.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris
from paths import DATA, ROOT

with atheris.instrument_imports(include=["bridge", "yaml", "jinja2"]):
    from bridge.config import ConfigError, load
    from bridge.errors import PayloadError
    from bridge.mapping.matcher import Matchers
    from bridge.notification import parse
    from bridge.typed_yaml.scalars import Secret
    from bridge.web.accounts import Accounts
    from bridge.web.policy import Policy, read_policy

HASH = Secret("$2b$04$" + "a" * 53)
ACCOUNTS = Accounts(Policy(users={"a": HASH}, tokens={b"x": "b"}), lambda: 0.0)


def notification():
    """A body is a notification that maps, or a `PayloadError`."""
    mapper = load(str(ROOT / "config/kubernetes.yaml"), {}, allow_unset=True).settings.mapper()

    def run(raw):
        with contextlib.suppress(PayloadError):
            found = parse(raw)
            for alert in found.alerts:
                mapper.map("default", alert, found.group)

    return run, (DATA / "webhook").glob("*.json")


def config():
    """A file is a configuration, or a `ConfigError` with its places."""

    def run(raw):
        with contextlib.suppress(ConfigError):
            load("fuzz.yaml", {}, raw=raw, allow_unset=True)

    return run, (ROOT / "config").glob("*.yaml")


def webconfig():
    """A file is a web configuration, or a `ConfigError` with its places."""
    file = Path(tempfile.mkdtemp()) / "web.yml"

    def run(raw):
        file.write_bytes(raw)
        with contextlib.suppress(ConfigError):
            read_policy(str(file))

    return run, (DATA / "web").glob("*.yml")


def matcher():
    """A text is a matcher, or a ValueError that says why not."""

    def run(raw):
        with contextlib.suppress(ValueError):
            Matchers.parse(raw.decode(errors="surrogateescape"))

    return run, ()


def authorization():
    """A header belongs to a user or to none; it raises nothing."""

    def run(raw):
        ACCOUNTS.known(raw.decode(errors="surrogateescape"))
        ACCOUNTS.known("Basic " + raw.decode("latin-1"))

    return run, (DATA / "web").glob("*.txt")


TARGETS = {one.__name__: one for one in (notification, config, webconfig, matcher, authorization)}


def main():
    """Fuzz one target with its seeds for some seconds."""
    name, folder, seconds = sys.argv[1:]
    corpus = Path(folder)
    corpus.mkdir(exist_ok=True)
    run, seeds = TARGETS[name]()
    for seed in seeds:
        (corpus / seed.name).write_bytes(seed.read_bytes())
    limits = [
        f"-max_total_time={seconds}",
        "-max_len=20000",
        "-timeout=20",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", str(corpus)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
