"""Clauses of the files that only people act on, as the catalog shows them: properties, links, and words beside a column.

They are read from the files as they stand. Names of properties are dotted by the clause they come from (``service_level.availability``),
so that they sort together in DataHub; a value is one line of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import orjson

from platform_core.catalog.proposal import UNSTAMPED
from platform_core.contracts import Column, Contract, DataProduct, Table
from platform_core.contracts.clause_effects import PLATFORM_PROPERTIES

_Mapping = Mapping[str, Any]
CRITICAL_TAG = "critical data element"


def contract_facts(contract: Contract, table: Table) -> dict[str, str]:
    """Properties of a port's table that its contract declares, beside those that the platform acts on."""
    raw, own = contract.raw, raw_table(contract, table)
    described = raw.get("description") or {}
    return _texts(
        contract_name=raw.get("name"),
        contract_created=raw.get("contractCreatedTs"),
        tenant=raw.get("tenant"),
        usage=described.get("usage"),
        business_name=own.get("businessName"),
        declared_as=_joined(own.get("physicalType"), own.get("logicalType")),
        deprecated=own.get("deprecated") or None,
        price=_price(raw.get("price")),
        **_service_levels(contract),
        **_roles(raw.get("roles")),
        **_team(raw.get("team")),
        **_custom(raw.get("customProperties"), "odcs"),
    )


def product_facts(product: DataProduct) -> dict[str, str]:
    """Properties of a data product that its file declares."""
    raw = product.raw
    return _texts(
        tenant=raw.get("tenant"),
        created=raw.get("productCreatedTs"),
        **{f"input.{port['name']}": _input(port) for port in raw.get("inputPorts") or ()},
        **{f"output.{port['name']}": _output(port) for port in raw.get("outputPorts") or ()},
        **_team(raw.get("team")),
        **_custom(raw.get("customProperties"), "odps"),
    )


def contract_links(contract: Contract, table: Table) -> list[dict[str, Any]]:
    """Definitions of the contract and the table, and where consumers ask."""
    raw = contract.raw
    definitions = [*_definitions(raw), *_definitions(raw.get("description") or {}), *_definitions(raw_table(contract, table))]
    return _memory([*definitions, *_channels(raw.get("support"))])


def product_links(product: DataProduct) -> list[dict[str, Any]]:
    """Where consumers ask, definitions of the product, its management ports and bills of material."""
    raw = product.raw
    links = [*_channels(raw.get("support")), *_definitions(raw), *_definitions(raw.get("description") or {})]
    for port in raw.get("managementPorts") or ():
        links.append((port.get("url"), _joined(f"{port['content'].capitalize()}: {port['name']}", port.get("description")) or ""))
    for port in raw.get("outputPorts") or ():
        links += [
            (item.get("url"), _joined(f"Bill of materials of {port['name']}", item.get("type")) or "") for item in port.get("sbom") or ()
        ]
    return _memory(links)


def column_words(contract: Contract, table: Table, column: Column) -> str | None:
    """What a contract says of a column for people beyond its description. Examples of personal data are left out."""
    raw = _raw_column(contract, table, column)
    sources, examples = raw.get("transformSourceObjects"), [] if column.personal else raw.get("examples")
    words = (
        "Deprecated." if raw.get("deprecated") else None,
        f"For example {', '.join(map(_text, examples))}." if examples else None,
        f"Computed from {', '.join(map(str, sources))}." if sources else None,
        raw.get("transformDescription"),
        f"By `{raw['transformLogic']}`." if raw.get("transformLogic") else None,
        *(f"[{said}]({url})" for url, said in _definitions(raw)),
    )
    return " ".join(filter(None, words)) or None


def critical(contract: Contract, table: Table, column: Column) -> bool:
    """Whether the contract calls a column a critical data element."""
    return bool(_raw_column(contract, table, column).get("criticalDataElement"))


def raw_table(contract: Contract, table: Table) -> _Mapping:
    """The table as the file has it."""
    return next((item for item in contract.raw.get("schema") or () if item["name"] == table.name), {})


def _raw_column(contract: Contract, table: Table, column: Column) -> _Mapping:
    return next((item for item in raw_table(contract, table).get("properties") or () if item["name"] == column.name), {})


def _service_levels(contract: Contract) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for level, raw in zip(contract.sla, contract.raw.get("slaProperties") or (), strict=False):
        objective = level.objective
        bounds = " to ".join(_text(value) for value in (level.value, raw.get("valueExt")) if value is not None)
        parts = (
            _joined(bounds, level.unit, between=" "),
            f"at {level.element}" if level.element else None,
            f"on {100 * objective['ratio']:g} % of the days of {objective['window']}" if objective else None,
            f"{raw['driver']} driver" if raw.get("driver") else None,
            _joined(raw.get("scheduler"), raw.get("schedule"), between=" "),
            level.description,
        )
        key = f"service_level.{level.property}"
        found[f"{key}.{level.element}" if key in found else key] = _joined(*parts)
    return found


def _roles(items: Sequence[_Mapping] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items or ():
        approvers = _joined(item.get("firstLevelApprovers"), item.get("secondLevelApprovers"), between=", then ")
        found[f"role.{item['role']}"] = _joined(item.get("description"), f"approved by {approvers}" if approvers else None)
    return found


def _team(team: Any) -> dict[str, Any]:
    members = team if isinstance(team, list) else (team or {}).get("members") or ()
    found: dict[str, Any] = {} if isinstance(team, list) else {"team_description": (team or {}).get("description")}
    for member in members:
        terms = [
            f"{word} {member[key]}"
            for word, key in (("from", "dateIn"), ("until", "dateOut"), ("then", "replacedByUsername"))
            if key in member
        ]
        found[f"member.{member['username']}"] = _joined(member.get("name"), member.get("role"), member.get("description"), *terms)
    return found


def _custom(items: Sequence[_Mapping] | None, standard: Any) -> dict[str, Any]:
    known = PLATFORM_PROPERTIES[standard].get("customProperties", ())
    return {
        f"custom.{item['property']}": _joined(_text(item.get("value")), item.get("description"))
        for item in items or ()
        if "property" in item and item["property"] not in known
    }


def _price(price: _Mapping | None) -> str | None:
    if not price:
        return None
    amount = _joined(price.get("priceAmount"), price.get("priceCurrency"), between=" ")
    return _joined(amount, price.get("priceUnit"), between=" per ")


def _input(port: _Mapping) -> str | None:
    custom = {item["property"]: item["value"] for item in port.get("customProperties") or ()}
    connection = f"connection {custom['connection']}" if "connection" in custom else None
    return _joined(
        _joined(port.get("contractId"), port.get("version"), between=" "), connection, "deprecated" if port.get("deprecated") else None
    )


def _output(port: _Mapping) -> str | None:
    contract = _joined(port.get("contractId"), port.get("version"), between=" ")
    return _joined(contract, port.get("type"), port.get("description"), "deprecated" if port.get("deprecated") else None)


def _definitions(holder: _Mapping) -> list[tuple[str | None, str]]:
    return [
        (item.get("url"), _joined(item.get("type"), item.get("description")) or "") for item in holder.get("authoritativeDefinitions") or ()
    ]


def _channels(items: Sequence[_Mapping] | None) -> Iterator[tuple[str | None, str]]:
    for item in items or ():
        head = " ".join(filter(None, ("Support:", item.get("channel"), item.get("scope"))))
        yield item.get("url"), _joined(head, item.get("tool"), item.get("description")) or ""
        if item.get("invitationUrl"):
            yield item["invitationUrl"], f"Invitation to {item.get('channel')}"


def _memory(links: Sequence[tuple[str | None, str]]) -> list[dict[str, Any]]:
    """Elements of DataHub's ``institutionalMemory``, one a URL: it knows no two links to one address."""
    found = {url: text for url, text in reversed(links) if url}
    return [{"url": url, "description": found[url], "createStamp": UNSTAMPED} for url in dict.fromkeys(url for url, _ in links if url)]


def _joined(*parts: Any, between: str = "; ") -> str | None:
    return between.join(_text(part) for part in parts if part is not None and part != "") or None


def _text(value: Any) -> str:
    if isinstance(value, date):  # a moment too
        return value.isoformat()
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _texts(**values: Any) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items() if value is not None}
