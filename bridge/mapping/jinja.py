"""Jinja2 on a short leash: which syntax a template may use, and how long it may become; pure.

In: the text of a template. Out: its syntax tree, checked against a list of what is allowed, or a ValueError that names
line and fix; and a function that renders it. Nothing allowed can call into Python, loop without end, or fill the
memory: one loop over labels or annotations and not in one another, few additions, limited values, capped output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from jinja2 import ChainableUndefined, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge.mapping.filters import FILTERS, LONGEST, PATTERNS, TESTS
from bridge.mapping.matcher import compile_regex

NAMES = ("labels", "annotations", "alert", "group", "source")
LONGEST_TEMPLATE = 8_192
_MOST_ADDITIONS = 50

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Const,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Filter,
    nodes.Test,
    nodes.Keyword,
    nodes.CondExpr,
    nodes.If,
    nodes.For,
    nodes.Assign,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.Operand,
    nodes.Concat,
    nodes.Add,
    nodes.Sub,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Neg,
    nodes.Pos,
    nodes.List,
    nodes.Tuple,
)
_GROWING = (nodes.Concat, nodes.Add)
_LOOPED = ("labels", "annotations")
_LOOP_FILTERS = ("items", "dictsort", "sort")


class _Environment(ImmutableSandboxedEnvironment):
    """Attributes of a mapping are its keys and nothing else, so no label name can collide with a method."""

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - Jinja2's own signature
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 - as above
        if isinstance(obj, Mapping):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)


def _shown(value: object) -> object:
    """Write what Python has and Go has not as Go would."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _environment() -> _Environment:
    made = _Environment(undefined=ChainableUndefined, finalize=_shown)
    made.globals.clear()
    made.filters = dict(FILTERS)
    made.tests = dict(TESTS)
    return made


_ENVIRONMENT = _environment()


def parse(text: str) -> nodes.Template:
    """Read a template and check it.

    Raises:
        ValueError: it uses what is not allowed; the text names the fix.
        TemplateError: it is no template.
    """
    if len(text) > LONGEST_TEMPLATE:
        raise ValueError(f"the template is over {LONGEST_TEMPLATE} characters. Fix: make it simpler.")
    tree = _ENVIRONMENT.parse(text)
    for found in _all(tree):
        _check(found)
    _check_additions(tree)
    _check_names(tree)
    return tree


def compile_tree(tree: nodes.Template) -> Callable[[Mapping[str, Any]], str]:
    """Return what renders a checked tree; its output is cut at the limit, and what would come after is not made."""
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "few", [], [], None, None, lineno=loop.lineno)
    template = JinjaTemplate.from_code(_ENVIRONMENT, _ENVIRONMENT.compile(tree), {})

    def render(scope: Mapping[str, Any]) -> str:
        pieces, size = [], 0
        for piece in template.generate(scope):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST:
                break
        return "".join(pieces)[:LONGEST]

    return render


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    yield from tree.find_all(nodes.Node)


def _check(found: nodes.Node) -> None:
    if not isinstance(found, _ALLOWED):
        what = type(found).__name__
        raise _refused(found, f"uses {what}, which is not allowed", "use filters")
    match found:
        case nodes.Filter():
            _check_filter(found)
        case nodes.Test() if found.name not in TESTS:
            raise _unknown(found, "test", found.name, TESTS)
        case nodes.For():
            _check_loop(found)
        case nodes.Assign() if any(found.node.find_all(_GROWING)) or isinstance(found.node, _GROWING):
            raise _refused(found, "adds texts in a set", "add them where they are shown")


def _check_filter(found: nodes.Filter) -> None:
    if found.name not in FILTERS or found.name == "few":
        raise _unknown(found, "filter", found.name, FILTERS)
    if found.name not in PATTERNS:
        return
    pattern = found.args[0] if found.args else None
    if not isinstance(pattern, nodes.Const) or not isinstance(pattern.value, str):
        raise _refused(found, f"has a {found.name} without a constant pattern", f'write {found.name}("...")')
    compile_regex(pattern.value)


def _check_loop(found: nodes.For) -> None:
    looped = found.iter
    while isinstance(looped, nodes.Filter) and looped.name in _LOOP_FILTERS and looped.node is not None:
        looped = looped.node
    if not isinstance(looped, nodes.Name) or looped.name not in _LOOPED or found.recursive:
        raise _refused(found, "loops over something else than labels or annotations", "such as: for name in labels")
    inner = [*found.body, *found.else_, *([found.test] if found.test else [])]
    if any(isinstance(node, nodes.For) or any(node.find_all(nodes.For)) for node in inner):
        raise _refused(found, "has a loop in a loop", "use one loop")


def _check_additions(tree: nodes.Template) -> None:
    added = sum(len(one.nodes) for one in tree.find_all(nodes.Concat)) + sum(1 for _ in tree.find_all(nodes.Add))
    if added > _MOST_ADDITIONS:
        raise ValueError(f"a template adds {added} values, {_MOST_ADDITIONS} are allowed. Fix: make it simpler.")


def _check_names(tree: nodes.Template) -> None:
    for name in sorted(find_undeclared_variables(tree) - set(NAMES)):
        near = get_close_matches(name, NAMES, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(NAMES)}."
        raise ValueError(f"unknown name {name!r} in a template. Fix: {meant}")


def _refused(found: nodes.Node, what: str, fix: str) -> ValueError:
    return ValueError(f"line {found.lineno} of a template {what}. Fix: {fix}.")


def _unknown(found: nodes.Node, kind: str, name: str, known: Mapping[str, object]) -> ValueError:
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(set(known) - {'few'}))}."
    return ValueError(f"line {found.lineno} of a template uses a {kind} {name!r}, which there is not. Fix: {meant}")
