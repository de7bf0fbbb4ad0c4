"""The rule ``personal-data-lost``: a port's column is at least as sensitive as the personal data that it is derived from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from platform_core.contracts import Column, Contract, Mesh, Problem, Table, naming
from platform_core.contracts.declassified import read_declassified
from platform_core.contracts.sensitivity import MINIMUM_GROUP, classified, is_personal, level
from platform_core.transformation.lineage.graph import ALL, ROWS, Edge, Ref
from platform_core.transformation.lineage.mesh_lineage import Lineage
from platform_core.transformation.lineage.model_lineage import NOWHERE
from platform_core.transformation.lineage.python_assets import UNDECLARED

RULE = "personal-data-lost"
_BREAKER = "customProperties: [{property: declassified, value: {reason: ..., owner: ...}}]"


@dataclass(frozen=True)
class Origin:
    """Personal data that a column is derived from.

    Attributes:
        ref: The raw column, or the column of another product's port.
        level: How sensitive it is declared.
        declared: The declaration in words.
        path: From the origin to the column, each column with the edge that leads on from the one before; the first has none.
    """

    ref: Ref
    level: int
    declared: str
    path: tuple[tuple[Ref, Edge | None], ...]


def personal_problems(mesh: Mesh, lineage: Lineage) -> Iterator[Problem]:
    """What the lineage finds wrong: what cannot be traced, wrong declarations, and personal data whose protection is lost on the way."""
    yield from lineage.problems
    for contract in mesh.contracts.values():
        for table in contract.tables:
            groups = _declared_groups(lineage, contract, table)
            undeclared: list[Column] = []
            for column in table.columns:
                declassified, wrong = read_declassified(mesh, contract, table, column)
                yield from wrong
                origins = _higher(lineage, contract, table, column, groups)
                if declassified or wrong:
                    if declassified and not origins and contract.domain in lineage.domains:
                        yield _needless(table, column)
                elif all(_through(origin, NOWHERE) for origin in origins):
                    pass  # SQL that cannot run hands nothing on: its own error says so, and once it is corrected the path is known
                elif _python(origins):
                    undeclared.append(column)
                else:
                    yield _lost(lineage, table, column, origins)
            if undeclared:
                yield _undeclared(table, undeclared)


def _higher(lineage: Lineage, contract: Contract, table: Table, column: Column, groups: dict[str, int]) -> list[Origin]:
    """The personal data behind a column that is more sensitive than the column is declared."""
    start = Ref(f"{naming.port_schema(contract.product_id)}.{table.physical_name}", column.physical_name)
    own = level(column.classification, column.tags)
    return [origin for origin in origins_of(lineage, start, groups) if origin.level > own]


def _python(origins: list[Origin]) -> bool:
    return any(_through(origin, UNDECLARED) for origin in origins)


def _through(origin: Origin, expression: str) -> bool:
    return any(edge is not None and edge.expression == expression for _, edge in origin.path)


def _needless(table: Table, column: Column) -> Problem:
    """A breaker that breaks nothing hides what may come later."""
    message = f"{table.physical_name}.{column.physical_name} is declassified, but nothing that it is derived from is more sensitive"
    return Problem("declassified", message, column.location, "remove the custom property declassified", "warning")


def _undeclared(table: Table, columns: list[Column]) -> Problem:
    """One finding for a whole table of Python: it is one omission."""
    names = ", ".join(column.physical_name for column in columns)
    message = (
        f"no SQL builds {table.physical_name}, and nothing says what its columns are computed from, so each is taken to come from "
        f"everything that the domain may read, personal data included: {names}"
    )
    remedy = "name the origin of each column, for example transformSourceObjects: [model.column] ([] for none)"
    return Problem(RULE, message, columns[0].location, remedy)


def _lost(lineage: Lineage, table: Table, column: Column, origins: list[Origin]) -> Problem:
    """One column that is less sensitive than what it is derived from."""
    origin = max(origins, key=lambda item: (item.level, -len(item.path)))
    others = sorted({shown(lineage, item.ref) for item in origins} - {shown(lineage, origin.ref)})
    more = f"; also from {', '.join(others[:3])}{' and others' if len(others) > 3 else ''}" if others else ""
    message = (
        f"{table.physical_name}.{column.physical_name} is declared {classified(column.classification, column.tags)}, but is derived from "
        f"{shown(lineage, origin.ref)}, which is {origin.declared}: {path_text(lineage, origin.path)}{more}"
    )
    return Problem(RULE, message, column.location, f"{_hint(origin)}; or say why nobody can be told from it: {_BREAKER}")


def origins_of(lineage: Lineage, start: Ref, groups: dict[str, int] | None = None) -> list[Origin]:
    """The personal data behind a column, where nothing on the way takes the person out of it, nearest first."""
    found: list[Origin] = []
    seen = {start}
    queue: list[tuple[Ref, tuple[tuple[Ref, Edge | None], ...]]] = [(start, ())]
    while queue:
        ref, after = queue.pop(0)
        for edge in lineage.edges(ref):
            source = edge.source
            if source in seen or source.column == ROWS or protects(edge, (groups or {}).get(ref.relation, 0)):
                continue
            seen.add(source)
            path = ((ref, edge), *after)
            leaf = source.relation in lineage.ports or source.relation not in lineage.relations or not lineage.edges(source)
            if leaf:
                found += [Origin(item, rank, words, ((item, None), *path)) for item, rank, words in _personal(lineage, source)]
            else:
                queue.append((source, path))
    return found


def protects(edge: Edge, declared: int = 0) -> bool:
    """Whether a step takes the person out of a value: a keyed hash, or a sum over groups that are large enough."""
    return edge.kind == "hash" or (edge.kind == "aggregate" and max(edge.group, declared) >= MINIMUM_GROUP)


def _personal(lineage: Lineage, ref: Ref) -> Iterator[tuple[Ref, int, str]]:
    """The personal columns that a reference to a port or a raw stream means."""
    if ref.relation in lineage.ports:
        _, table = lineage.ports[ref.relation]
        marked = [(column.physical_name, column.classification, column.tags) for column in table.columns]
    else:
        marked = [(name, mark.classification, mark.tags) for name, mark in lineage.marks.get(ref.relation, {}).items()]
    exact = [item for item in marked if item[0] == ref.column]
    for name, classification, tags in marked:
        counts = ref.column in {name, ALL} or (name == ALL and not exact)
        if counts and is_personal(classification, tags):
            column = ref.column if name == ALL else name
            yield Ref(ref.relation, column), level(classification, tags), classified(classification, tags)


def _declared_groups(lineage: Lineage, contract: Contract, table: Table) -> dict[str, int]:
    """Relations whose groups the contract itself keeps large: a column that counts them has a blocking minimum."""
    groups: dict[str, int] = {}
    for rule in table.rules:
        least = rule.arguments.get("minimum") if rule.kind == "range" and rule.blocking and rule.column else None
        if not isinstance(least, int) or least < MINIMUM_GROUP:
            continue
        ref = Ref(f"{naming.port_schema(contract.product_id)}.{table.physical_name}", str(rule.column))
        for _ in range(100):  # as far as the count is handed on unchanged
            edges = lineage.edges(ref)
            if edges and all(
                edge.function == "count" and edge.expression and edge.expression.upper().startswith("COUNT(") for edge in edges
            ):
                groups[ref.relation] = max(least, groups.get(ref.relation, 0))
            if len(edges) != 1 or edges[0].kind != "plain":
                break
            ref = edges[0].source
    return groups


def _hint(origin: Origin) -> str:
    """What to do, with an eye on what the SQL tried."""
    declare = f"classify it at least as {origin.declared.replace(' and tagged pii', ' with tags: [pii]')}"
    edges = [edge for _, edge in origin.path if edge is not None]
    if any(edge.kind == "aggregate" for edge in edges):
        return f"let every group have {MINIMUM_GROUP} rows or more (HAVING count(*) >= {MINIMUM_GROUP}), or {declare}"
    text = " ".join(edge.expression or "" for edge in edges).lower()
    if any(word in text for word in ("md5(", "sha2", "sha224(", "sha256(", "sha384(", "sha512(", "digest(")):
        return f"hash it with a key (hmac), because a plain hash of a known address is found again by hashing the address, or {declare}"
    return declare


def shown(lineage: Lineage, ref: Ref) -> str:
    """A column as people call it."""
    return f"{lineage.label(ref.relation)}.{ref.column}"


def path_text(lineage: Lineage, path: tuple[tuple[Ref, Edge | None], ...]) -> str:
    """A path in one line, each step with what it does to the value; steps inside of a model that only hand it on are left out."""
    parts: list[str] = []
    for ref, edge in path:
        if edge is not None and is_step_in_passing(lineage, ref, edge):
            continue
        told = f" [{edge.expression}]" if edge is not None and edge.kind != "plain" and edge.expression else ""
        parts.append(f"{shown(lineage, ref)}{told}")
    return " -> ".join(parts)


def is_step_in_passing(lineage: Lineage, ref: Ref, edge: Edge) -> bool:
    """Whether a column belongs to a step of a statement that only hands it on. An ephemeral model is none: it has a file of its own."""
    step = lineage.relations.get(ref.relation)
    model = lineage.relations.get(ref.relation.partition("#")[0])
    return step is not None and step.kind == "step" and edge.kind == "plain" and model is not None and step.file == model.file
