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
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge.mapping.filters import FILTERS, MAX_TEXT_CHARACTERS, PATTERNS, TESTS
from bridge.mapping.matcher import compile_regex
from bridge.mapping.names import LOOP, check_names, fix_of_call, refused

MAX_TEMPLATE_CHARACTERS = 8_192
_MAX_ADDITIONS = 50

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
_GROWING = (nodes.Concat, nodes.Add, nodes.List, nodes.Tuple)
_MAX_FILTERS = 20
_MAX_FILTERS_IN_A_LOOP = 5
_LOOPED = ("labels", "annotations")
_MAPS = ("labels", "annotations", "alert", "group", "vars")
_LOOP_FILTERS = ("items", "dictsort", "sort")


class _Environment(ImmutableSandboxedEnvironment):
    """Attributes of a mapping are its keys and nothing else, so no label name can collide with a method."""

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - Jinja2's own signature
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, LoopContext) and attribute in LOOP:
            return super().getattr(obj, attribute)
        return obj if isinstance(obj, ChainableUndefined) else self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 - as above
        if isinstance(obj, Mapping) or isinstance(argument, str):
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
    if len(text) > MAX_TEMPLATE_CHARACTERS:
        raise ValueError(f"the template is over {MAX_TEMPLATE_CHARACTERS} characters. Fix: make it simpler.")
    tree = _ENVIRONMENT.parse(text)
    for found in _all(tree):
        _check(found)
    for parent in _all(tree):
        for child in parent.iter_child_nodes():
            _check_place(child, parent)
    _check_additions(tree)
    _check_filters(tree)
    check_names(tree)
    return tree


def compile_tree(tree: nodes.Template) -> Callable[[Mapping[str, Any]], str]:
    """Return what renders a checked tree; its output is cut at the limit, and what would come after is not made."""
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "few", [], [], None, None, lineno=loop.lineno)
    names = find_undeclared_variables(tree)
    template = JinjaTemplate.from_code(_ENVIRONMENT, _ENVIRONMENT.compile(tree), {})

    def render(scope: Mapping[str, Any]) -> str:
        pieces, size = [], 0
        for piece in template.generate({name: scope[name] for name in names}):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_TEXT_CHARACTERS:
                break
        return "".join(pieces)[:MAX_TEXT_CHARACTERS]

    return render


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    yield from tree.find_all(nodes.Node)


def _check(found: nodes.Node) -> None:
    if not isinstance(found, _ALLOWED):
        what = type(found).__name__
        fix = fix_of_call(found) if isinstance(found, nodes.Call) else "use filters"
        raise refused(found, f"uses {what}, which is not allowed", fix)
    match found:
        case nodes.Filter():
            _check_filter(found)
        case nodes.Test() if found.name not in TESTS:
            raise _unknown(found, "test", found.name, TESTS)
        case nodes.For():
            _check_loop(found)
        case nodes.Assign() if any(found.node.find_all(_GROWING)) or isinstance(found.node, _GROWING):
            raise refused(found, "adds texts in a set", "add them where they are shown")


def _check_filter(found: nodes.Filter) -> None:
    if found.name not in FILTERS or found.name == "few":
        raise _unknown(found, "filter", found.name, FILTERS)
    if found.name not in PATTERNS:
        return
    if not found.args or not all(isinstance(one, nodes.Const) and isinstance(one.value, str) for one in found.args):
        raise refused(found, f"has a {found.name} without a constant pattern", f'write {found.name}("...")')


def _check_loop(found: nodes.For) -> None:
    looped = found.iter
    while isinstance(looped, nodes.Filter) and looped.name in _LOOP_FILTERS and looped.node is not None:
        looped = looped.node
    if not isinstance(looped, nodes.Name) or looped.name not in _LOOPED or found.recursive:
        raise refused(found, "loops over something else than labels or annotations", "such as: for name in labels")
    inner = [*found.body, *found.else_, *([found.test] if found.test else [])]
    if any(isinstance(node, nodes.For) or any(node.find_all(nodes.For)) for node in inner):
        raise refused(found, "has a loop in a loop", "use one loop")


def _check_place(child: nodes.Node, parent: nodes.Node) -> None:
    """Refuse whole maps where a text is meant, and lists but to look in or to join: they could grow without end."""
    if isinstance(child, nodes.Name) and child.name in (*_MAPS, "self", "loop") and child.ctx == "load":
        is_base = isinstance(parent, (nodes.Getattr, nodes.Getitem)) and parent.node is child
        is_counted = isinstance(parent, nodes.Filter) and parent.name in (*_LOOP_FILTERS, "length", "count")
        is_looped = isinstance(parent, nodes.For) and parent.iter is child
        if child.name == "self" or not (is_base or (child.name != "loop" and (is_counted or is_looped))):
            raise refused(child, f"uses {child.name} as a whole", f"such as {child.name}.name")
    if isinstance(child, nodes.List):
        is_joined = isinstance(parent, nodes.Filter) and parent.name == "join"
        if not (is_joined or isinstance(parent, nodes.Operand)) or any(child.find_all((nodes.List, nodes.Tuple))):
            raise refused(
                child, "uses a list", "lists are for: labels.a in ['x', 'y'], and: [labels.a, labels.b] | join"
            )
    if isinstance(child, nodes.Tuple) and child.ctx != "store":
        raise refused(child, "uses a tuple", "write a text")
    if isinstance(child, nodes.Filter) and child.name in _LOOP_FILTERS:
        is_looped = isinstance(parent, nodes.For) and parent.iter is child
        if not is_looped and not (isinstance(parent, nodes.Filter) and parent.name in _LOOP_FILTERS):
            raise refused(child, f"uses {child.name} outside of a loop", "such as: for name, value in labels | items")


def check_patterns(tree: nodes.Template) -> None:
    """Check regular expressions, once variables have been put in.

    Raises:
        ValueError: one is none; the text names the fix.
    """
    for found in tree.find_all(nodes.Filter):
        if found.name in PATTERNS and isinstance(found.args[0], nodes.Const):
            compile_regex(str(found.args[0].value))


def _check_filters(tree: nodes.Template) -> None:
    most = [(tree, _MAX_FILTERS), *((loop, _MAX_FILTERS_IN_A_LOOP) for loop in tree.find_all(nodes.For))]
    for node, limit in most:
        count = sum(1 for _ in node.find_all(nodes.Filter))
        if count > limit:
            where = "loop" if isinstance(node, nodes.For) else "template"
            raise ValueError(f"a {where} uses {count} filters, {limit} are allowed. Fix: make it simpler.")


def _check_additions(tree: nodes.Template) -> None:
    added = sum(len(one.nodes) for one in tree.find_all(nodes.Concat)) + sum(1 for _ in tree.find_all(nodes.Add))
    if added > _MAX_ADDITIONS:
        raise ValueError(f"a template adds {added} values, {_MAX_ADDITIONS} are allowed. Fix: make it simpler.")


def _unknown(found: nodes.Node, kind: str, name: str, known: Mapping[str, object]) -> ValueError:
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(set(known) - {'few'}))}."
    return ValueError(f"line {found.lineno} of a template uses a {kind} {name!r}, which there is not. Fix: {meant}")
