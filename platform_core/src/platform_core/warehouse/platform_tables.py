"""The platform's own schema: its tables and functions as the planes' SQL files make them, and the row security that keeps domains apart.

Members of the group read every row and write their domain's. A table whose comment begins with ``private`` is read by row too: a domain
sees its own. One whose comment begins with ``platform`` is nobody's but the platform's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg import Connection, sql

from platform_core.contracts import naming
from platform_core.warehouse.access import MEMBERS
from platform_core.warehouse.change import Change, Kind, printed
from platform_core.warehouse.declared import TABLE_PRIVILEGES, Item
from platform_core.warehouse.observed import Observed, Policy

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS mesh\.(\w+) \((.*?)\n\);", re.DOTALL)
_SUBJECT = re.compile(r"^\s+(contract_id|product_id) +text", re.MULTILINE)
_FUNCTION = re.compile(r"FUNCTION mesh\.(\w+)\(")
_COMMENT = re.compile(r"COMMENT ON TABLE mesh\.(\w+) IS '((?:private|platform)[^']*)'")
_OWN_ROW = "mesh.may_write(domain)"
_OWN_SUBJECT = "(split_part({}, '.'::text, 1) = domain)"
"""As Postgres prints it: what the row speaks of belongs to the domain that the row says it is of."""


@dataclass(frozen=True)
class PlatformFiles:
    """The SQL files of all planes.

    Attributes:
        texts: Path to content, the warehouse's own first.
        tables: Table to the file that makes it.
        functions: Function to the file that makes it.
        marks: Table to the comment that says who reads it.
        subjects: Table to the columns that name a contract or product, which begins with its domain.
    """

    texts: Mapping[Path, str]
    tables: Mapping[str, Path]
    functions: Mapping[str, Path]
    marks: Mapping[str, str]
    subjects: Mapping[str, tuple[str, ...]]

    @property
    def shared(self) -> frozenset[str]:
        """The tables that domains read and write."""
        return frozenset(table for table in self.tables if not self.marks.get(table, "").startswith("platform"))

    @property
    def digest(self) -> str:
        """Hash of all files."""
        return hashlib.sha256("\0".join(self.texts.values()).encode()).hexdigest()[:16]

    def statement(self, *paths: Path) -> sql.SQL:
        """The files' SQL, of all by default."""
        return printed("\n".join(self.texts[path] for path in (paths or self.texts)))


def schema_files() -> list[Path]:
    """The ``schema.sql`` of every plane, the warehouse's own first; then their other files of functions, which speak of the tables."""
    package = Path(__file__).parents[1]
    own = Path(__file__).with_name("schema.sql")
    found = [path for path in package.glob("*/*.sql") if path != own]
    return [own, *sorted(found, key=lambda path: (path.name != own.name, path))]


@cache
def platform_files() -> PlatformFiles:
    """Reads the files; once a process, they are part of the program."""
    texts = {path: path.read_text() for path in schema_files()}
    made = [(path, name, body) for path, text in texts.items() for name, body in _TABLE.findall(text)]
    functions = {name: path for path, text in texts.items() for name in _FUNCTION.findall(text)}
    marks = {name: comment for text in texts.values() for name, comment in _COMMENT.findall(text)}
    subjects = {name: tuple(_SUBJECT.findall(body)) for _, name, body in made}
    return PlatformFiles(texts, {name: path for path, name, _ in made}, functions, marks, subjects)


def parts(connection: Connection) -> frozenset[Item]:
    """What makes up the platform's schema now, each with a hash of its definition: functions, triggers, constraints and columns."""
    rows = connection.execute(_PARTS, {"schema": naming.PLATFORM_SCHEMA}).fetchall()
    return frozenset(("part", str(kind), str(name), str(definition)) for kind, name, definition in rows)


def record_parts(connection: Connection, files: PlatformFiles, recorded: Mapping[Item, tuple[str, str]]) -> None:
    """Records the parts after another version of the files was applied; otherwise the record stays, so that drift stays in sight."""
    import json

    stamp = _stamp(connection, files)
    if stamp in recorded:
        return
    connection.execute("DELETE FROM mesh.declared WHERE domain = '' AND (item LIKE '[\"part\"%%' OR item LIKE '[\"files\"%%')")
    items = [json.dumps(item) for item in sorted({stamp, *parts(connection)})]
    connection.execute("INSERT INTO mesh.declared SELECT '', '', unnest(%s::text[])", (items,))


def platform_changes(connection: Connection, files: PlatformFiles, found: Observed, recorded: Mapping[Item, object]) -> Iterator[Change]:
    """Steps that make the platform's schema what the files say, its tables' row security included."""
    if naming.PLATFORM_SCHEMA not in found.schemas:
        yield Change("create", f"schema {naming.PLATFORM_SCHEMA} with the platform's own tables", files.statement(), kind="create")
    elif _stamp(connection, files) not in recorded:
        yield Change("alter", "the platform's own tables to this version's", files.statement(), detail="other SQL files made them")
    else:
        yield from _parts_changes(connection, files, recorded)
    yield from _row_security(files, found, by_hand=_stamp(connection, files) in recorded)


def foreign_tables(files: PlatformFiles, found: Observed, *, upgraded: bool) -> Iterator[Change]:
    """Tables that stand among the platform's, and no file makes: they go with ``--prune``, after what was granted on them."""
    names = {name for (schema, name), state in found.relations.items() if schema == naming.PLATFORM_SCHEMA and state.kind in "rp"}
    kind: Kind = "remove" if upgraded else "drift"
    detail = "this version does not have it" if upgraded else "was made by hand"
    for name in sorted(names - files.tables.keys()):
        statement = sql.SQL("DROP TABLE {}").format(sql.Identifier(naming.PLATFORM_SCHEMA, name))
        yield Change("drop", f"table {naming.PLATFORM_SCHEMA}.{name}", statement, kind=kind, prune=True, detail=detail)


def upgraded(connection: Connection, files: PlatformFiles, recorded: Mapping[Item, object]) -> bool:
    """Whether another version of the platform applied last."""
    return any(item[0] == "files" for item in recorded) and _stamp(connection, files) not in recorded


def _stamp(connection: Connection, files: PlatformFiles) -> Item:
    # Another server may print the same definition otherwise.
    return ("files", f"{files.digest} on {connection.info.server_version}")


def _parts_changes(connection: Connection, files: PlatformFiles, recorded: Mapping[Item, object]) -> Iterator[Change]:
    now = {item[1:3]: item[3] for item in parts(connection)}
    then = {item[1:3]: item[3] for item in recorded if item[0] == "part"}
    for kind, name in sorted(then.keys() | now.keys()):
        if now.get((kind, name)) == then.get((kind, name)):
            continue
        if kind != "function" and name.partition(".")[0] not in files.tables:
            continue  # part of a table that no file makes: that table is the finding
        made = (kind, name) in then
        detail = "was made by hand" if not made else "is gone" if (kind, name) not in now else "was altered by hand"
        table, _, part = name.partition(".")
        if not made:
            drop = _dropped(kind, table, part, name)
            yield Change("drop", f"{kind} mesh.{name}", drop, kind="drift", prune=kind != "trigger", detail=detail)
            continue
        if kind == "column":
            yield _column(table, part, then[kind, name], gone=(kind, name) not in now)
            continue
        again = files.statement()
        if kind == "constraint":  # the files make it with its table only
            again = sql.SQL("{} ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                _dropped(kind, table, part, name),
                sql.Identifier(naming.PLATFORM_SCHEMA, table),
                sql.Identifier(part),
                printed(then[kind, name]),
            )
        yield Change("replace", f"{kind} mesh.{name}", again, kind="drift", detail=detail)


def _column(table: str, column: str, definition: str, *, gone: bool) -> Change:
    shown = f"column mesh.{table}.{column}"
    if gone:
        return Change("report", shown, None, kind="drift", detail="is gone with what it held: restore the table from a backup")
    kind, required, _ = definition.partition(" NOT NULL")
    statement = sql.SQL("ALTER TABLE {table} ALTER {column} TYPE {kind} USING {column}::{kind}, ALTER {column} {required} NOT NULL").format(
        table=sql.Identifier(naming.PLATFORM_SCHEMA, table),
        column=sql.Identifier(column),
        kind=printed(kind),
        required=sql.SQL("SET" if required else "DROP"),
    )
    return Change("replace", shown, statement, kind="drift", detail=f"was altered by hand; is to be {definition}")


def _dropped(kind: str, table: str, part: str, name: str) -> sql.Composed:
    target = sql.Identifier(naming.PLATFORM_SCHEMA, table)
    match kind:
        case "trigger":
            return sql.SQL("DROP TRIGGER IF EXISTS {} ON {};").format(sql.Identifier(part), target)
        case "constraint":
            return sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {};").format(target, sql.Identifier(part))
        case "column":
            return sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {};").format(target, sql.Identifier(part))
        case _:
            return sql.SQL("DROP ROUTINE IF EXISTS mesh.{};").format(printed(name))


def _row_security(files: PlatformFiles, found: Observed, *, by_hand: bool) -> Iterator[Change]:
    kind: Kind = "drift" if by_hand else "change"
    altered = "was altered by hand" if by_hand else "is another one in this version"
    existing = {name: state for (schema, name), state in found.relations.items() if schema == naming.PLATFORM_SCHEMA and state.kind in "rp"}
    for table in sorted(files.tables):
        target, state = sql.Identifier(naming.PLATFORM_SCHEMA, table), existing.get(table)
        wanted = _policies(table, files.marks.get(table, ""), files.subjects.get(table, ()))
        secure = sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(target)
        if state is None:
            # Privileges of a table that stands are compared one by one.
            given = [sql.SQL("GRANT {} ON {} TO {}").format(printed(", ".join(TABLE_PRIVILEGES)), target, sql.Identifier(MEMBERS))]
            statement = sql.SQL("; ").join([secure, *map(_create, wanted.values()), *(given if wanted else [])])
            yield Change("create", f"row security of mesh.{table}", statement, kind="create")
            continue
        if not state.secured:
            yield Change("alter", f"row security of mesh.{table}", secure, kind=kind, detail="is switched off")
        held = {policy.name: policy for policy in found.policies if policy.table == table}
        for name in sorted(held.keys() - wanted.keys()):
            statement = sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(name), target)
            yield Change("drop", f"policy {name} of mesh.{table}", statement, kind=kind)
        for name, policy in wanted.items():
            if held.get(name) != policy:
                was = "is gone" if name not in held else altered
                yield Change("replace", f"policy {name} of mesh.{table}", _create(policy), kind=kind, detail=was)


def _policies(table: str, mark: str, subjects: tuple[str, ...]) -> dict[str, Policy]:
    if mark.startswith("platform"):
        return {}
    check = f"({' AND '.join([_OWN_ROW, *map(_OWN_SUBJECT.format, subjects)])})" if subjects else _OWN_ROW
    readable = _OWN_ROW if mark.startswith("private") else "true"
    return {
        "read": Policy(table, "read", "select", True, True, readable, ""),
        "insert": Policy(table, "insert", "insert", True, True, "", check),
        "update": Policy(table, "update", "update", True, True, _OWN_ROW, check),
        "delete": Policy(table, "delete", "delete", True, True, _OWN_ROW, ""),
    }


def _create(policy: Policy) -> sql.Composed:
    name, target = sql.Identifier(policy.name), sql.Identifier(naming.PLATFORM_SCHEMA, policy.table)
    using = f" USING ({policy.using})" if policy.using else ""
    check = f" WITH CHECK ({policy.check})" if policy.check else ""
    rule = printed(f"FOR {policy.command}{using}{check}")
    return sql.SQL("DROP POLICY IF EXISTS {name} ON {target}; CREATE POLICY {name} ON {target} {rule}").format(
        name=name, target=target, rule=rule
    )


_PARTS = """
    SELECT 'function', pg_catalog.substr(p.oid::pg_catalog.regprocedure::text, 6), pg_catalog.md5(pg_catalog.pg_get_functiondef(p.oid) || p.proowner::pg_catalog.regrole::text)
    FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = pg_catalog.to_regnamespace(%(schema)s) AND p.prokind <> 'a'
    UNION ALL
    SELECT 'trigger', c.relname || '.' || t.tgname, pg_catalog.md5(pg_catalog.pg_get_triggerdef(t.oid) || t.tgenabled::text)
    FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = pg_catalog.to_regnamespace(%(schema)s)
    UNION ALL
    SELECT 'constraint', c.relname || '.' || k.conname, pg_catalog.pg_get_constraintdef(k.oid)
    FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
    WHERE k.connamespace = pg_catalog.to_regnamespace(%(schema)s) AND k.contype IN ('c', 'f', 'u', 'p')
    UNION ALL
    SELECT 'column', c.relname || '.' || a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND c.relnamespace = pg_catalog.to_regnamespace(%(schema)s)"""
