"""Templates: a constant, or a Jinja2 text that uses labels, annotations, alert, group, source and vars; pure.

In: the text of one template, then a `Scope` for each alert. Out: text. Constants and plain look-ups, which most
templates are, run as Python closures and never reach Jinja2. A missing label is the empty string, as in
Prometheus; ``labels.items`` is the label called items, never a method. ``${VAR}`` in a template is replaced in its
literal text only, after parsing, so the value of a variable is never read as a template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from jinja2 import TemplateError, nodes

from bridge.mapping import sandbox
from bridge.mapping.filters import MAX_TEXT_CHARACTERS, link
from bridge.mapping.names import constant_lookup, constant_lookups, fix_of_go
from bridge.typed_yaml.field_type import FieldType

Scope = Mapping[str, Any]
"""What a template sees: the maps ``labels``, ``annotations``, ``alert``, ``group``, ``vars``, the text ``source``."""

Render = Callable[[Scope], str]
_MAX_PLAIN_PARTS = 20
"""The most parts that are joined before the text is cut; Jinja2 renders longer templates, and stops at the limit."""


class Template(FieldType):
    """A compiled template.

    Attributes:
        text: the template as it was written.
        looks_at: the names and keys that it looks up, such as ``("labels", "pod")`` or ``("vars", "cluster")``.
        render: returns the text for one alert; raises whatever the template raises at run time.
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
        """Compile one template of the configuration file, as `parse` does."""
        return cls.parse(text, expand)

    @classmethod
    def substitute(cls) -> Template:
        """Return the empty template, which stands in for an invalid one of ``vars`` so that its name stays known."""
        return cls.parse("")

    @classmethod
    def parse(cls, text: str, expand: Callable[[str], str] = str) -> Template:
        """Compile one template; ``expand`` replaces ``${VAR}`` in its literal text.

        Raises:
            ValueError: the text is not a template, or it uses a name that does not exist.
        """
        expanded: dict[str, str] = {}

        def expand_once(literal: str) -> str:
            return expanded.setdefault(literal, expand(literal))

        if "{{" not in text and "{%" not in text and "{#" not in text:
            return cls(text, _constant(expand_once(text)), expanded)
        try:
            tree = sandbox.parse(text)
            _expand_literals(tree, expand_once)
            sandbox.check_patterns(tree)
            return cls(text, _compile(tree), expanded, constant_lookups(tree))
        except TemplateError as error:
            problem = str(error.message).rstrip(".")
            fix = fix_of_go(text) or "see Jinja2's syntax"
            raise ValueError(f"{text!r} is not a template: {problem}. Fix: {fix}.") from None
        except (RecursionError, SyntaxError, MemoryError, OverflowError):
            raise ValueError(f"{text[:80]!r} is too deep for a template. Fix: make it simpler.") from None

    def __reduce__(self) -> tuple[Callable[..., Template], tuple[str, Mapping[str, str]]]:
        """Pickle the text and the expanded literals, so that the environment of the other process does not matter."""
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
    renders = [part for part in parts if part is not None]
    if len(renders) != len(parts):
        return None
    if len(renders) == 1:
        return renders[0]
    if len(renders) > _MAX_PLAIN_PARTS:
        return None
    return lambda scope: "".join([render(scope) for render in renders])[:MAX_TEXT_CHARACTERS]


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
            part = _lookup(constant_lookup(node))
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


def _lookup(name_and_key: tuple[str, str] | None) -> Render | None:
    """Return a closure for a look-up in a map of texts; None for ``group``, which holds maps, and other names."""
    if name_and_key is None:
        return None
    name, key = name_and_key
    if name == "vars":
        return lambda scope: cast("str", scope["vars"][key])
    if name not in ("labels", "annotations", "alert"):
        return None
    return lambda scope: scope[name].get(key, "")
