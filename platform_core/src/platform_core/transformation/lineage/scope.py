"""What names mean inside of one SELECT: the relations of its FROM clause, and those of the queries around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from platform_core.contracts import did_you_mean
from platform_core.transformation.lineage.errors import NoSuchColumnError, TracingError
from platform_core.transformation.lineage.graph import ALL, Ref

# Names that need no column: keywords that the parser reads as names, and the hidden columns that every table has.
_NO_COLUMNS = frozenset(
    [
        *("user", "system_user", "session_user", "current_role", "current_user", "current_catalog", "current_schema"),
        *("tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"),
    ]
)


@dataclass(frozen=True)
class Source:
    """A relation as the FROM clause names it.

    Attributes:
        alias: The name columns are qualified with, None when it has none.
        relation: Id of the relation.
        columns: Its columns in order, as far as they are known; each with the column of the relation that it stands for.
        closed: Whether no other name means one of its columns.
        complete: Whether all its columns are listed, so that they can be told by their position.
    """

    alias: str | None
    relation: str
    columns: Mapping[str, str]
    closed: bool
    complete: bool

    def find(self, column: str) -> Ref | None:
        """The column of that name, if it has or may have one."""
        if column in self.columns:
            return Ref(self.relation, self.columns[column])
        return None if self.closed else Ref(self.relation, column)

    @property
    def all(self) -> tuple[Ref, ...]:
        """Every column."""
        listed = tuple(Ref(self.relation, column) for column in self.columns.values())
        return listed if self.complete else (Ref(self.relation, ALL),)


class Item(NamedTuple):
    """One column that ``*`` spreads: its name with what it stands for, or an open relation with columns that nobody lists."""

    name: str | None
    refs: tuple[Ref, ...]


def items_of(source: Source) -> list[Item]:
    """What ``*`` spreads of a relation."""
    listed = [Item(column, (Ref(source.relation, of),)) for column, of in source.columns.items()]
    return listed if source.complete else [*listed, Item(None, (Ref(source.relation, ALL),))]


@dataclass
class Scope:
    """The names that one SELECT can use; a query inside of it sees them too."""

    outer: Scope | None = None
    sources: list[Source] = field(default_factory=list[Source])
    items: list[Item] = field(default_factory=list[Item])
    ctes: dict[str, Source] = field(default_factory=dict[str, Source])

    def cte(self, name: str) -> Source | None:
        """The CTE of that name, of this query or of one around it."""
        return self.ctes.get(name) or (self.outer.cte(name) if self.outer else None)

    def column(self, table: str | None, name: str) -> tuple[Ref, ...]:
        """The columns that a name may mean: several when a join merges them, or when a relation's columns are not all known.

        Raises:
            NoSuchColumnError: The columns of all are known, and none has that name.
            TracingError: There is no relation of that name.
        """
        found = self._qualified(table, name) if table else self._bare(name)
        if found is None:
            if table is None and name in _NO_COLUMNS:
                return ()
            source = self._named(table) if table else None
            if table and source is None:  # an attribute of a column of a composite type, perhaps
                raise TracingError(f"no relation that is read has the column {f'{table}.{name}'!r}")
            asked = [source] if source else self.sources
            hint = did_you_mean(name, [column for item in asked for column in item.columns])
            raise NoSuchColumnError(f"{table}.{name}" if table else name, name, frozenset(item.relation for item in asked), hint)
        return found

    def star(self, table: str | None) -> Sequence[Item]:
        """The columns that ``*`` or ``table.*`` spreads, in order.

        Raises:
            TracingError: There is no relation of that name.
        """
        if table is None:
            return self.items
        found = self._named(table)
        if found is None:
            raise TracingError(f"no relation that is read is called {table!r}")
        return items_of(found)

    def _named(self, alias: str) -> Source | None:
        own = next((source for source in self.sources if source.alias == alias), None)
        return own or (self.outer._named(alias) if self.outer else None)

    def _qualified(self, table: str, name: str) -> tuple[Ref, ...] | None:
        source = self._named(table)
        if source is None:
            return None
        ref = source.find(name)
        if ref is None and name in _NO_COLUMNS:
            return ()
        return (ref,) if ref else None

    def _bare(self, name: str) -> tuple[Ref, ...] | None:
        known = [source for source in self.sources if name in source.columns]
        if known:
            return _refs(known, name)
        # No column that is known: one of an open relation, a whole row by its alias, or a column of the query around.
        possible = list(_refs([source for source in self.sources if not source.closed], name))
        whole = next((source for source in self.sources if source.alias == name), None)
        if whole:
            possible += whole.all
        outer = self.outer._bare(name) if self.outer and not whole else None
        possible += outer or ()
        return tuple(dict.fromkeys(possible)) if possible or whole or outer is not None else None


def _refs(sources: Iterable[Source], name: str) -> tuple[Ref, ...]:
    return tuple(ref for source in sources if (ref := source.find(name)))
