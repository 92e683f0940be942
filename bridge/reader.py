"""Reads YAML into typed values, every mistake at once.

In: bytes, a dataclass to read them as, and the variables. Out: an instance, or a `ConfigError` that holds all problems,
each as ``file:line:column: path: problem. Fix: …``. Scalars are read as text and typed by the field that they fill, so
YAML's own guesses (``no``, ``on``, digits-only ids) never happen. ``${VAR}`` and ``${VAR:-default}`` are expanded once,
in scalar values, after the YAML is parsed; ``$$`` is a literal ``$``; what comes out is never expanded again nor read
as a template. Which settings there are is none of its business.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml

from bridge.errors import BridgeError
from bridge.mapping.matcher import Matchers
from bridge.mapping.template import Template
from bridge.scalars import Secret

T = TypeVar("T")
LARGEST_FILE = 1 << 20
DEEPEST = 64
_UNFIT = re.compile("[\0\ud800-\udfff]")
"""What no file system, terminal, database or network takes."""

_PASSWORD_IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)\S*@")
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake and its place; line and column count from 1."""

    line: int
    column: int
    path: str
    text: str

    def line_of(self, file: str) -> str:
        """Return the problem as one line: ``file:line:column: path: problem. Fix: …``."""
        return _one_line(f"{file}:{self.line}:{self.column}: {self.path + ': ' if self.path else ''}{self.text}")


class ConfigError(BridgeError):
    """A configuration file that cannot be used.

    Attributes:
        file: its name, as it was given.
        problems: every mistake, in the order of the file.
    """

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = sorted(problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return one line for each mistake: ``file:line:column: path: problem. Fix: …``."""
        return [problem.line_of(self.file) for problem in self.problems]


class UnreadableError(ConfigError):
    """The file could not be read at all."""


def read_file(file: str) -> bytes:
    """Return the bytes of a file; raises `ConfigError` when it cannot be read."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        text = f"the file cannot be read: {error.strerror}. Fix: check the path and its permissions."
        raise UnreadableError(file, [Problem(1, 1, "", text)]) from None


def read_as(kind: type[T], raw: bytes, file: str) -> T:
    """Read another YAML file of ours, by the same rules, as this dataclass; variables are not expanded.

    Raises:
        ConfigError: with every mistake.
    """
    reader = Reader(file, None, allow_unset=True)
    found = reader.read(compose(raw, file), kind, "")
    if reader.problems or not isinstance(found, kind):
        raise ConfigError(file, reader.problems)
    return found


def compose(raw: bytes, file: str, fix: str = "describe a target under targets.default") -> yaml.Node:
    """Parse to a node tree, which knows its places; aliases and deep nesting are refused before they cost anything.

    Args:
        raw: the file's bytes.
        file: its name.
        fix: what to do about an empty one.

    Raises:
        ConfigError: it is not such a file.
    """
    if len(raw) > LARGEST_FILE:
        raise ConfigError(file, [Problem(1, 1, "", "the file is over 1 MiB. Fix: a configuration is smaller.")])
    try:
        _check_events(raw, file)
        node = yaml.compose(raw, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ConfigError(file, [Problem(line, column, "", f"not YAML: {error.problem}. Fix: correct it.")]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(file, [Problem(1, 1, "", f"not YAML: {text}. Fix: save it as UTF-8 text.")]) from None
    if node is None:
        raise ConfigError(file, [Problem(1, 1, "", f"the file is empty. Fix: {fix}.")])
    return node


def _check_events(raw: bytes, file: str) -> None:
    depth = 0
    for event in yaml.parse(raw, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ConfigError(file, [_problem(event, "", f"nested deeper than {DEEPEST}. Fix: flatten it.")])
        if isinstance(event, yaml.AliasEvent):
            text = f"*{event.anchor} is an alias, and aliases are not read. Fix: write the value out."
            raise ConfigError(file, [_problem(event, "", text)])


def _problem(place: yaml.Node | yaml.Event, path: str, text: str) -> Problem:
    mark = place.start_mark
    return Problem(mark.line + 1, mark.column + 1, path, text) if mark else Problem(1, 1, path, text)


def _one_line(text: str) -> str:
    """Escape what a key or a value could steer a terminal or a log with."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Missing:
    """Stands for a value that could not be read; the problem is noted."""


_MISSING = _Missing()


class Reader:
    """Reads nodes into typed values and collects every problem on the way."""

    def __init__(self, file: str, env: Mapping[str, str] | None, *, allow_unset: bool) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.missing: list[Problem] = []
        self.doubts: list[Problem] = []
        self._env = env
        self._allow_unset = allow_unset
        self._nodes: dict[str, yaml.Node] = {}
        self._concealed: list[tuple[yaml.ScalarNode, Callable[[str], str]]] = []

    def read(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401, PLR0911 - typed by its argument
        """Return the node's value as ``kind``, or `_MISSING`."""
        self._nodes[path] = node
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            if args[1].conceal is not None and isinstance(node, yaml.ScalarNode):
                self._concealed.append((node, args[1].conceal))
            return self._scalar(node, args[1].name, args[1].parse, path)
        if origin in (types.UnionType, typing.Union):
            return self._union(node, args, path)
        if origin is Literal:
            return self._choice(node, args, path)
        if origin is tuple:
            return self._list(node, args[0], path)
        if origin is dict:
            return self._map(node, args[1], path)
        if dataclasses.is_dataclass(kind):
            return self._section(node, kind, path)
        name, parse = _PLAIN.get(kind, ("text", getattr(kind, "parse", kind)))
        return self._scalar(node, name, parse, path)

    def note(self, node: yaml.Node, path: str, text: str) -> _Missing:
        """Note a problem at the node's place."""
        self.problems.append(_problem(node, path, text))
        return _MISSING

    def shown(self, node: yaml.Node) -> str:
        """Return a file that was read as YAML for everybody's eyes: variables by their names, secrets as ``<secret>``.

        The nodes of the secrets are changed by it: nothing can be read from them any more.
        """
        for found, conceal in self._concealed:
            found.value = conceal(found.value)
        text = str(yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True, width=1_000))
        return _PASSWORD_IN_ADDRESS.sub(rf"\1{Secret('')!r}@", text)

    def note_at(self, path: str, text: str) -> None:
        """Note a problem at the place of a path that was read, or of the nearest above it."""
        place = path
        while place not in self._nodes and place:
            place = place.rpartition(".")[0]
        self.note(self._nodes[place], path, text)

    def _scalar(self, node: yaml.Node, name: str, parse: Callable[..., Any], path: str) -> Any:  # noqa: ANN401
        if not isinstance(node, yaml.ScalarNode):
            return self.note(node, path, f"{name} is expected here, not {_called(node)}. Fix: write one value.")
        if _UNFIT.search(node.value):
            return self.note(node, path, "it holds a NUL or half of a surrogate pair. Fix: write whole characters.")
        try:
            if parse == Template.parse:
                return parse(node.value, lambda text: self._expand(node, text, path))
            value = parse(self._expand(node, node.value, path))
        except ValueError as error:
            return self.note(node, path, str(error))
        warning = _warning(node, value) if isinstance(value, Matchers) else ""
        if warning:
            self.doubts.append(_problem(node, path, warning))
        return value

    def _expand(self, node: yaml.Node, text: str, path: str) -> str:
        env = self._env
        if env is None:
            return text

        def value(found: re.Match[str]) -> str:
            if found["name"] is None:
                return "$"
            known = env.get(found["name"])
            if found["default"] is not None:
                known = known or found["default"]  # as in a shell: the default stands for an empty variable too
            if known is not None:
                return known
            name = found["name"]
            text = f"${{{name}}} is not set. Fix: export {name}, or write ${{{name}:-default}}."
            if self._allow_unset:
                self.missing.append(_problem(node, path, text))
            else:
                self.note(node, path, text)
            return "unset"

        return _VARIABLE.sub(value, text)

    def _union(self, node: yaml.Node, kinds: tuple[Any, ...], path: str) -> Any:  # noqa: ANN401
        rest = [kind for kind in kinds if kind is not type(None)]
        if len(rest) == 1:
            return self.read(node, rest[0], path)
        wanted = next((kind for kind in rest if _fits(node, kind)), rest[0])
        return self.read(node, wanted, path)

    def _choice(self, node: yaml.Node, choices: tuple[str, ...], path: str) -> Any:  # noqa: ANN401
        def parse(text: str) -> str:
            if text in choices:
                return text
            raise ValueError(f"{text!r} is not known here. Fix: {suggest(text, choices)}")

        return self._scalar(node, "one of " + ", ".join(choices), parse, path)

    def _list(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401
        if not isinstance(node, yaml.SequenceNode):
            return self.note(node, path, f"a list is expected here, not {_called(node)}. Fix: begin lines with '- '.")
        values = [self.read(child, kind, f"{path}[{index}]") for index, child in enumerate(node.value)]
        return tuple(value for value in values if value is not _MISSING)

    def _map(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401
        pairs = self._pairs(node, path)
        values = {key: self.read(child, kind, _join(path, key)) for key, (_, child) in pairs.items()}
        return {key: value for key, value in values.items() if value is not _MISSING}

    def _section(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401
        before = len(self.problems)
        pairs = self._pairs(node, path)
        if len(self.problems) > before and not pairs:
            return _MISSING
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = {f.metadata.get("key", f.name): f for f in dataclasses.fields(kind)}
        for key, (key_node, _) in pairs.items():
            if key not in fields:
                fix = getattr(kind, "instead", {}).get(key) or suggest(key, fields)
                self.note(key_node, _join(path, key), f"unknown key. Fix: {fix}")
        read = {
            fields[key].name: self.read(child, hints[fields[key].name], _join(path, key))
            for key, (_, child) in pairs.items()
            if key in fields
        }
        values = {name: value for name, value in read.items() if value is not _MISSING}
        for key, one in fields.items():
            if _is_required(one) and key not in pairs:
                self.note(node, _join(path, key), "it is missing. Fix: add it.")
        if all(one.name in values for one in fields.values() if _is_required(one)):
            section = kind(**values)
            self._check(section, node, path, {problem.path for problem in self.problems[before:]})
            if len(self.problems) == before:
                return section
        return _MISSING

    def _check(self, section: Any, node: yaml.Node, path: str, known: set[str]) -> None:  # noqa: ANN401
        """Note what is wrong with the section as a whole, except where a worse problem of it is known already."""
        for key, text in getattr(section, "problems", list)():
            where = _join(path, key) if key else path
            if not any(place == where or place.startswith((where + ".", where + "[")) for place in known):
                self.note(self._nodes.get(where, node), where, text)
        for name, noted in (("missing", self.missing), ("doubts", self.doubts)):
            for key, text in getattr(section, name, list)():
                where = _join(path, key)
                noted.append(_problem(self._nodes.get(where, node), where, text))

    def _pairs(self, node: yaml.Node, path: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if isinstance(node, yaml.ScalarNode) and node.value == "":
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.note(node, path, f"keys and values are expected here, not {_called(node)}. Fix: write 'key: value'.")
            return {}
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, child in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            if not key or _UNFIT.search(key):
                self.note(key_node, path, "a key must be one value that is not empty. Fix: write a name.")
                continue
            if key in pairs:
                line = pairs[key][0].start_mark.line + 1
                self.note(key_node, _join(path, key), f"the key stands at line {line} already. Fix: remove one.")
            pairs[key] = (key_node, child)
        return pairs


def _fits(node: yaml.Node, kind: Any) -> bool:  # noqa: ANN401 - a type of the settings
    """Say whether a node of this form can be of this type: lists, sections, and single values for all the rest."""
    if isinstance(node, yaml.SequenceNode):
        return get_origin(kind) is tuple
    is_section = dataclasses.is_dataclass(kind) or get_origin(kind) is dict
    return is_section == isinstance(node, yaml.MappingNode)


def _warning(node: yaml.ScalarNode, matchers: Matchers) -> str:
    is_joined = node.style not in ("|", ">") and node.start_mark.line != node.end_mark.line
    return matchers.warning or (matchers.folded() if is_joined else "")


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false. Fix: write true or false.")
    return text == "true"


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise ValueError(f"{text[:40]!r} is not a whole number. Fix: write digits only.")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        raise ValueError(f"{text!r} is not a number. Fix: write it as 20 or 0.5.")
    return float(text)


_PLAIN: dict[Any, tuple[str, Callable[[str], Any]]] = {
    bool: ("true or false", _boolean),
    int: ("a whole number", _whole_number),
    float: ("a number", _number),
}


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """Return what was probably meant, or all that there is."""
    names = list(known)
    if not names:
        return "it takes none."
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}."


def _called(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "a single value" if node.value else "nothing"  # never the value itself: it may be a secret
    return "a list" if isinstance(node, yaml.SequenceNode) else "a section"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_required(one: dataclasses.Field[Any]) -> bool:
    return one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
