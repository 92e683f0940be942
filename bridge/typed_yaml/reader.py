"""Reads YAML into typed values, and reports all mistakes at once.

In: bytes, a dataclass to read them as, and the variables. Out: an instance, or a `ConfigError` that holds all problems,
each as ``file:line:column: path: problem. Fix: …``. Scalars are read as text and typed by the field that they fill, so
YAML's own guesses (``no``, ``on``, digits-only ids) never happen. ``${VAR}`` and ``${VAR:-default}`` are expanded once,
in scalar values, after the YAML is parsed; ``$$`` is a literal ``$``; the result is never expanded again nor parsed
as a template. A line break at the end of a value is removed. The reader knows no setting.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml

from bridge.typed_yaml import hints as nodehints
from bridge.typed_yaml import variables
from bridge.typed_yaml.document import compose, is_nothing, problem_at
from bridge.typed_yaml.field_type import FieldType
from bridge.typed_yaml.mistakes import called, invisible
from bridge.typed_yaml.problems import ConfigError, suggest
from bridge.typed_yaml.secret import Secret
from bridge.typed_yaml.section import HasDoubts, HasMissing, HasProblems, Section
from bridge.typed_yaml.values import MISSING, PLAIN, UNFIT, Missing, ValueReader

T = TypeVar("T")
_MAP, _TEXT = "tag:yaml.org,2002:map", "tag:yaml.org,2002:str"
_INDEX = re.compile(r"\[([0-9]+)\]")
_PASSWORD_IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)\S*@")


def read_as(kind: type[T], raw: bytes, file: str) -> T:
    """Read another YAML file of the bridge as this dataclass, by the same rules; variables are not expanded.

    Raises:
        ConfigError: with every mistake.
    """
    reader = Reader(file, None, allow_unset=True)
    value = reader.read(compose(raw, file), kind, "")
    if reader.problems or not isinstance(value, kind):
        raise ConfigError(file, reader.problems)
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class SectionText:
    """One section of a file as YAML that can be read again, below its key; without comments.

    ``variables``: the values of the variables that it names, without those of which a secret of the file is made.
    """

    yaml: str
    variables: Mapping[str, str]


class Reader:
    """Reads nodes into typed values and collects all problems."""

    def __init__(self, file: str, env: Mapping[str, str] | None, *, allow_unset: bool) -> None:
        self.file = file
        self._values = values = ValueReader(env, allow_unset=allow_unset)
        self.problems, self.missing, self.doubts = values.problems, values.missing, values.doubts
        self._nodes: dict[str, yaml.Node] = {}
        self._valid_indexes: dict[str, list[int]] = {}
        self._concealed: list[tuple[yaml.ScalarNode, Callable[[str], str]]] = []

    def read(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401, PLR0911 - its argument decides the type; one return for each form
        """Return the node's value as ``kind``, or `MISSING`."""
        self._nodes[path] = node
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            if args[1].conceal is not None and isinstance(node, yaml.ScalarNode):
                self._concealed.append((node, args[1].conceal))
            is_secret = args[1].conceal is not None
            return self._values.read(node, args[1].name, args[1].parse, path, is_secret=is_secret)
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
        if isinstance(kind, type) and issubclass(kind, FieldType):
            return self._values.read_own(node, kind, path)
        name, parse = PLAIN.get(kind, ("text", kind))
        return self._values.read(node, name, parse, path)

    def note(self, node: yaml.Node, path: str, text: str) -> Missing:
        """Note a problem at the line and column of a node."""
        return self._values.note(node, path, text)

    def shown(self, node: yaml.Node) -> str:
        """Return a file that was read as YAML that may be shown: variables by their names, secrets as ``<secret>``.

        It replaces the values in the nodes of the secrets, so the tree cannot be read again.
        """
        for secret, conceal in self._concealed:
            secret.value = conceal(secret.value)
        return _serialized(node)

    def section(self, key: str) -> SectionText:
        """Return one section of the file that was read, which can be read again; to be called before `shown`."""
        value = self._nodes.get(key) or yaml.MappingNode(_MAP, [])
        if is_nothing(value):
            value = yaml.MappingNode(_MAP, [])
        text = _serialized(yaml.MappingNode(_MAP, [(yaml.ScalarNode(_TEXT, key), value)], flow_style=False))
        return SectionText(text, self._values.of_variables(variables.names(text) - self._names_in_secrets()))

    def doubt_at(self, path: str, text: str) -> None:
        """Note a doubt as `note_at` notes a problem."""
        self.doubts.append(problem_at(self._node_of(path), path, text))

    def _names_in_secrets(self) -> set[str]:
        addresses = (node.value for node in self._nodes.values() if isinstance(node, yaml.ScalarNode))
        secrets = (*(node.value for node, _ in self._concealed), *filter(_PASSWORD_IN_ADDRESS.search, addresses))
        return {name for text in secrets for name in variables.names(text)}

    def note_at(self, path: str, text: str) -> None:
        """Note a problem at the node of a path that was read, or at the nearest node above it."""
        self.note(self._node_of(path), path, text)

    def _node_of(self, path: str) -> yaml.Node:
        known = path
        while known not in self._nodes and known:
            known = known.rpartition(".")[0]
        return self._nodes[known]

    def _union(self, node: yaml.Node, kinds: tuple[Any, ...], path: str) -> Any:  # noqa: ANN401 - one of `kinds`, or `MISSING`
        members = [kind for kind in kinds if kind is not type(None)]
        if len(members) == 1:
            return self.read(node, members[0], path)
        wanted = next((kind for kind in members if _fits(node, kind)), members[0])
        return self.read(node, wanted, path)

    def _choice(self, node: yaml.Node, choices: tuple[str, ...], path: str) -> Any:  # noqa: ANN401 - text or `MISSING`
        def parse(text: str) -> str:
            if text in choices:
                return text
            raise ValueError(f"{text!r} is not known here. Fix: {suggest(text, choices)}")

        return self._values.read(node, "one of " + ", ".join(choices), parse, path)

    def _list(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401 - `kind` is a type of the settings
        if not isinstance(node, yaml.SequenceNode):
            is_own = isinstance(kind, type) and issubclass(kind, FieldType)
            return self.note(node, path, kind.expected_list(node) if is_own else nodehints.not_a_list(node))
        values = [self.read(child, kind, f"{path}[{index}]") for index, child in enumerate(node.value)]
        self._valid_indexes[path] = [index for index, value in enumerate(values) if value is not MISSING]
        return tuple(value for value in values if value is not MISSING)

    def _map(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401 - `kind` is a type of the settings
        pairs = self._pairs(node, path)
        fields = nodehints.keys_of(kind) if dataclasses.is_dataclass(kind) else []
        strays = {key: child for key, (_, child) in pairs.items() if key in fields}
        if any(isinstance(child, yaml.ScalarNode) for child in strays.values()):
            return self._note_strays(pairs, strays, path)
        values = {key: self.read(child, kind, _join(path, key)) for key, (_, child) in pairs.items()}
        return {key: value for key, value in values.items() if value is not MISSING}

    def _note_strays(self, pairs: nodehints.Pairs, strays: typing.Iterable[str], path: str) -> Missing:
        """Note keys of a section that are written where the name of the section is expected."""
        names = [key for key in pairs if key not in strays]
        text = nodehints.below(names[0] if names else "default", is_there=bool(names))
        for key in strays:
            self.note(pairs[key][0], _join(path, key), text)
        return MISSING

    def _section(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401 - `kind` is a dataclass of settings
        before = len(self.problems)
        pairs = self._pairs(node, path)
        if len(self.problems) > before and not pairs:
            return MISSING
        types_by_name = typing.get_type_hints(kind, include_extras=True)
        fields = {f.metadata.get("key", f.name): f for f in dataclasses.fields(kind)}
        hints = {key: types_by_name[field.name] for key, field in fields.items()}
        incomplete = self._note_unknown(pairs, hints, path, getattr(kind, "instead", {}))
        read = {
            fields[key].name: self.read(child, hints[key], _join(path, key))
            for key, (_, child) in pairs.items()
            if key in fields and key not in incomplete
        }
        values = {name: value for name, value in read.items() if value is not MISSING}
        for key, field in fields.items():
            if _is_required(field) and key not in pairs:
                self.note(node, _join(path, key), "it is missing. Fix: add it.")
        if all(field.name in values for field in fields.values() if _is_required(field)):
            section = kind(**values)
            self._check(section, node, path, {problem.path for problem in self.problems[before:]})
            if len(self.problems) == before:
                return section
        return MISSING

    def _note_unknown(
        self, pairs: nodehints.Pairs, hints: dict[str, Any], path: str, instead: Mapping[str, str]
    ) -> set[str]:
        """Note unknown keys; return the known sections below which such keys belong."""
        incomplete = set()
        for key, (key_node, _) in pairs.items():
            if key in hints:
                continue
            parent = nodehints.holder_of(key, hints) or nodehints.empty_before(pairs, key, hints)
            hint = instead.get(key) or suggest(key, hints)
            is_meant = parent not in pairs and (key in instead or hint.startswith("did you mean"))
            if parent is not None and not is_meant:
                incomplete.add(parent)
                self.note(key_node, _join(path, key), nodehints.below(parent, is_there=parent in pairs))
            else:
                unseen = invisible(key)
                self.note(key_node, _join(path, key), called(unseen) if unseen else f"unknown key. Fix: {hint}")
        return incomplete

    def _check(self, section: Section | object, node: yaml.Node, path: str, known: set[str]) -> None:
        """Note the problems of a section as a whole, except for settings that have a problem already."""
        for key, text in section.problems() if isinstance(section, HasProblems) else ():
            where = self._file_path(_join(path, key) if key else path)
            if not any(other == where or other.startswith((where + ".", where + "[")) for other in known):
                self.note(self._nodes.get(where, node), where, text)
        missing = section.missing() if isinstance(section, HasMissing) else []
        doubts = section.doubts() if isinstance(section, HasDoubts) else []
        for noted, sentences in ((self.missing, missing), (self.doubts, doubts)):
            for key, text in sentences:
                where = self._file_path(_join(path, key))
                noted.append(problem_at(self._nodes.get(where, node), where, text))

    def _file_path(self, path: str) -> str:
        """Return the path in the file: the values of a list do not include the entries that have problems."""
        parts = _INDEX.split(path)
        file_path = parts[0]
        for index, suffix in zip(parts[1::2], parts[2::2], strict=True):
            indexes = self._valid_indexes.get(file_path)
            file_path += f"[{indexes[int(index)] if indexes else index}]{suffix}"
        return file_path

    def _pairs(self, node: yaml.Node, path: str) -> nodehints.Pairs:
        if isinstance(node, yaml.ScalarNode) and node.value == "":
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.note(
                node, path, f"keys and values are expected here, not {nodehints.called(node)}. Fix: write 'key: value'."
            )
            return {}
        pairs: nodehints.Pairs = {}
        for key_node, child in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            if not key or UNFIT.search(key):
                self.note(key_node, path, "a key must be one value that is not empty. Fix: write a name.")
                continue
            if key in pairs:
                line = pairs[key][0].start_mark.line + 1
                self.note(key_node, _join(path, key), f"the key is at line {line} already. Fix: remove one.")
            pairs[key] = (key_node, child)
        return pairs


def _serialized(node: yaml.Node) -> str:
    text = str(yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True, width=1_000))
    return _PASSWORD_IN_ADDRESS.sub(rf"\1{Secret('')!r}@", text)


def _fits(node: yaml.Node, kind: Any) -> bool:  # noqa: ANN401 - a type of the settings
    """Return whether a node has the form of a type: a list, a section, or a single value."""
    if isinstance(node, yaml.SequenceNode):
        return get_origin(kind) is tuple
    is_section = dataclasses.is_dataclass(kind) or get_origin(kind) is dict
    return is_section == isinstance(node, yaml.MappingNode)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
