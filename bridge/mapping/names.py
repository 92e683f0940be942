"""The names that a template may use, and the probable meaning of a name that does not exist; pure.

In: a syntax tree, or a text that Jinja2 cannot read. Out: nothing, or a ValueError with the line and right spelling.
The names are a closed set: a misspelt one would always be the empty text, which goes unnoticed. Users know Go's
templates (Prometheus and Alertmanager), the payload's JSON, and Python, so those spellings are recognised here.
Sources: Prometheus' documentation, "Template reference"; Alertmanager's, "Notification template reference".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from difflib import get_close_matches

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from bridge.mapping.filters import FILTERS
from bridge.mapping.severity import normalized

NAMES = ("labels", "annotations", "alert", "group", "source", "vars")
ALERT = ("status", "starts_at", "ends_at", "fingerprint", "generator_url")
GROUP = ("receiver", "group_key", "group_labels", "common_labels", "common_annotations", "external_url")
LOOP = ("index", "index0", "revindex", "first", "last", "length")
_MAPS = ("labels", "annotations", "vars")
_KNOWN = {"alert": ALERT, "group": GROUP, "loop": LOOP}
_ELSEWHERE = {
    "alert.labels": "labels",
    "alert.annotations": "annotations",
    "group.labels": "group.group_labels",
    "group.annotations": "group.common_annotations",
    "alert.name": "labels.alertname",
    "group.status": "alert.status",
    "group.key": "group.group_key",
}
_LABELS = ("alertname", "instance", "job", "severity", "namespace", "pod", "node", "cluster", "service", "container")
_ANNOTATIONS = ("summary", "description", "message", "runbook_url")
_NO_VALUE = "Alertmanager sends no value. Write it into an annotation of the alert, and use annotations.NAME"
_FILTER = "a filter follows its value, such as labels.instance | {}"
_GO = {
    "Labels": "labels",
    "labels": "labels",
    "externalLabels": "labels",
    "Annotations": "annotations",
    "CommonLabels": "group.common_labels",
    "GroupLabels": "group.group_labels",
    "CommonAnnotations": "group.common_annotations",
    "ExternalURL": "group.external_url",
    "externalURL": "group.external_url",
    "Receiver": "group.receiver",
    "GroupKey": "group.group_key",
    **{"".join(part.title() for part in name.split("_")): f"alert.{name}" for name in ALERT},
    "GeneratorURL": "alert.generator_url",
}
"""Our spelling of each name of Go's templates; the keys are without dollar and dot."""

_GO_NAME = re.compile(r"(?:\$|(?<![\w\])])\.)(?P<name>[A-Za-z]+)(?:\.(?P<key>\w+))?")
_GO_INDEX = re.compile(r"index\s+[$.](?P<name>\w+)\s+\"(?P<key>[^\"]*)\"")
_GO_WORDS = ("if", "range", "with", "end", "else", "template", "define", "block", "printf", "print", "index")
_GO_STATEMENT = re.compile(rf"\{{\{{-?\s*(?:{'|'.join(_GO_WORDS)})\b")
_NOT_GO = "write Jinja2, not Go: {% if labels.a %}...{% endif %}, {% for name in labels %}...{% endfor %}"
_GO_CALL = re.compile(r"\{\{-?\s*(?P<filter>[A-Za-z]\w*)\s+[$.\w(]")
_NO_BRACES = re.compile(r"\s*[$.]?\{?\s*[$.]?(?P<name>(?:[Ll]abels|[Aa]nnotations|vars)\.[\w.-]+)\s*\}?\s*")
_METHODS = {
    **{name: f"| {name}" for name in ("upper", "lower", "title", "capitalize", "replace", "join")},
    "strip": "| trim",
    **dict.fromkeys(("split", "rsplit", "partition", "removeprefix", "removesuffix"), "| reReplaceAll"),
    **dict.fromkeys(("startswith", "endswith", "find"), "| match"),
}
_GROUP_KEYS = 2
"""Keys after ``group`` that lead to a text: group.common_labels.pod."""

_WORD = re.compile(r"[^\W\d]\w*")


def template_error(node: nodes.Node, problem: str, fix: str) -> ValueError:
    """Return the error for a template that uses what is not allowed."""
    return ValueError(f"line {node.lineno} of a template {problem}. Fix: {fix}.")


def constant_lookup(node: nodes.Node) -> tuple[str, str] | None:
    """Return the name and the constant key of ``labels.pod`` and ``labels["pod"]``; None for anything else."""
    match node:
        case nodes.Getattr(node=nodes.Name(name=name), attr=key):
            return name, key
        case nodes.Getitem(node=nodes.Name(name=name), arg=nodes.Const(value=str(key))):
            return name, key
    return None


def constant_lookups(tree: nodes.Template) -> frozenset[tuple[str, str]]:
    """Return all look-ups of a tree by a constant key: pairs such as ``("labels", "pod")``."""
    lookups = map(constant_lookup, tree.find_all((nodes.Getattr, nodes.Getitem)))
    return frozenset(lookup for lookup in lookups if lookup is not None)


def check_names(tree: nodes.Template) -> None:
    """Check that a tree uses only names that exist.

    Raises:
        ValueError: it uses another name; the error gives the right spelling.
    """
    for stored in tree.find_all(nodes.Name):
        if stored.ctx == "store" and stored.name in NAMES:
            raise template_error(
                stored, f"assigns to {stored.name}, which is a given name", f"such as my_{stored.name}"
            )
    unknown = find_undeclared_variables(tree) - set(NAMES)
    for operation in (*tree.find_all(nodes.Sub), *tree.find_all(nodes.Div)):
        _check_dashes(operation, unknown)
    for name in sorted(unknown):
        raise ValueError(f"unknown name {name!r} in a template. Fix: {_suggested_name(name)}")
    for lookup, name, keys in _chains(tree):
        _check_chain(lookup, name, keys)


def fix_of_call(node: nodes.Call) -> str:
    """Return the fix for a call, which templates must not use, such as ``labels.get("x")``."""
    called = node.node
    if not isinstance(called, nodes.Getattr):
        return "use filters"
    method, base = called.attr, _source_of(called.node)
    match node.args:
        case [nodes.Const(value=str(key)), *more] if method == "get":
            return f"write {spelled(base, key)}" + (" or the other value" if more else "")
    if method in ("items", "keys", "values", "get"):
        return f"write for name, value in {base} | items"
    return f"write {base} {_METHODS[method]}" if method in _METHODS else "use filters"


def fix_of_go(text: str) -> str:
    """Return the fix for a text in Go's template language; empty if it is not in that language."""
    inside = "".join(re.findall(r"\{[{%].*?(?:[%}]\}|$)", text, re.DOTALL))
    indexed = _GO_INDEX.search(inside)
    for go_name in ([indexed] if indexed else []) + list(_GO_NAME.finditer(inside)):
        name, key = go_name["name"], go_name["key"]
        if name.casefold() == "value":
            return _NO_VALUE
        if name in _GO:
            return f"write {spelled(_GO[name], key) if key else _GO[name]} instead of {go_name[0]}"
    if _GO_STATEMENT.search(inside):
        return _NOT_GO
    call = _GO_CALL.search(inside)
    return _FILTER.format(call["filter"]) if call and call["filter"] in FILTERS else ""


def missing_braces(text: str) -> str:
    """Return the warning for a constant text that looks like a template without its braces; empty for any other."""
    lookup = _NO_BRACES.fullmatch(text)
    if lookup is None:
        return ""
    name, _, key = lookup["name"].partition(".")
    return f"{text!r} is a constant text, not a template. Fix: write {{{{ {spelled(name.lower(), key)} }}}}."


def spelled(name: str, key: str) -> str:
    """Return a look-up as templates write it: ``labels.pod``, or ``labels["a.b"]`` where the key is not a word."""
    return f"{name}.{key}" if _WORD.fullmatch(key) else f'{name}["{key}"]'


def _chains(tree: nodes.Template) -> Iterator[tuple[nodes.Node, str, list[object]]]:
    """Yield each whole look-up such as ``labels.a.b`` with its name and keys; a computed key is its node."""
    lookups: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    inner = {id(lookup.node) for lookup in lookups}
    for outer in (lookup for lookup in lookups if id(lookup) not in inner):
        keys: list[object] = []
        base: nodes.Node = outer
        while isinstance(base, (nodes.Getattr, nodes.Getitem)):
            keys.append(_key(base))
            base = base.node
        if isinstance(base, nodes.Name):
            yield outer, base.name, keys[::-1]


def _key(lookup: nodes.Getattr | nodes.Getitem) -> object:
    if isinstance(lookup, nodes.Getattr):
        return lookup.attr
    return lookup.arg.value if isinstance(lookup.arg, nodes.Const) else lookup.arg


def _check_chain(node: nodes.Node, name: str, keys: list[object]) -> None:
    """Refuse look-ups that are always empty: of a key that does not exist, and of a key within a text."""
    if name in _KNOWN:
        _check_known(node, name, keys)
    elif name == "vars" and not isinstance(keys[0], str):
        raise template_error(node, "computes a name of vars", "write it, such as vars.cluster")
    elif name in _MAPS and isinstance(keys[0], (int, float, nodes.Slice)):
        raise template_error(node, f"looks at {name} by a number", f"write the name, such as {name}.cluster")
    depth = _depth(name, keys[0])
    if any(isinstance(key, str) for key in keys[depth:]):
        text = fix = _dotted(name, keys[:depth])
        if name in ("labels", "annotations") or depth == _GROUP_KEYS:
            fix = spelled(_dotted(name, keys[: depth - 1]), _dotted(str(keys[depth - 1]), keys[depth:]))
        raise template_error(node, f"looks at {_dotted(name, keys)}, but {text} is a text", f"write {fix}")


def _check_known(node: nodes.Node, name: str, keys: list[object]) -> None:
    if not isinstance(keys[0], str):
        raise template_error(node, f"computes a name of {name}", f"write it, such as {name}.{_KNOWN[name][0]}")
    if keys[0] not in _KNOWN[name]:
        raise template_error(node, f"looks at {_dotted(name, keys)}, which does not exist", _suggested_key(name, keys))


def _depth(name: str, first: object) -> int:
    """Return after how many keys a look-up reaches a text; no limit for a name that the template sets itself."""
    if name == "source":
        return 0
    if name == "group" and str(first).endswith(("_labels", "_annotations")):
        return _GROUP_KEYS
    return 1 if name in _MAPS or name in _KNOWN else sys.maxsize


def _dotted(name: str, keys: list[object]) -> str:
    return ".".join((name, *(key for key in keys if isinstance(key, str))))


def _suggested_key(name: str, keys: list[object]) -> str:
    """Return the fix for a key that does not exist."""
    first, further = str(keys[0]), [str(key) for key in keys[1:] if isinstance(key, str)]
    elsewhere = _ELSEWHERE.get(f"{name}.{first}")
    if elsewhere is not None:
        return "write " + (spelled(elsewhere, ".".join(further)) if further else elsewhere)
    near = _nearest(first, _KNOWN[name])
    return f"write {name}.{near}" if near else f"use one of {', '.join(f'{name}.{key}' for key in _KNOWN[name])}"


def _suggested_name(name: str) -> str:
    """Return the fix for a name that does not exist."""
    for base, keys in (("alert", ALERT), ("group", GROUP)):
        for key in keys:
            if normalized(key) == normalized(name):
                return f"did you mean {base}.{key}?"
    for base, usual in (("labels", _LABELS), ("annotations", _ANNOTATIONS)):
        if name in usual:
            return f"did you mean {base}.{name}?"
    if normalized(name) == "value" or name in _GO_WORDS:
        return f"{_NOT_GO if name in _GO_WORDS else _NO_VALUE}."
    if name in FILTERS:
        return f"{_FILTER.format(name)}."
    near = _nearest(name, NAMES)
    return f"did you mean {near!r}?" if near else f"use one of {', '.join(NAMES)}; a label is labels.{name}."


def _nearest(word: str, known: Collection[str]) -> str:
    equal = [name for name in known if normalized(name) == normalized(word)]
    return next(iter(equal or get_close_matches(word, known, n=1)), "")


def _check_dashes(node: nodes.BinExpr, unknown: Collection[str]) -> None:
    """Refuse ``labels.host-name`` and ``labels.app.example/name``, which Jinja2 reads as arithmetic."""
    whole, right = _source_of(node), _leftmost(node.right)
    is_name = isinstance(right, nodes.Name) and right.name in unknown
    is_digits = isinstance(node, nodes.Sub) and isinstance(right, nodes.Const) and isinstance(right.value, int)
    if (is_name or is_digits) and whole.startswith(("labels.", "annotations.")):
        name, _, key = whole.partition(".")
        verb = "subtracts from" if isinstance(node, nodes.Sub) else "divides"
        raise template_error(node, f"{verb} {_source_of(node.left)}", f'a name with - or / is written {name}["{key}"]')


def _leftmost(node: nodes.Node) -> nodes.Node:
    """Return the leftmost operand of a look-up or an operation, without its filters."""
    while isinstance(node, (nodes.Filter, nodes.Getattr, nodes.BinExpr)):
        inner = node.left if isinstance(node, nodes.BinExpr) else node.node
        if inner is None:
            break
        node = inner
    return node


def _source_of(node: nodes.Node | None) -> str:
    """Return the source text of a look-up, also of one with a dash or a slash in it."""
    text = "it"
    match node:
        case nodes.Name(name=name):
            text = str(name)
        case nodes.Const(value=value):
            text = str(value)
        case nodes.Getattr(node=base, attr=key) | nodes.Getitem(node=base, arg=nodes.Const(value=key)):
            text = f"{_source_of(base)}.{key}"
        case nodes.Sub(left=left, right=right) | nodes.Div(left=left, right=right):
            operand = right.node if isinstance(right, nodes.Filter) else right
            text = f"{_source_of(left)}{'-' if isinstance(node, nodes.Sub) else '/'}{_source_of(operand)}"
    return text
