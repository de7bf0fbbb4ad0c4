"""Whether every published view is what the files declare, and the statements that make it so. A changed policy needs no publication.

The shape of a port changes with publications only: a column that the contract names anew waits for one, a column that it names no
longer stays until one, with the mask that it had.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import Connection, sql

from platform_core.contracts import naming
from platform_core.contracts.masking import NULL, Mask
from platform_core.contracts.masking_policy import FILE
from platform_core.contracts.model import Contract, Mesh, Table
from platform_core.publishing.errors import PublishingError
from platform_core.publishing.view_definition import ViewColumn, ViewDefinition, column_of
from platform_core.warehouse.access import desired
from platform_core.warehouse.change import Action, Change, Kind
from platform_core.warehouse.made import made

_SERVED = """SELECT p.contract_id, p.publication, p.tables, v.table_name, v.declared, v.made, v.columns
    FROM mesh.ports AS s JOIN mesh.publications AS p USING (contract_id, publication) LEFT JOIN mesh.port_views AS v USING (contract_id)
    WHERE p.contract_id = ANY(%s)"""
_RELATIONS = """SELECT n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner), coalesce(c.reloptions, '{}'), md5(r.ev_action::text)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_rewrite AS r ON r.ev_class = c.oid AND r.rulename = '_RETURN'
    WHERE n.nspname = ANY(%s) AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""
_COLUMNS = """SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(%s) AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.oid, a.attnum"""
_COMMENTS = """SELECT n.nspname, c.relname, a.attname, d.description
    FROM pg_description AS d JOIN pg_class AS c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
    JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND a.attnum > 0
    WHERE n.nspname = ANY(%s) AND c.relkind = 'v'"""


@dataclass(frozen=True)
class _Relation:
    kind: str
    owner: str
    options: tuple[str, ...]
    made: str | None


@dataclass(frozen=True)
class _Record:
    declared: Mapping[str, Any] | None  # None: by a version of the platform that recorded a hash
    made: str
    columns: Mapping[str, tuple[Mask | None, str]]


@dataclass
class _Found:
    """What Postgres holds of the port views of a mesh."""

    publications: dict[str, tuple[str, dict[str, Any]]]
    records: dict[tuple[str, str], _Record]
    relations: dict[tuple[str, str], _Relation]
    columns: dict[tuple[str, str], dict[str, str]]
    comments: dict[tuple[str, str], dict[str | None, str]]


def view_changes(connection: Connection, mesh: Mesh) -> tuple[Change, ...]:
    """The steps that make views and attributes of readers what the files declare; the same few queries for any mesh.

    Args:
        connection: As the platform's role; nothing is changed.
        mesh: The files.

    Raises:
        PublishingError: The attribute policy has errors: nothing is derived from it.
    """
    if mesh.masking is not None and mesh.masking.model is None:
        raise PublishingError(f"{FILE} has errors", where=str(mesh.masking.path), remedy="run ./mesh lint, and correct the file")
    if not made(connection, "ports", "port_views"):  # before the first apply: nothing is published
        return tuple(_attribute_changes(mesh, set()))
    found = _observe(connection, mesh)
    rows = connection.execute("SELECT role, attribute, value FROM mesh.reader_attributes WHERE domain = ''").fetchall()
    attributes = {(str(role), str(attribute), str(value)) for role, attribute, value in rows}
    return (*_attribute_changes(mesh, attributes), *_view_changes(mesh, found))


def _observe(connection: Connection, mesh: Mesh) -> _Found:
    found = _Found({}, {}, {}, {}, defaultdict(dict))
    for contract_id, publication, tables, name, declared, rule, columns in connection.execute(_SERVED, (list(mesh.contracts),)):
        found.publications[contract_id] = (publication, tables)
        if name is not None:
            held = {str(column): (Mask(**mask) if mask else None, str(comment)) for column, mask, comment in columns}
            found.records[contract_id, name] = _Record(json.loads(declared) if declared.startswith("{") else None, rule, held)
    ports = [mesh.contracts[contract_id] for contract_id in found.publications]
    views = sorted({naming.port_schema(contract.product_id) for contract in ports})
    schemas = [*views, *sorted({naming.data_schema(contract.product_id) for contract in ports})]
    names = [table.physical_name for contract in ports for table in contract.tables]
    names += [str(info["version"]) for _, tables in found.publications.values() for info in tables.values()]
    for schema, name, kind, owner, options, rule in connection.execute(_RELATIONS, (schemas, names)):
        found.relations[schema, name] = _Relation(kind, owner, tuple(sorted(options)), rule)
    for schema, name, column, kind in connection.execute(_COLUMNS, (schemas, names)):
        found.columns.setdefault((schema, name), {})[column] = kind
    for schema, name, column, text in connection.execute(_COMMENTS, (views,)):
        found.comments[schema, name][column] = text
    return found


def _view_changes(mesh: Mesh, found: _Found) -> Iterator[Change]:
    readers: dict[tuple[str, str], list[str]] | None = None
    for contract_id, (publication, tables) in sorted(found.publications.items()):
        contract = mesh.contracts[contract_id]
        for table in contract.tables:
            if table.physical_name not in tables:
                continue  # joins the port with its next publication
            version = str(tables[table.physical_name]["version"])
            wanted = _wanted(contract, table, version, found)
            change = _change(contract, table, publication, version, wanted, found) if wanted else _lost(contract, table, version)
            if change is None:
                continue
            if wanted is not None and change.statement is not None:
                if readers is None:
                    readers = _readers(mesh)
                key = (wanted.schema, table.physical_name)
                change = replace(change, statement=_repair(wanted, publication, version, found, readers.get(key, [])))
            yield change


def _wanted(contract: Contract, table: Table, version: str, found: _Found) -> ViewDefinition | None:
    """The view with the columns that it was made with and the masks of today; None when the version is gone."""
    types = found.columns.get((naming.data_schema(contract.product_id), version))
    if types is None:
        return None
    record = found.records.get((contract.id, table.physical_name))
    current = found.columns.get((naming.port_schema(contract.product_id), table.physical_name), {})
    declared = {column.physical_name: column for column in table.columns}
    names: Iterable[str] = record.columns if record else current or declared
    columns: list[ViewColumn] = []
    for name in names:
        if name in types and name in declared:
            columns.append(column_of(declared[name], types[name]))
        elif name in types:  # the contract names it no longer: as it was until the next publication
            mask, comment = record.columns[name] if record else (NULL, "")
            columns.append(ViewColumn(name, types[name], mask, comment))
    return ViewDefinition(contract, table, tuple(columns))


def _change(contract: Contract, table: Table, publication: str, version: str, wanted: ViewDefinition, found: _Found) -> Change | None:
    """What is wrong with a view; the statement is put in where it is needed."""
    wrong = _wrong(contract, table, publication, version, wanted, found)
    if wrong is None:
        return None
    action, kind, detail = wrong
    statement = None if action == "report" else wanted.call("make_view", (), anew=False)
    shown = f"view {wanted.schema}.{table.physical_name}"
    return Change(action, shown, statement, contract.domain, contract.product_id, kind, detail=detail)


def _wrong(
    contract: Contract, table: Table, publication: str, version: str, wanted: ViewDefinition, found: _Found
) -> tuple[Action, Kind, str] | None:
    key = (wanted.schema, table.physical_name)
    relation, record = found.relations.get(key), found.records.get((contract.id, table.physical_name))
    if relation is None:
        return "create", "drift", "the view is gone"
    if relation.kind != "v":
        return "report", "drift", "another relation stands in its place: drop or rename it, then apply"
    if record is None or record.declared is None:
        return "replace", "change", "made by an older version of the platform"
    declared = {"publication": publication, "version": version, "filter": wanted.row_filter, "comment": wanted.comment}
    if record.declared != declared or record.columns != {column.name: (column.mask, column.comment) for column in wanted.columns}:
        return "replace", "change", _what_changed(wanted, record)
    named = list(found.columns.get(key, {}).items()) == [(column.name, column.kind) for column in wanted.columns]
    if relation.made != record.made or relation.options != wanted.options or not named:
        return "replace", "drift", "the view was changed by hand"
    if relation.owner != naming.KEEPER_ROLE:
        return "alter", "drift", f"it belongs to {relation.owner}"
    if found.comments.get(key, {}) != wanted.comments:
        return "alter", "drift", "its comments were changed by hand"
    return None


def _what_changed(wanted: ViewDefinition, record: _Record) -> str:
    masks = {name: mask for name, (mask, _) in record.columns.items()}
    changed = [
        f"{column.name}: {masks.get(column.name) or 'in clear'} becomes {column.mask or 'in clear'}"
        for column in wanted.columns
        if masks.get(column.name) != column.mask
    ]
    return "; ".join(changed) or "its rows or comments are declared otherwise"


def _lost(contract: Contract, table: Table, version: str) -> Change:
    relation = f"{naming.data_schema(contract.product_id)}.{version}"
    return Change(
        "report",
        f"view {naming.port_schema(contract.product_id)}.{table.physical_name}",
        None,
        contract.domain,
        contract.product_id,
        "drift",
        detail=f"its data {relation} is gone: publish the port anew, or ./mesh rollback {contract.id}",
    )


def _repair(wanted: ViewDefinition, publication: str, version: str, found: _Found, readers: Sequence[str]) -> sql.Composed:
    """The statements that make the view, in one, by the platform's role."""
    current = list(found.columns.get((wanted.schema, wanted.table.physical_name), {}).items())
    kept = [(column.name, column.kind) for column in wanted.columns]
    view, port = sql.Identifier(wanted.schema, wanted.table.physical_name), sql.Literal(wanted.contract.id)
    parts = [
        sql.SQL("SELECT mesh.hold_port({}, {}), mesh.keep_versions({}, ARRAY[{}])").format(
            port, sql.Literal(publication), port, sql.Literal(version)
        )
    ]
    fresh = not current or current != kept[: len(current)]
    if current and found.relations[wanted.schema, wanted.table.physical_name].owner != naming.KEEPER_ROLE:
        parts.append(sql.SQL("ALTER VIEW {} OWNER TO {}").format(view, sql.Identifier(naming.KEEPER_ROLE)))
    parts.append(wanted.call("make_view", readers if fresh else (), anew=bool(fresh and current)))
    return sql.SQL("; ").join(parts)


def _readers(mesh: Mesh) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for schema, relation, role in sorted(desired(mesh).reads):
        found.setdefault((schema, relation), []).append(role)
    return found


def _attribute_changes(mesh: Mesh, found: set[tuple[str, str, str]]) -> Iterator[Change]:
    wanted = set(mesh.masking.attributes) if mesh.masking else set[tuple[str, str, str]]()
    for role, attribute, value in sorted(wanted - found):
        statement = sql.SQL("INSERT INTO mesh.reader_attributes (domain, role, attribute, value) VALUES ('', {}, {}, {})").format(
            sql.Literal(role), sql.Literal(attribute), sql.Literal(value)
        )
        yield Change("grant", f"attribute {attribute}={value} to {role}", statement, kind="create")
    for role, attribute, value in sorted(found - wanted):
        statement = sql.SQL("DELETE FROM mesh.reader_attributes WHERE domain = '' AND role = {} AND attribute = {} AND value = {}").format(
            sql.Literal(role), sql.Literal(attribute), sql.Literal(value)
        )
        yield Change("revoke", f"attribute {attribute}={value} from {role}", statement, kind="remove")
