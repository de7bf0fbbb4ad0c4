"""YAML with positions: every value of a file knows its line, so that every error can name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from platform_core.errors import MeshError
from platform_core.settings import SettingsError, find_repo

Step = str | int
_MAX_BYTES = 4_000_000
_MAX_VALUES = 200_000
_MAX_DEPTH = 100
_MAX_BITS = 10_000
_SAFE_DEPTH = 1_000
_TAG = "tag:yaml.org,2002:"
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_TEXT, _MERGE = f"{_TAG}str", f"{_TAG}merge"
_COLLECTIONS = (f"{_TAG}map", f"{_TAG}seq")


class SourceError(MeshError):
    """A file cannot be read as one YAML document."""


@cache
def _root(folder: Path) -> Path | None:
    try:
        return find_repo(folder)
    except SettingsError:
        return None


@dataclass(frozen=True)
class Location:
    """A line of a file; prints as ``file:line``."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def in_repo(self) -> str:
        """The same from the repository's root, so that it reads alike on every machine; absolute for a file outside of one."""
        root = _root(self.file.parent)
        return f"{self.file.relative_to(root)}:{self.line}" if root is not None else str(self)


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: plain data, and the line of each of its values."""

    path: Path
    data: Any
    lines: dict[tuple[Step, ...], int]

    def line(self, path: tuple[Step, ...] = ()) -> int:
        """The line of the value at ``path`` (keys and indexes from the root), or of its nearest known parent."""
        steps = tuple(path)
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps, 1)

    def at(self, *path: Step) -> Location:
        """The location of the value at ``path``."""
        return Location(self.path, self.line(path))


@dataclass(frozen=True)
class Place:
    """A value of a document, by its path; what stands below it is named from here."""

    document: Document
    path: tuple[Step, ...]

    def at(self, *steps: Step) -> Location:
        """The location of the value ``steps`` below this one."""
        return self.document.at(*self.path, *steps)

    def below(self, *steps: Step) -> Place:
        """The place of the value ``steps`` below this one."""
        return Place(self.document, (*self.path, *steps))


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser where the wheel carries it: ten times faster


class _Loader(_Base):
    """Safe loader in which timestamps stay text (a contract's dates are strings by its schema) and a key stands once."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(path: Path) -> Document:
    """Reads one YAML document.

    Raises:
        SourceError: The file is missing, too large, not UTF-8, not YAML, has a key twice, an alias cycle or several documents.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"cannot be read: {error.strerror}", where=str(path), remedy="create the file or correct the path that names it"
        ) from error
    return parse_bytes(raw, path)


def parse_bytes(raw: bytes, path: Path) -> Document:
    """Parses the content of a file that holds one YAML document; ``path`` only names it in errors. Raises as ``load_yaml``."""
    if len(raw) > _MAX_BYTES:
        raise SourceError(f"is {len(raw)} bytes long", where=str(path), remedy=f"keep it under {_MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SourceError("is not UTF-8 text", where=f"{path}:{line}", remedy="save the file as UTF-8") from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Document:
    """Parses the text of one YAML document; ``path`` only names it in errors. Raises as ``load_yaml``."""
    loader = _Loader(text)
    try:
        _check_depth(text, path)
        node = loader.get_single_node()
        if node is None:
            raise SourceError("is empty", where=f"{path}:1", remedy="write the document, or delete the file")
        builder = _Builder(loader, path)
        builder.lines[()] = node.start_mark.line + 1
        data = builder.build(node, (), ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line + 1, len(_BREAK.split(text))) if mark else 1  # libyaml counts one more at the end of a file
        raise SourceError(
            f"is not valid YAML: {error.problem or error.context}", where=f"{path}:{line}", remedy="correct the syntax at this line"
        ) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow carries no mark
        raise SourceError(f"is not valid YAML: {error}", where=f"{path}:1", remedy="remove the character") from error
    except (RecursionError, ValueError) as error:
        raise SourceError(f"is not usable YAML: {error}", where=f"{path}:1", remedy="simplify the document") from error
    finally:
        loader.dispose()
    return Document(path, data, builder.lines)


def _check_depth(text: str, path: Path) -> None:
    """Raises for a document nested so deeply that libyaml's recursive composer would exhaust the stack of the process."""
    # A block level needs at least a column (a list under a key shares one), a flow level a bracket: most files end here.
    if 2 * max(map(len, text.splitlines()), default=0) + text.count("[") + text.count("{") <= _SAFE_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            line = event.start_mark.line + 1
            raise SourceError(f"is nested more than {_MAX_DEPTH} levels deep", where=f"{path}:{line}", remedy="simplify the document")


class _Builder:
    """Plain data from a node tree, with the line of each value. Aliases and merge keys expand, so what they make is counted."""

    def __init__(self, loader: _Loader, file: Path) -> None:
        self.lines: dict[tuple[Step, ...], int] = {}
        self._loader = loader
        self._file = file
        self._values = 0

    def build(self, node: yaml.Node, path: tuple[Step, ...], above: tuple[int, ...]) -> Any:
        self._values += 1
        if self._values > _MAX_VALUES:
            where = f"{self._file}:{self.lines[path[:1]]}"  # the node itself is an alias' target, far from what went wrong
            raise SourceError(f"the document expands to more than {_MAX_VALUES:,} values", where=where, remedy="remove the nested aliases")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == _TEXT else self._scalar(node)
        if id(node) in above:
            raise self._error("an alias refers to its own parent", node, "write the value out")
        if node.tag not in _COLLECTIONS:
            raise self._error(f"the tag {_short(node.tag)} is not supported", node, "remove the tag")
        inside = (*above, id(node))
        return self._mapping(node, path, inside) if isinstance(node, yaml.MappingNode) else self._sequence(node, path, inside)

    def _sequence(self, node: yaml.Node, path: tuple[Step, ...], inside: tuple[int, ...]) -> list[Any]:
        result: list[Any] = []
        for index, item in enumerate(node.value):
            below = (*path, index)
            self.lines[below] = item.start_mark.line + 1
            result.append(self.build(item, below, inside))
        return result

    def _mapping(self, node: yaml.MappingNode, path: tuple[Step, ...], inside: tuple[int, ...]) -> dict[str, Any]:
        merged = self._merged(node, path, inside)  # first: what stands here itself has the last word, also about lines
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            key = (key_node.value if key_node.tag == _TEXT else self._scalar(key_node)) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                shown = repr(key) if key is not None else "here"
                raise self._error(f"the key {shown} is not text", key_node, "put it in quotes")
            if key in result:
                raise self._error(f"the key {key!r} stands twice", key_node, "keep one of the two")
            below = (*path, key)
            self.lines[below] = key_node.start_mark.line + 1
            result[key] = self.build(value_node, below, inside)
        return {**merged, **result} if merged else result

    def _merged(self, node: yaml.MappingNode, path: tuple[Step, ...], inside: tuple[int, ...]) -> dict[str, Any]:
        """What the merge keys of a mapping bring; of several the first has the last word."""
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                continue
            for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if not isinstance(source, yaml.MappingNode):
                    raise self._error("a merge key `<<` merges something else than a mapping", key_node, "name the alias of a mapping")
                merged = {**self.build(source, path, inside), **merged}
        return merged

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            value = self._loader.construct_object(node, deep=True)
        except (ValueError, LookupError, AttributeError, TypeError) as error:  # PyYAML's constructors trust a tag that was written out
            raise self._error(
                f"the value does not fit the tag {_short(node.tag)}", node, "remove the tag, or put the value in quotes"
            ) from error
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:  # Python refuses to print it, so every message about it would fail
            raise self._error("the number has thousands of digits", node, "write a smaller one, or put it in quotes")
        return value

    def _error(self, what: str, node: yaml.Node, remedy: str) -> SourceError:
        return SourceError(what, where=f"{self._file}:{node.start_mark.line + 1}", remedy=remedy)


def _short(tag: str) -> str:
    return tag.replace(_TAG, "!!")
