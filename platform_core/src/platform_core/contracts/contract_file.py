"""Reads one ``*.odcs.yaml`` file: official schema first, then what the mesh asks beyond it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from platform_core.contracts import naming, official
from platform_core.contracts.clause_effects import PLATFORM_PROPERTIES
from platform_core.contracts.clauses import physical_name, read_clauses
from platform_core.contracts.findings import Draft, Findings, check_name
from platform_core.contracts.inside import check_inside
from platform_core.contracts.lifecycle import read_lifecycle
from platform_core.contracts.masking_clauses import read_own_mask
from platform_core.contracts.model import Column, Contract, Role, Rule, SupportChannel, Table
from platform_core.contracts.problem import Problem, did_you_mean, source_problem
from platform_core.contracts.role_clauses import read_role
from platform_core.contracts.row_filter import RowFilter, read_row_filter
from platform_core.contracts.service_level_clauses import read_service_levels
from platform_core.contracts.source import Document, Location, Place, SourceError, Step, load_yaml
from platform_core.contracts.undelivered import documented_only

SUPPORTED = re.compile(r"v3\.(0\.\d+|1\.\d+|2\.\d+)")
VERSION = re.compile(r"\d+\.\d+\.\d+")
STATUSES = ("proposed", "draft", "active", "deprecated", "retired")
_TABLE_PROPERTIES = PLATFORM_PROPERTIES["odcs"]["schema[].customProperties"]


@dataclass(frozen=True)
class Read:
    """A contract file's outcome: the contract when it has no error, the findings, and the id with its place, if it can be read."""

    contract: Contract | None
    problems: tuple[Problem, ...]
    id: str | None
    location: Location


def read_contract(path: Path) -> Read:
    """Reads a contract file; every defect becomes a problem, none an exception."""
    try:
        document = load_yaml(path)
    except SourceError as error:
        return Read(None, (source_problem(error, path),), None, Location(path, 1))
    if not isinstance(document.data, dict):
        problem = Problem("odcs-schema", "the file is not a mapping", document.at(), "start with apiVersion and kind")
        return Read(None, (problem,), None, document.at())
    contract_id = document.data.get("id") if isinstance(document.data.get("id"), str) else None
    early = _version(document) or _kind(document)
    breaches = [early] if early else official.check(document, "odcs")
    untyped = [] if early else _untyped(document)
    if not official.only_later(breaches):
        return Read(None, tuple(untyped or breaches), contract_id, document.at("id"))
    contract = _contract(document, untyped)
    broken = any(problem.severity == "error" for problem in untyped)
    return Read(None if broken else contract, (*breaches, *untyped), contract_id, document.at("id"))


def _untyped(document: Document) -> list[Problem]:
    """Columns without a logical type: v3.2 refuses them, with words about maps and vectors, former releases did not ask for one."""
    found: list[Problem] = []
    tables = document.data.get("schema")
    for index, table in enumerate(tables if isinstance(tables, list) else []):
        columns = table.get("properties") if isinstance(table, dict) else None
        for number, column in enumerate(columns if isinstance(columns, list) else []):
            if isinstance(column, dict) and "name" in column and "logicalType" not in column:
                at = document.at("schema", index, "properties", number)
                remedy = "add logicalType: string, integer, number, boolean, date, timestamp, time, object or array"
                found.append(Problem("logical-type", f"the column {column['name']!r} has no logicalType", at, remedy))
    return found


def _version(document: Document) -> Problem | None:
    version = document.data.get("apiVersion")
    if isinstance(version, str) and SUPPORTED.fullmatch(version):
        return None
    at = document.at("apiVersion")
    if version is None:
        return Problem("odcs-version", "the contract lacks apiVersion", at, "add apiVersion: v3.1.0")
    return Problem(
        "odcs-version", f"the standard's version {version!r} is not supported", at, "use apiVersion: v3.1.0 (v3.0.x to v3.2.0 are read)"
    )


def _kind(document: Document) -> Problem | None:
    if document.data.get("kind") == "DataContract":
        return None
    return Problem("odcs-kind", f"the kind is {document.data.get('kind')!r}", document.at("kind"), "write kind: DataContract")


def _contract(document: Document, problems: list[Problem]) -> Contract:
    data = document.data
    documented, unknown = documented_only(document, "odcs")
    problems += unknown
    parts = str(data["id"]).split(".")
    if len(parts) != 3 or not all(naming.NAME.fullmatch(part) for part in parts):
        message = f"the contract id {data['id']!r} is not <domain>.<product>.<port> in lower case"
        problems.append(Problem("contract-id", message, document.at("id"), "write for example sales.orders.orders"))
        parts = [*str(data.get("dataProduct")).partition(".")[::2], parts[-1]]  # what the file may have meant, to check the rest
    domain, product_id = parts[0], f"{parts[0]}.{parts[1]}"
    for key, expected in (("domain", domain), ("dataProduct", product_id)):
        if data.get(key) != expected and not problems:
            message = f"{key} is {data.get(key)!r}, the id says {expected!r}"
            problems.append(Problem("contract-id", message, document.at(key), f"write {key}: {expected}"))
    check_version(document, ("version",), problems)
    check_status(document, problems)
    tables = _tables(document, problems)
    found = Findings()
    sla = read_service_levels(document, tables, found)
    problems += found.problems
    roles = tuple(read_role(Place(document, ("roles", index)), item, problems) for index, item in enumerate(data.get("roles") or []))
    _roles(document, product_id, tables, roles, problems)
    team_name, owners = read_team(data.get("team"))
    if not team_name and not isinstance(data.get("team"), list):  # v3.0 has a list of members, and no name for the team
        problems.append(Problem("team", "the contract names no team", document.at("team"), "add team: {name: ...}"))
    description: Mapping[str, Any] = data.get("description") or {}
    return Contract(
        id=data["id"],
        name=data.get("name") or parts[2],
        version=str(data["version"]),
        status=str(data.get("status")),
        domain=domain,
        product_id=product_id,
        description_purpose=description.get("purpose"),
        description_usage=description.get("usage"),
        description_limitations=description.get("limitations"),
        tables=tables,
        roles=roles,
        sla=sla,
        team_name=team_name,
        owners=owners,
        tags=tuple(data.get("tags") or ()),
        support=read_support(data.get("support")),
        path=document.path,
        raw=data,
        documented_only=tuple(documented),
        lifecycle=read_lifecycle(Place(document, ("customProperties",)), data.get("customProperties"), problems),
    )


def check_version(document: Document, path: tuple[Step, ...], problems: list[Problem]) -> None:
    """A version is ``major.minor.patch``, written as text."""
    value: Any = document.data
    for step in path:
        value = value.get(step) if isinstance(value, dict) else value[step]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(value, str) or not VERSION.fullmatch(value):
        problems.append(
            Problem("version", f"{path[-1]} is {value!r}, not major.minor.patch", document.at(*path), "write for example 1.0.0")
        )


def check_status(document: Document, problems: list[Problem]) -> None:
    """A status is one that both standards name."""
    status = document.data.get("status")
    if status not in STATUSES:
        problems.append(Problem("status", f"the status is {status!r}", document.at("status"), f"use one of {', '.join(STATUSES)}"))


def read_team(team: Any) -> tuple[str | None, tuple[str, ...]]:
    """Name and owners of a team, in the form of v3.1 (a mapping) or of v3.0 (a list of members)."""
    members = team if isinstance(team, list) else (team or {}).get("members") or []
    owners = tuple(member["username"] for member in members if str(member.get("role", "")).lower() == "owner" and not member.get("dateOut"))
    return (None if isinstance(team, list) else (team or {}).get("name")), owners


def read_support(items: Any) -> tuple[SupportChannel, ...]:
    """The support channels of either standard."""
    return tuple(SupportChannel(item["channel"], item.get("url"), item.get("tool"), item.get("scope")) for item in items or [])


def _tables(document: Document, problems: list[Problem]) -> tuple[Table, ...]:
    objects = document.data.get("schema") or []
    if not objects:
        problems.append(Problem("schema", "the contract has no schema", document.at("schema"), "describe at least one table under schema"))
    seen: set[str] = set()
    for index, item in enumerate(objects):
        name = physical_name(item)
        if name in seen:
            problems.append(
                Problem("duplicate-table", f"the table {name!r} stands twice", document.at("schema", index), "keep one of them")
            )
        seen.add(name)
    return tuple(_table(document, index, item, problems) for index, item in enumerate(objects))


def _table(document: Document, index: int, item: Mapping[str, Any], problems: list[Problem]) -> Table:
    path: tuple[Step, ...] = ("schema", index)
    physical = physical_name(item)
    if not naming.NAME.fullmatch(physical):
        message = f"the table name {physical!r} is not in lower case letters, digits and underscores"
        problems.append(
            Problem("identifier", message, document.at(*path, "physicalName"), "write for example daily_revenue as physicalName")
        )
    _identifier(physical, document.at(*path, "physicalName"), problems)
    properties = item.get("properties") or []
    if not properties:
        problems.append(
            Problem("columns", f"the table {physical!r} has no properties", document.at(*path), "list its columns under properties")
        )
    found = read_clauses(Place(document, path), item)
    problems += found.problems
    columns = tuple(_column(document, (*path, "properties", at), column, problems) for at, column in enumerate(properties))
    seen: set[str] = set()
    for column in columns:
        if column.physical_name in seen:
            problems.append(
                Problem("duplicate-column", f"the column {column.physical_name!r} stands twice", column.location, "keep one of them")
            )
        seen.add(column.physical_name)
    custom = _table_properties(document, path, item, problems)
    return Table(
        name=item["name"],
        physical_name=physical,
        description=item.get("description"),
        business_name=item.get("businessName"),
        granularity=item.get("dataGranularityDescription"),
        columns=columns,
        rules=_unique_names(physical, found.drafts),
        tags=tuple(item.get("tags") or ()),
        model=str(custom.get("model", physical)),
        incremental=custom.get("incremental") is True,
        location=document.at(*path),
        row_filter=_row_filter(document, path, item, columns, problems),
        stable_id=item.get("id"),
    )


def _table_properties(document: Document, path: tuple[Step, ...], item: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    custom: dict[str, Any] = {}
    for index, entry in enumerate(item.get("customProperties") or []):
        if entry["property"] not in _TABLE_PROPERTIES:
            at = document.at(*path, "customProperties", index, "property")
            hint = did_you_mean(str(entry["property"]), _TABLE_PROPERTIES)
            message = f"the custom property {entry['property']!r} of a table is unknown{hint}"
            problems.append(Problem("custom-property", message, at, f"use {', '.join(_TABLE_PROPERTIES[:-1])} or {_TABLE_PROPERTIES[-1]}"))
        custom[entry["property"]] = entry["value"]
    return custom


def _row_filter(
    document: Document, path: tuple[Step, ...], item: Mapping[str, Any], columns: tuple[Column, ...], problems: list[Problem]
) -> RowFilter | None:
    names = {name: (column.physical_name, column.physical_type) for column in columns for name in (column.name, column.physical_name)}
    for index, entry in enumerate(item.get("customProperties") or []):
        if entry["property"] == "rowFilter":
            return read_row_filter(entry.get("value"), document.at(*path, "customProperties", index), names, problems)
    return None


def _unique_names(table: str, drafts: list[Draft]) -> tuple[Rule, ...]:
    totals = Counter(draft.name for draft in drafts)
    counts: Counter[str] = Counter()
    rules: list[Rule] = []
    for draft in drafts:
        counts[draft.name] += 1
        number = f"_{counts[draft.name]}" if totals[draft.name] > 1 else ""
        rules.append(
            Rule(
                name=f"{check_name(table)}__{check_name(draft.name)}{number}",
                kind=draft.kind,
                table=table,
                column=draft.column,
                arguments=draft.arguments,
                severity=draft.severity,
                dimension=draft.dimension,
                description=draft.description,
                location=draft.location,
            )
        )
    names = Counter(rule.name for rule in rules)
    return tuple(replace(rule, name=f"{rule.name}_{at}") if names[rule.name] > 1 else rule for at, rule in enumerate(rules))


def _column(
    document: Document,
    path: tuple[Step, ...],
    item: Mapping[str, Any],
    problems: list[Problem],
) -> Column:
    physical = physical_name(item)
    _identifier(physical, document.at(*path), problems)
    check_inside(Place(document, path), item, problems)
    return Column(
        name=item["name"],
        physical_name=physical,
        logical_type=item.get("logicalType"),
        physical_type=item.get("physicalType"),
        description=item.get("description"),
        required=bool(item.get("required")),
        unique=bool(item.get("unique")),
        primary_key=bool(item.get("primaryKey")),
        primary_key_position=int(item.get("primaryKeyPosition", -1)),
        classification=item.get("classification"),
        tags=tuple(item.get("tags") or ()),
        business_name=item.get("businessName"),
        examples=tuple(item.get("examples") or ()),
        location=document.at(*path),
        own_mask=read_own_mask(Place(document, path), item, problems),
        stable_id=item.get("id"),
    )


def _identifier(name: str, at: Location, problems: list[Problem]) -> None:
    if len(name.encode()) > naming.IDENTIFIER_BYTES:
        message = f"{name!r} is {len(name.encode())} bytes long, Postgres keeps {naming.IDENTIFIER_BYTES}"
        problems.append(Problem("identifier", message, at, "shorten the physical name"))
    elif not name or not name.isprintable():
        problems.append(Problem("identifier", f"{name!r} cannot be a name in Postgres", at, "choose another physical name"))


def _roles(document: Document, product_id: str, tables: tuple[Table, ...], roles: tuple[Role, ...], problems: list[Problem]) -> None:
    known = (naming.reader_role(product_id), naming.pii_reader_role(product_id))
    for index, role in enumerate(roles):
        if role.name not in known:
            message = f"the role {role.name!r} is none that the platform makes"
            problems.append(Problem("role", message, document.at("roles", index), f"use {known[0]} or {known[1]}"))
    personal = [column for table in tables for column in table.columns if column.personal]
    if personal and known[1] not in {role.name for role in roles}:
        message = f"the column {personal[0].physical_name!r} holds personal data, but no role may see it in clear"
        problems.append(Problem("personal-data", message, personal[0].location, f"add the role {known[1]} with its approvers"))
