"""Names: what a template may look at, and what was meant where it looks at something else; pure.

In: a syntax tree, or a text that Jinja2 cannot read. Out: nothing, or a ValueError that names line and right spelling.
The names are a closed set. A wrong one would be the empty text for ever, which stays unseen. People come from Go's
templates (Prometheus and Alertmanager), from the payload's JSON, and from Python, so their spellings are known here.
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
from bridge.mapping.severity import squeezed

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
"""Names of Go's templates, without their dollar or dot, and ours."""

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
_IN_GROUP = 2
"""Keys to a text: group.common_labels.pod."""

_WORD = re.compile(r"[^\W\d]\w*")


def refused(found: nodes.Node, what: str, fix: str) -> ValueError:
    """Return the error for what a template must not do."""
    return ValueError(f"line {found.lineno} of a template {what}. Fix: {fix}.")


def look_up(found: nodes.Node) -> tuple[str, str] | None:
    """Return the name and the constant key of ``labels.pod`` and ``labels["pod"]``; None for anything else."""
    match found:
        case nodes.Getattr(node=nodes.Name(name=name), attr=key):
            return name, key
        case nodes.Getitem(node=nodes.Name(name=name), arg=nodes.Const(value=str(key))):
            return name, key
    return None


def look_ups(tree: nodes.Template) -> frozenset[tuple[str, str]]:
    """Return what a tree looks up by a constant name: pairs such as ``("labels", "pod")``."""
    found = (look_up(node) for node in tree.find_all((nodes.Getattr, nodes.Getitem)))
    return frozenset(one for one in found if one is not None)


def check_names(tree: nodes.Template) -> None:
    """Check that a tree looks at nothing but what there is.

    Raises:
        ValueError: it does; the text names the right spelling.
    """
    for stored in tree.find_all(nodes.Name):
        if stored.ctx == "store" and stored.name in NAMES:
            raise refused(stored, f"gives {stored.name} another meaning", f"such as my_{stored.name}")
    unknown = find_undeclared_variables(tree) - set(NAMES)
    for joined in (*tree.find_all(nodes.Sub), *tree.find_all(nodes.Div)):
        _check_dashes(joined, unknown)
    for name in sorted(unknown):
        raise ValueError(f"unknown name {name!r} in a template. Fix: {_meant(name)}")
    for found, name, keys in _chains(tree):
        _check_chain(found, name, keys)


def fix_of_call(found: nodes.Call) -> str:
    """Return what to write instead of a call, such as ``labels.get("x")``."""
    called = found.node
    if not isinstance(called, nodes.Getattr):
        return "use filters"
    method, of = called.attr, _spelled(called.node)
    match found.args:
        case [nodes.Const(value=str(key)), *more] if method == "get":
            return f"write {spelled(of, key)}" + (" or the other value" if more else "")
    if method in ("items", "keys", "values", "get"):
        return f"write for name, value in {of} | items"
    return f"write {of} {_METHODS[method]}" if method in _METHODS else "use filters"


def fix_of_go(text: str) -> str:
    """Return what to write instead of Go's template language; empty if the text is not written in it."""
    inside = "".join(re.findall(r"\{[{%].*?(?:[%}]\}|$)", text, re.DOTALL))
    indexed = _GO_INDEX.search(inside)
    for found in ([indexed] if indexed else []) + list(_GO_NAME.finditer(inside)):
        name, key = found["name"], found["key"]
        if name.casefold() == "value":
            return _NO_VALUE
        if name in _GO:
            return f"write {spelled(_GO[name], key) if key else _GO[name]} instead of {found[0]}"
    if _GO_STATEMENT.search(inside):
        return _NOT_GO
    call = _GO_CALL.search(inside)
    return _FILTER.format(call["filter"]) if call and call["filter"] in FILTERS else ""


def without_braces(text: str) -> str:
    """Return what is doubtful about a text that looks like a template without its braces; empty if nothing is."""
    found = _NO_BRACES.fullmatch(text)
    if found is None:
        return ""
    name, _, key = found["name"].partition(".")
    return f"{text!r} is that very text, no template. Fix: write {{{{ {spelled(name.lower(), key)} }}}}."


def spelled(name: str, key: str) -> str:
    """Return how a key of a map is written: ``labels.pod``, and ``labels["a.b"]`` for what is no word."""
    return f"{name}.{key}" if _WORD.fullmatch(key) else f'{name}["{key}"]'


def _chains(tree: nodes.Template) -> Iterator[tuple[nodes.Node, str, list[object]]]:
    """Give each whole look-up such as ``labels.a.b`` with its name and keys; a key that is worked out is None."""
    found: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    inner = {id(one.node) for one in found}
    for outer in (one for one in found if id(one) not in inner):
        keys: list[object] = []
        at: nodes.Node = outer
        while isinstance(at, (nodes.Getattr, nodes.Getitem)):
            keys.append(_key(at))
            at = at.node
        if isinstance(at, nodes.Name):
            yield outer, at.name, keys[::-1]


def _key(link: nodes.Getattr | nodes.Getitem) -> object:
    if isinstance(link, nodes.Getattr):
        return link.attr
    return link.arg.value if isinstance(link.arg, nodes.Const) else link.arg


def _check_chain(found: nodes.Node, name: str, keys: list[object]) -> None:
    """Refuse what is always empty: a key that there is not, and a key of a text."""
    if name in _KNOWN:
        _check_known(found, name, keys)
    elif name == "vars" and not isinstance(keys[0], str):
        raise refused(found, "works out a name of vars", "write it, such as vars.cluster")
    elif name in _MAPS and isinstance(keys[0], (int, float, nodes.Slice)):
        raise refused(found, f"looks at {name} by a number", f"write the name, such as {name}.cluster")
    depth = _depth(name, keys[0])
    if any(isinstance(key, str) for key in keys[depth:]):
        text = fix = _dotted(name, keys[:depth])
        if name in ("labels", "annotations") or depth == _IN_GROUP:
            fix = spelled(_dotted(name, keys[: depth - 1]), _dotted(str(keys[depth - 1]), keys[depth:]))
        raise refused(found, f"looks at {_dotted(name, keys)}, but {text} is a text", f"write {fix}")


def _check_known(found: nodes.Node, name: str, keys: list[object]) -> None:
    if not isinstance(keys[0], str):
        raise refused(found, f"works out a name of {name}", f"write it, such as {name}.{_KNOWN[name][0]}")
    if keys[0] not in _KNOWN[name]:
        raise refused(found, f"looks at {_dotted(name, keys)}, which there is not", _meant_of(name, keys))


def _depth(name: str, first: object) -> int:
    """Return after how many keys there is a text; more than there can be for a name of the template's own."""
    if name == "source":
        return 0
    if name == "group" and str(first).endswith(("_labels", "_annotations")):
        return _IN_GROUP
    return 1 if name in _MAPS or name in _KNOWN else sys.maxsize


def _dotted(name: str, keys: list[object]) -> str:
    return ".".join((name, *(key for key in keys if isinstance(key, str))))


def _meant_of(name: str, keys: list[object]) -> str:
    """Return the right spelling of a key that there is not."""
    first, rest = str(keys[0]), [str(key) for key in keys[1:] if isinstance(key, str)]
    elsewhere = _ELSEWHERE.get(f"{name}.{first}")
    if elsewhere is not None:
        return "write " + (spelled(elsewhere, ".".join(rest)) if rest else elsewhere)
    near = _near(first, _KNOWN[name])
    return f"write {name}.{near}" if near else f"use one of {', '.join(f'{name}.{key}' for key in _KNOWN[name])}"


def _meant(name: str) -> str:
    """Return the right spelling of a name that there is not."""
    for of, known in (("alert", ALERT), ("group", GROUP)):
        for key in known:
            if squeezed(key) == squeezed(name):
                return f"did you mean {of}.{key}?"
    for of, usual in (("labels", _LABELS), ("annotations", _ANNOTATIONS)):
        if name in usual:
            return f"did you mean {of}.{name}?"
    if squeezed(name) == "value" or name in _GO_WORDS:
        return f"{_NOT_GO if name in _GO_WORDS else _NO_VALUE}."
    if name in FILTERS:
        return f"{_FILTER.format(name)}."
    near = _near(name, NAMES)
    return f"did you mean {near!r}?" if near else f"use one of {', '.join(NAMES)}; a label is labels.{name}."


def _near(word: str, known: Collection[str]) -> str:
    same = [one for one in known if squeezed(one) == squeezed(word)]
    return next(iter(same or get_close_matches(word, known, n=1)), "")


def _check_dashes(found: nodes.BinExpr, unknown: Collection[str]) -> None:
    """Refuse ``labels.host-name`` and ``labels.app.example/name``, which subtract and divide."""
    whole, right = _spelled(found), _first(found.right)
    is_name = isinstance(right, nodes.Name) and right.name in unknown
    is_digits = isinstance(found, nodes.Sub) and isinstance(right, nodes.Const) and isinstance(right.value, int)
    if (is_name or is_digits) and whole.startswith(("labels.", "annotations.")):
        name, _, key = whole.partition(".")
        what = "subtracts from" if isinstance(found, nodes.Sub) else "divides"
        raise refused(found, f"{what} {_spelled(found.left)}", f'a name with - or / is written {name}["{key}"]')


def _first(found: nodes.Node) -> nodes.Node:
    """Return what stands first in a look-up or a sum, without its filters."""
    while isinstance(found, (nodes.Filter, nodes.Getattr, nodes.BinExpr)):
        inner = found.left if isinstance(found, nodes.BinExpr) else found.node
        if inner is None:
            break
        found = inner
    return found


def _spelled(found: nodes.Node | None) -> str:
    """Return how a look-up was written, and what a dash or slash joins to it."""
    text = "it"
    match found:
        case nodes.Name(name=name):
            text = str(name)
        case nodes.Const(value=value):
            text = str(value)
        case nodes.Getattr(node=node, attr=key) | nodes.Getitem(node=node, arg=nodes.Const(value=key)):
            text = f"{_spelled(node)}.{key}"
        case nodes.Sub(left=left, right=right) | nodes.Div(left=left, right=right):
            of = right.node if isinstance(right, nodes.Filter) else right
            text = f"{_spelled(left)}{'-' if isinstance(found, nodes.Sub) else '/'}{_spelled(of)}"
    return text
