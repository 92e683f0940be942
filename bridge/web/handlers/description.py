"""The OpenAPI description of ``/api/v1``: what it takes and answers; read once.

In: ``openapi.yaml`` beside this file. Out: the description, and which parameters each route takes in its address: the
server refuses others, since a misspelt filter would show everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def description() -> Mapping[str, Any]:
    """Return the description."""
    loaded: Mapping[str, Any] = yaml.safe_load((files(__package__) / "openapi.yaml").read_bytes())
    return loaded


@cache
def query_parameters() -> Mapping[tuple[str, str], Sequence[str]]:
    """Return the names of the parameters in the address, by method and path."""
    return {
        (method.upper(), path): [
            one["name"] for one in map(_resolved, route.get("parameters", ())) if one["in"] == "query"
        ]
        for path, methods in description()["paths"].items()
        for method, route in methods.items()
    }


def _resolved(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = parameter.get("$ref")
    if reference is None:
        return parameter
    named: Mapping[str, Any] = description()["components"]["parameters"][reference.rpartition("/")[2]]
    return named
