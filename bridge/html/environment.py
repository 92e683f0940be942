"""The Jinja2 environment of all pages.

In: a package that has a folder ``templates``. Out: rendered pages. Undefined values are errors, so that a wrong name in
a template is found by its first test.
"""

from __future__ import annotations

from functools import cached_property

import jinja2

from bridge.html.addresses import web_address
from bridge.html.files import style_version
from bridge.html.times import moment

_MAX_TEXT = 300
"""Characters of one value in a table; labels may be longer than any page."""

STYLE_VERSION = style_version()


class Environment:
    """Renders the templates of one package, and the base page that all share.

    Args:
        package: the name of the package.
    """

    def __init__(self, package: str) -> None:
        self._package = package

    def render(self, template: str, **values: object) -> str:
        """Return a page."""
        return self._jinja.get_template(template).render(values)

    @cached_property
    def _jinja(self) -> jinja2.Environment:
        loader = jinja2.ChoiceLoader(
            [jinja2.PackageLoader(self._package), jinja2.PackageLoader("bridge.html")],
        )
        environment = jinja2.Environment(
            autoescape=True,
            loader=loader,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(shortened=shortened, moment=moment, web_address=web_address)
        environment.globals["style_version"] = STYLE_VERSION
        return environment


def shortened(text: object, limit: int = _MAX_TEXT) -> str:
    """Return a text of at most ``limit`` characters; a longer one ends with an ellipsis."""
    whole = str(text)
    return whole if len(whole) <= limit else whole[: limit - 1] + "\u2026"
