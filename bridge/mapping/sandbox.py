"""The Jinja2 sandbox: limits the syntax that a template may use, and the length of its output; pure.

In: the text of a template. Out: its syntax tree, checked against a list of allowed syntax, or a ValueError with the
line and the fix; and a function that renders it. No allowed template can call into Python, loop without end, or fill
the memory: loops go over labels or annotations only and are never nested; additions, values and output are limited.
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

from bridge.mapping.filters import FILTERS, LOOP_LIMIT, MAX_TEXT_CHARACTERS, PATTERNS, TESTS
from bridge.mapping.matcher import compile_regex
from bridge.mapping.names import LOOP, check_names, fix_of_call, template_error

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
_LOOP_BASES = ("labels", "annotations")
_MAPS = ("labels", "annotations", "alert", "group", "vars")
_LOOP_FILTERS = ("items", "dictsort", "sort")


class _Environment(ImmutableSandboxedEnvironment):
    """Attributes of a mapping are its keys and nothing else, so no label name can collide with a method."""

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - the signature of Jinja2's Environment
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, LoopContext) and attribute in LOOP:
            return super().getattr(obj, attribute)
        return obj if isinstance(obj, ChainableUndefined) else self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 - the signature of Jinja2's Environment
        if isinstance(obj, Mapping) or isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)


def _shown(value: object) -> object:
    """Return a value as Go prints it: None is the empty text, booleans are lower case."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _environment() -> _Environment:
    environment = _Environment(undefined=ChainableUndefined, finalize=_shown)
    environment.globals.clear()
    environment.filters = dict(FILTERS)
    environment.tests = dict(TESTS)
    return environment


_ENVIRONMENT = _environment()


def parse(text: str) -> nodes.Template:
    """Parse a template and check it.

    Raises:
        ValueError: it uses what is not allowed; the error names the fix.
        TemplateError: the text is not a template.
    """
    if len(text) > MAX_TEMPLATE_CHARACTERS:
        raise ValueError(f"the template is over {MAX_TEMPLATE_CHARACTERS} characters. Fix: make it simpler.")
    tree = _ENVIRONMENT.parse(text)
    for node in _all_nodes(tree):
        _check(node)
    for parent in _all_nodes(tree):
        for child in parent.iter_child_nodes():
            _check_position(child, parent)
    _check_additions(tree)
    _check_filters(tree)
    check_names(tree)
    return tree


def compile_tree(tree: nodes.Template) -> Callable[[Mapping[str, Any]], str]:
    """Compile a checked tree to a render function; rendering stops at `MAX_TEXT_CHARACTERS`."""
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, LOOP_LIMIT, [], [], None, None, lineno=loop.lineno)
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


def _all_nodes(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    yield from tree.find_all(nodes.Node)


def _check(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED):
        syntax = type(node).__name__
        fix = fix_of_call(node) if isinstance(node, nodes.Call) else "use filters"
        raise template_error(node, f"uses {syntax}, which is not allowed", fix)
    match node:
        case nodes.Filter():
            _check_filter(node)
        case nodes.Test() if node.name not in TESTS:
            raise _unknown(node, "test", node.name, TESTS)
        case nodes.For():
            _check_loop(node)
        case nodes.Assign() if any(node.node.find_all(_GROWING)) or isinstance(node.node, _GROWING):
            raise template_error(node, "adds texts in a set statement", "add them where they are shown")


def _check_filter(node: nodes.Filter) -> None:
    if node.name not in FILTERS or node.name == LOOP_LIMIT:
        raise _unknown(node, "filter", node.name, FILTERS)
    if node.name not in PATTERNS:
        return
    if not node.args or not all(isinstance(arg, nodes.Const) and isinstance(arg.value, str) for arg in node.args):
        raise template_error(node, f"has a {node.name} without a constant pattern", f'write {node.name}("...")')


def _check_loop(node: nodes.For) -> None:
    iterable = node.iter
    while isinstance(iterable, nodes.Filter) and iterable.name in _LOOP_FILTERS and iterable.node is not None:
        iterable = iterable.node
    if not isinstance(iterable, nodes.Name) or iterable.name not in _LOOP_BASES or node.recursive:
        raise template_error(
            node, "loops over something other than labels or annotations", "such as: for name in labels"
        )
    inner = [*node.body, *node.else_, *([node.test] if node.test else [])]
    if any(isinstance(part, nodes.For) or any(part.find_all(nodes.For)) for part in inner):
        raise template_error(node, "has a loop within a loop", "use one loop")


def _check_position(child: nodes.Node, parent: nodes.Node) -> None:
    """Refuse maps used as a text, and lists except after ``in`` or before ``join``: they could grow without end."""
    if isinstance(child, nodes.Name) and child.name in (*_MAPS, "self", "loop") and child.ctx == "load":
        is_base = isinstance(parent, (nodes.Getattr, nodes.Getitem)) and parent.node is child
        is_counted = isinstance(parent, nodes.Filter) and parent.name in (*_LOOP_FILTERS, "length", "count")
        is_looped = isinstance(parent, nodes.For) and parent.iter is child
        if child.name == "self" or not (is_base or (child.name != "loop" and (is_counted or is_looped))):
            raise template_error(child, f"uses {child.name} as a whole", f"such as {child.name}.name")
    if isinstance(child, nodes.List):
        is_joined = isinstance(parent, nodes.Filter) and parent.name == "join"
        if not (is_joined or isinstance(parent, nodes.Operand)) or any(child.find_all((nodes.List, nodes.Tuple))):
            raise template_error(
                child, "uses a list", "lists are for: labels.a in ['x', 'y'], and: [labels.a, labels.b] | join"
            )
    if isinstance(child, nodes.Tuple) and child.ctx != "store":
        raise template_error(child, "uses a tuple", "write a text")
    if isinstance(child, nodes.Filter) and child.name in _LOOP_FILTERS:
        is_looped = isinstance(parent, nodes.For) and parent.iter is child
        if not is_looped and not (isinstance(parent, nodes.Filter) and parent.name in _LOOP_FILTERS):
            raise template_error(
                child, f"uses {child.name} outside a loop", "such as: for name, value in labels | items"
            )


def check_patterns(tree: nodes.Template) -> None:
    """Check the regular expressions of a tree, after variables have been replaced.

    Raises:
        ValueError: one is invalid; the error names the fix.
    """
    for node in tree.find_all(nodes.Filter):
        if node.name in PATTERNS and isinstance(node.args[0], nodes.Const):
            compile_regex(str(node.args[0].value))


def _check_filters(tree: nodes.Template) -> None:
    limits = [(tree, _MAX_FILTERS), *((loop, _MAX_FILTERS_IN_A_LOOP) for loop in tree.find_all(nodes.For))]
    for node, limit in limits:
        count = sum(1 for _ in node.find_all(nodes.Filter))
        if count > limit:
            where = "loop" if isinstance(node, nodes.For) else "template"
            raise ValueError(f"a {where} uses {count} filters, {limit} are allowed. Fix: make it simpler.")


def _check_additions(tree: nodes.Template) -> None:
    added = sum(len(concat.nodes) for concat in tree.find_all(nodes.Concat)) + sum(1 for _ in tree.find_all(nodes.Add))
    if added > _MAX_ADDITIONS:
        raise ValueError(f"a template adds {added} values, {_MAX_ADDITIONS} are allowed. Fix: make it simpler.")


def _unknown(node: nodes.Node, kind: str, name: str, known: Mapping[str, object]) -> ValueError:
    near = get_close_matches(name, known, n=1)
    fix = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(set(known) - {LOOP_LIMIT}))}."
    return ValueError(f"line {node.lineno} of a template uses a {kind} {name!r}, which does not exist. Fix: {fix}")
