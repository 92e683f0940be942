"""Configurations from text: their settings, their problems and their warnings."""

import pytest

from bridge.cli.check_config import Check
from bridge.config import ConfigError, load

TARGETS = "targets: {default: {region: cn-north-4, project_id: p1, auth: {token: {value: t}}}}\n"


def read(text, env=None, **options):
    """Read a configuration from text."""
    return load("test.yaml", env or {}, raw=text.encode(), **options).settings


def problems(text, env=None, **options):
    """Give the lines of what is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        read(text, env, **options)
    return caught.value.lines()


def check(folder, text, *, allow_unset=False):
    """Check a text; give its problems and warnings as lines."""
    file = folder / "bridge.yaml"
    file.write_text(text)
    found = Check.of(str(file), allow_unset=allow_unset)
    return [[p.line_of("f") for p in some] for some in (found.problems, found.warnings)]
