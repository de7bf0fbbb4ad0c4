"""Which columns of a port a consuming product reads.

Where the SQL of the consumer was compiled, column lineage answers: ``reads`` when the column's values arrive in one of its ports,
``filters by`` when they only decide which rows do, ``does not read`` when neither, ``may read`` when the code cannot be traced.

Where it was not (another commit, whose dbt project is not installed), it goes by words: a model can read a column only if it names the
port and the column, or takes everything with ``*``. So ``reads`` is a place to look at, ``may read`` says that a ``*``, a data frame or a
macro hides it, ``does not name it`` that no code which names the port names the column, and ``unknown`` that no code of the domain names
the port at all. ``Use.traced`` tells the two apart.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from platform_core.contracts import naming
from platform_core.contracts.compatibility.sql_text import without_comments
from platform_core.contracts.compatibility.state import State
from platform_core.contracts.reference import read_reference
from platform_core.contracts.source import SourceError

Reading = Literal["reads", "filters by", "may read", "does not read", "does not name it", "unknown"]

_STAR = re.compile(r"(?:select\s+(?:distinct\s+)?|\.\s*|,\s*)\*(?!\s*\d)|\bstar\s*\(", re.IGNORECASE)
_MACRO = re.compile(r"\{%-?\s*(?:for|call|set)\b|\{\{-?\s*(?!(?:source|ref|config|this|var|target|env_var)\b)\w")
_SOURCE = re.compile(r"\bsource\s*\(\s*['\"]([^'\"]+)['\"]\s*,\s*['\"]([^'\"]+)['\"]\s*\)")


@dataclass(frozen=True)
class Use:
    """What a product does with a column of a port.

    Attributes:
        reading: How sure it is.
        places: ``file:line`` of the code that names it, or that may hide it.
        paths: From the column to the consumer's ports, column by column, as far as it is traced.
        traced: Whether column lineage says so, not the words of the code.
    """

    reading: Reading
    places: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    traced: bool = False


class ColumnTraces(Protocol):
    """Column lineage of the state, from the plane that reads SQL."""

    def use(self, consumer: str, product: str, table: str, column: str) -> Use | None:
        """What a consuming product does with the column, ``places`` without lines; None when its SQL is not known."""
        ...

    def feeds(self, file: str) -> tuple[str, ...] | None:
        """The contracts whose ports are made of what stands in a model's file; None when its SQL is not known."""
        ...


@dataclass(frozen=True, eq=False)
class ColumnUses:
    """Answers for one state; what was read once is kept."""

    state: State
    traces: ColumnTraces | None = None

    def of(self, consumer: str, product: str, table: str, column: str) -> Use:
        """How a product uses a column of another product's port (physical names)."""
        domain = consumer.partition(".")[0]
        rules = tuple(_rules(self.state, domain, product, table, column))
        traced = self.traces.use(consumer, product, table, column) if self.traces else None
        if traced is None:
            return self._by_words(domain, product, table, column, rules)
        places = tuple(dict.fromkeys((*(self._line(path, column) for path in traced.places), *rules)))[:5]
        if traced.reading != "does not read":
            return replace(traced, places=places)
        if rules:
            return replace(traced, reading="reads", places=places)
        in_python = [(path, text) for path, text in self._namers(domain, product, table) if path.endswith(".py")]
        word = _word(column)
        named = [place for path, text in in_python for place in _places(path, text, word)]
        if named or in_python:  # code that loads the port by itself, past dbt
            return Use("may read", tuple((named or [f"{path}:1" for path, _ in in_python])[:5]))
        return traced

    def reached(self, consumer: str, product: str, table: str, column: str) -> Use | None:
        """How a column arrives in a product that reads it through others; None when that is not traced."""
        traced = self.traces.use(consumer, product, table, column) if self.traces else None
        return replace(traced, places=()) if traced else None

    def _line(self, path: str, column: str) -> str:
        """The first place in a file that names the column."""
        text = self.state.files.get(path, b"").decode(errors="replace")
        return next(_places(path, without_comments(text) if path.endswith(".sql") else text, _word(column)), f"{path}:1")

    def _by_words(self, domain: str, product: str, table: str, column: str, rules: tuple[str, ...]) -> Use:
        namers = self._namers(domain, product, table)
        word = _word(column)
        named = [*(place for path, text in namers for place in _places(path, text, word)), *rules]
        if named:
            return Use("reads", tuple(named[:5]))
        if not namers:
            return Use("unknown")
        hidden = [(path, text) for path, text in namers if path.endswith(".py") or _STAR.search(text) or _MACRO.search(text)]
        if not hidden:
            return Use("does not name it")
        others = [place for path, text in self._code(domain) for place in _places(path, text, word)]
        return Use("may read", tuple((others or [f"{path}:1" for path, _ in hidden])[:5]))

    @functools.cache  # noqa: B019  an answer lives as long as the command
    def _namers(self, domain: str, product: str, table: str) -> tuple[tuple[str, str], ...]:
        """The domain's code that names the port: by a dbt source, by its relation, or by its asset key."""
        schema = naming.port_schema(product)
        sources = self._sources(domain)
        relation = re.compile(rf"(?<![\w.])\"?{re.escape(schema)}\"?\s*\.\s*\"?{re.escape(table)}\"?(?!\w)", re.IGNORECASE)
        steps = [*product.split("."), table]
        key = re.compile(r"""['"]\s*,\s*['"]""".join(map(re.escape, steps)) + "|" + "/".join(map(re.escape, steps)))
        found: list[tuple[str, str]] = []
        for path, text in self._code(domain):
            named = {sources.get((match[1], match[2]), (match[1], match[2])) for match in _SOURCE.finditer(text)}
            if (schema, table) in named or relation.search(text) or (path.endswith(".py") and key.search(text)):
                found.append((path, text))
        return tuple(found)

    @functools.cache  # noqa: B019
    def _code(self, domain: str) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for path, content in sorted(self.state.files.items()):
            if path.startswith((f"dbt_projects/{domain}_dbt/", f"domains/{domain}/")) and path.endswith((".sql", ".py")):
                text = content.decode(errors="replace")
                found.append((path, without_comments(text) if path.endswith(".sql") else text))
        return tuple(found)

    @functools.cache  # noqa: B019
    def _sources(self, domain: str) -> dict[tuple[str, str], tuple[str, str]]:
        """dbt's names of sources to relations: ``schema`` and ``identifier`` may differ from the names."""
        found: dict[tuple[str, str], tuple[str, str]] = {}
        for path, content in self.state.files.items():
            if path.startswith(f"dbt_projects/{domain}_dbt/") and path.endswith((".yml", ".yaml")) and b"sources:" in content:
                try:
                    sources = self.state.document(path).data.get("sources")
                except SourceError:
                    continue  # dbt's own file: `mesh prepare` reports it; its models count by the names they write
                for source in sources if isinstance(sources, list) else ():
                    tables = source.get("tables") if isinstance(source, dict) else None
                    for table in tables if isinstance(tables, list) else ():
                        if isinstance(table, dict):
                            name = (str(source.get("name")), str(table.get("name")))
                            found[name] = (str(source.get("schema") or name[0]), str(table.get("identifier") or name[1]))
        return found


def _rules(state: State, domain: str, product: str, table: str, column: str) -> Iterator[str]:
    """Contracts of the domain whose relationships or queries name the column."""
    relation = re.compile(rf"(?<![\w.]){re.escape(naming.port_schema(product))}\s*\.\s*{re.escape(table)}(?!\w)", re.IGNORECASE)
    word = _word(column)
    paths = [path for path in state.product_files if path.startswith(f"domains/{domain}/") and ".odcs." in path]
    for path, document in state.readable(paths)[0].items():
        if str(document.data.get("dataProduct")) == product:
            continue
        for steps, value in _texts(document.data, ()):
            reads = steps[-1] == "query" and relation.search(value) and word.search(value)
            if reads or ("relationships" in steps and _refers(value, path, product, table, column)):
                yield f"{path}:{document.line(steps)}"


def _refers(text: str, path: str, product: str, table: str, column: str) -> bool:
    target = read_reference(text, Path(path))
    return product in {target.owner, target.owner.rpartition(".")[0]} and (target.table, target.column) == (table, column)


def _texts(value: Any, steps: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str) and steps:
        yield steps, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _texts(inner, (*steps, key))


def _word(column: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(column)}(?!\w)", re.IGNORECASE)


def _places(path: str, text: str, word: re.Pattern[str]) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if word.search(line):
            yield f"{path}:{number}"
