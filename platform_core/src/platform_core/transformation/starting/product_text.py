"""The two standard files of a product, as text: ODPS v1.1.0 and ODCS v3.1.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from platform_core.contracts import naming
from platform_core.transformation.starting.draft import ColumnDraft, InputDraft, ProductDraft, TableDraft

_PRODUCT_HEAD = "# What the product is: the Open Data Product Standard, https://bitol-io.github.io/open-data-product-standard/v1.1.0/\n"
_CONTRACT_HEAD = (
    "# What the port promises: the Open Data Contract Standard, https://bitol-io.github.io/open-data-contract-standard/v3.1.0/\n"
)


class _Dumper(yaml.SafeDumper):
    """Block style as people write it: items of a list stand below their key, one step in."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_text(document: Mapping[str, Any]) -> str:
    """A mapping as YAML in its own order; text that YAML would read as something else is quoted."""
    return yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)


def product_text(draft: ProductDraft) -> str:
    """The text of ``product.odps.yaml``."""
    contracts = [{"id": item.contract_id, "version": item.version} for item in draft.inputs if item.contract_id]
    port: dict[str, Any] = {"name": draft.name, "type": "tables", "version": draft.version, "contractId": draft.contract_id}
    if contracts:
        port["inputContracts"] = contracts
    document: dict[str, Any] = {
        "apiVersion": "v1.1.0",
        "kind": "DataProduct",
        "id": draft.id,
        "name": draft.title,
        "version": draft.version,
        "status": draft.status,
        "domain": draft.domain,
        "type": draft.kind,
        "description": {"purpose": draft.purpose},
        **({"tags": list(draft.tags)} if draft.tags else {}),
        "inputPorts": [_input(item) for item in draft.inputs],
        "outputPorts": [port],
        "team": _team(draft),
        **({"support": [{"channel": draft.team, "url": draft.support_url or f"mailto:{draft.owner}"}]} if draft.owner else {}),
    }
    return _PRODUCT_HEAD + yaml_text(document)


def contract_text(draft: ProductDraft) -> str:
    """The text of the port's ``contracts/<port>.odcs.yaml``."""
    document: dict[str, Any] = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": draft.contract_id,
        "name": draft.title,
        "version": draft.version,
        "status": draft.status,
        "domain": draft.domain,
        "dataProduct": draft.id,
        "description": {"purpose": draft.purpose},
        "schema": [_table(table) for table in draft.tables],
        "roles": [_role(draft, role) for role in draft.roles],
        "team": _team(draft),
    }
    return _CONTRACT_HEAD + yaml_text(document)


def _input(item: InputDraft) -> dict[str, Any]:
    custom = [("connection", item.connection)] if item.connection else []
    custom += [("personalData", True)] if item.personal_data else []
    return {
        "name": item.name,
        **({"contractId": item.contract_id, "version": item.version} if item.contract_id else {}),
        **({"customProperties": [{"property": key, "value": value} for key, value in custom]} if custom else {}),
    }


def _team(draft: ProductDraft) -> dict[str, Any]:
    return {"name": draft.team, **({"members": [{"username": draft.owner, "role": "owner"}]} if draft.owner else {})}


def _role(draft: ProductDraft, role: str) -> dict[str, Any]:
    personal = role == naming.pii_reader_role(draft.id)
    masked = len(draft.roles) > 1
    description = "Reads every row with personal data in clear." if personal else "Reads every row."
    if masked and not personal:
        description = "Reads every row; personal data is masked."
    return {"role": role, "description": description, "access": "read", "firstLevelApprovers": draft.team}


def _table(table: TableDraft) -> dict[str, Any]:
    custom = [("model", table.model)] if table.model != table.name else []
    custom += [("incremental", True)] if table.incremental else []
    return {
        "name": table.name,
        "physicalName": table.name,
        "logicalType": "object",
        "physicalType": "table",
        **({"description": table.description} if table.description else {}),
        **({"dataGranularityDescription": table.granularity} if table.granularity else {}),
        **({"tags": list(table.tags)} if table.tags else {}),
        **({"customProperties": [{"property": key, "value": value} for key, value in custom]} if custom else {}),
        "properties": [_column(column) for column in table.columns],
        **({"quality": [dict(clause) for clause in table.quality]} if table.quality else {}),
    }


def _column(column: ColumnDraft) -> dict[str, Any]:
    return {
        "name": column.name,
        **({"description": column.description} if column.description else {}),
        **({"logicalType": column.logical_type} if column.logical_type else {}),
        **({"physicalType": column.physical_type} if column.physical_type else {}),
        **({"primaryKey": True, "primaryKeyPosition": column.key_position} if column.key_position else {}),
        **({"required": True} if column.required else {}),
        **({"unique": True} if column.unique else {}),
        **({"transformSourceObjects": list(column.origins)} if column.origins is not None else {}),
        **({"classification": column.classification} if column.classification else {}),
        **({"tags": list(column.tags)} if column.tags else {}),
        **({"logicalTypeOptions": dict(column.options)} if column.options else {}),
        **({"relationships": [{"to": target} for target in column.relationships]} if column.relationships else {}),
        **({"quality": [dict(clause) for clause in column.quality]} if column.quality else {}),
    }
