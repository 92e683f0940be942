"""Templates: a constant or a Jinja2 text over labels, annotations, alert, group, source and vars; pure.

In: the text of one template, then a `Scope` for each alert. Out: text. Constants and plain look-ups, which most
templates are, run as Python closures and never reach Jinja2. A name that is missing is the empty string, as in
Prometheus; ``labels.items`` is the label called items, never a method. ``${VAR}`` in a template is replaced in its
literal text only, after parsing, so what comes out is never read as a template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from jinja2 import TemplateError, nodes

from bridge.mapping import sandbox
from bridge.mapping.filters import MAX_TEXT_CHARACTERS, link
from bridge.mapping.names import fix_of_go, look_up, look_ups
from bridge.typed_yaml.field_type import FieldType

Scope = Mapping[str, Any]
"""What a template sees: the maps ``labels``, ``annotations``, ``alert``, ``group``, ``vars``, the text ``source``."""

Render = Callable[[Scope], str]
_MAX_PLAIN_PARTS = 20
"""Parts that are joined at once; more are cut while they are made."""


class Template(FieldType):
    """A compiled template.

    Attributes:
        text: the template as it was written.
        looks_at: the names that it looks up, such as ``("labels", "pod")`` or ``("vars", "cluster")``.
        render: returns the text for one alert; any exception a template can raise at run time passes through.
    """

    __slots__ = ("_expanded", "looks_at", "render", "text")

    def __init__(
        self, text: str, render: Render, expanded: Mapping[str, str], looks_at: frozenset[tuple[str, str]] = frozenset()
    ) -> None:
        self.text = text
        self.looks_at = looks_at
        self.render = render
        self._expanded = expanded

    @classmethod
    def read(cls, text: str, expand: Callable[[str], str]) -> Template:
        """As `parse`."""
        return cls.parse(text, expand)

    @classmethod
    def substitute(cls) -> Template:
        """Return the empty template, so that the name of a variable that has a bad one stays known."""
        return cls.parse("")

    @classmethod
    def parse(cls, text: str, expand: Callable[[str], str] = str) -> Template:
        """Compile one template; ``expand`` replaces ``${VAR}`` in its literal text.

        Raises:
            ValueError: the text is not a template, or it uses a name that does not exist.
        """
        expanded: dict[str, str] = {}

        def noted(literal: str) -> str:
            return expanded.setdefault(literal, expand(literal))

        if "{{" not in text and "{%" not in text and "{#" not in text:
            return cls(text, _constant(noted(text)), expanded)
        try:
            tree = sandbox.parse(text)
            _expand_literals(tree, noted)
            sandbox.check_patterns(tree)
            return cls(text, _compile(tree), expanded, look_ups(tree))
        except TemplateError as error:
            problem = str(error.message).rstrip(".")
            fix = fix_of_go(text) or "see Jinja2's syntax"
            raise ValueError(f"{text!r} is not a template: {problem}. Fix: {fix}.") from None
        except (RecursionError, SyntaxError, MemoryError, OverflowError):
            raise ValueError(f"{text[:80]!r} is too deep for a template. Fix: make it simpler.") from None

    def __reduce__(self) -> tuple[Callable[..., Template], tuple[str, Mapping[str, str]]]:
        """Say how another process makes it again, whatever the variables are there."""
        return _parsed_again, (self.text, self._expanded)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def _parsed_again(text: str, expanded: Mapping[str, str]) -> Template:
    return Template.parse(text, expanded.__getitem__)


def _expand_literals(tree: nodes.Template, expand: Callable[[str], str]) -> None:
    for data in tree.find_all(nodes.TemplateData):
        data.data = expand(data.data)
    for const in tree.find_all(nodes.Const):
        if isinstance(const.value, str):
            const.value = expand(const.value)


def _compile(tree: nodes.Template) -> Render:
    plain = _plain(tree)
    if plain is not None:
        return plain
    return sandbox.compile_tree(tree)


def _plain(tree: nodes.Template) -> Render | None:
    """Return closures for a template of constants, look-ups and ``or``; None for anything more."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    parts = [_plain_part(node) for node in tree.body[0].nodes]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts):
        return None
    if len(known) == 1:
        return known[0]
    if len(known) > _MAX_PLAIN_PARTS:
        return None
    return lambda scope: "".join([part(scope) for part in known])[:MAX_TEXT_CHARACTERS]


def _plain_part(node: nodes.Node) -> Render | None:
    part: Render | None = None
    match node:
        case nodes.TemplateData(data=text) | nodes.Const(value=str(text)):
            part = _constant(text)
        case nodes.Or(left=left, right=right):
            part = _either(_plain_part(left), _plain_part(right))
        case nodes.Filter(node=nodes.Expr() as inner, name="link", args=[]):
            part = _linked(_plain_part(inner))
        case nodes.Getattr() | nodes.Getitem():
            part = _lookup(look_up(node))
    return part


def _constant(text: str) -> Render:
    return lambda _scope: text


def _either(left: Render | None, right: Render | None) -> Render | None:
    if left is None or right is None:
        return None
    return lambda scope: left(scope) or right(scope)


def _linked(inner: Render | None) -> Render | None:
    if inner is None:
        return None
    return lambda scope: link(inner(scope))


def _lookup(found: tuple[str, str] | None) -> Render | None:
    """Look-ups in the maps of text only: the others may hold maps in turn, which Jinja2 prints."""
    if found is None:
        return None
    name, key = found
    if name == "vars":
        return lambda scope: cast("str", scope["vars"][key])
    if name not in ("labels", "annotations", "alert"):
        return None
    return lambda scope: scope[name].get(key, "")
