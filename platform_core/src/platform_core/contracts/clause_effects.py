"""The one place that says what the platform does with each clause of the standards; ``docs/clauses.md`` is made from it.

What a file holds is told apart by this table too: a clause that is documented only is reported as such, one that stands in no
table is an error. A test shows every effect by changing the clause and looking at everything that is compiled.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from platform_core.contracts.official import Standard
from platform_core.contracts.service_level_clauses import OBJECTIVES

Effect = Literal["enforced", "published", "documented only"]

PLATFORM_PROPERTIES: Mapping[Standard, Mapping[str, tuple[str, ...]]] = {
    "odcs": {
        "customProperties": ("successor", "endOfSupport", "keepPublications", "keepDays", OBJECTIVES),
        "roles[].customProperties": ("domains",),
        "schema[].customProperties": ("model", "incremental", "rowFilter"),
        "schema[].properties[].customProperties": ("mask", "declassified"),
        "slaProperties[].customProperties": ("objective",),
    },
    "odps": {"inputPorts[].customProperties": ("connection", "personalData")},
}
"""Custom properties that the platform acts on, by the clause that holds them. Others of a contract or product are published."""


@dataclass(frozen=True)
class Clause:
    """A group of clauses with one effect.

    Attributes:
        effect: ``enforced`` when something refuses, blocks, grants or masks by it; ``published`` when people see it in Dagster or
            the catalog; ``documented only`` when it stays in the file.
        where: The plane and the object that it decides about; why not, for one that is documented only.
        paths: A regular expression of whole paths, as ``clause_paths`` writes them.
    """

    effect: Effect
    where: str
    paths: re.Pattern[str]


_TABLE = r"schema\[\]"
_COLUMN = r"schema\[\]\.properties\[\]"
_QUALITY = rf"{_TABLE}(?:\.properties\[\])?\.quality\[\]"
_CUSTOM = r"customProperties(?:\[\]\.(?:property|value))?"
_OPTIONS = (
    r"(?:format|multipleOf|timezone|defaultTimezone|required|uniqueItems|(?:min|max)(?:Items|Properties)"
    r"|dimensions|distanceMetric|elementType|embedding\w+|normalized)"
)
_TERM = r"\[\]\.(?:username|role|dateIn|dateOut)"
_OWNER = rf"members{_TERM}"
_DEFINITIONS = r"authoritativeDefinitions(?:\[\]\.(?:url|type|description))?"
_MEMBER = r"(?:name|description|role|dateIn|dateOut|replacedByUsername)"
_CHANNEL = r"support\[\]\.(?:channel|url|tool|scope|description|invitationUrl)"
_NOTES = "for people; nothing of the warehouse or catalog holds it yet"

_ODCS: tuple[tuple[Effect, str, str], ...] = (
    ("enforced", "lint: the official schema of that release decides what the file may hold", r"apiVersion|kind"),
    ("enforced", "naming: port schema, data schema, reader roles, asset keys, catalog URNs", r"id"),
    ("enforced", "lint: inputs of consumers must fit; gate: changes demand its step; tag of the Dagster asset; catalog", r"version"),
    ("enforced", "lint: a retired contract is no input; gate; catalog: contract_status", r"status"),
    ("enforced", "lint: must be what the id says", r"domain|dataProduct"),
    ("enforced", "publishing: port view; Dagster: asset key; catalog: dataset", rf"{_TABLE}\.(?:name|physicalName)"),
    ("enforced", "publishing: column of the port view; quality: shape of the candidate", rf"{_COLUMN}\.(?:name|physicalName)"),
    ("enforced", "quality: type of the candidate's column, exactly", rf"{_COLUMN}\.physicalType"),
    ("enforced", "lint: bounds and valid values must fit it; quality: kind of the candidate's column", rf"{_COLUMN}\.logicalType"),
    ("enforced", "quality: rule not_null", rf"{_COLUMN}\.required"),
    ("enforced", "quality: rule unique", rf"{_COLUMN}\.unique"),
    ("enforced", "quality: rule primary_key; catalog: primaryKeys", rf"{_COLUMN}\.(?:primaryKey|primaryKeyPosition)"),
    ("enforced", "quality: rule accepted_values", rf"{_COLUMN}\.enum(?:\[\]\.value)?"),
    ("enforced", "quality: rule range", rf"{_COLUMN}\.logicalTypeOptions\.(?:m(?:in|ax)imum|exclusiveM(?:in|ax)imum)"),
    ("enforced", "quality: rule length", rf"{_COLUMN}\.logicalTypeOptions\.(?:min|max)Length"),
    ("enforced", "quality: rule pattern", rf"{_COLUMN}\.logicalTypeOptions\.pattern"),
    ("enforced", "publishing: mask of the port view; lint: a role must be there for it; catalog: tag", rf"{_COLUMN}\.(?:classification|tags)"),
    ("enforced", "quality: rule; Dagster: asset check; catalog: assertion", rf"{_QUALITY}\.(?:type|metric|rule|arguments|query|unit|mustBe\w*|mustNotBe\w*)"),
    ("enforced", "publishing: error blocks, warning and info are reported", rf"{_QUALITY}\.severity"),
    ("enforced", "quality: rule foreign_key; catalog: foreignKeys", rf"{_TABLE}(?:\.properties\[\])?\.relationships\[\]\.(?:from|to)"),
    ("enforced", "custom properties model, incremental, rowFilter: the candidate, whether it stays in place, the rows a reader sees", rf"{_TABLE}\.{_CUSTOM}"),
    ("enforced", "custom properties mask (of the port view) and declassified (lint: a derived column may be less sensitive)", rf"{_COLUMN}\.{_CUSTOM}"),
    ("enforced", "custom properties successor, endOfSupport, keepPublications, keepDays: retirement and retention of versions; objectives and others: catalog", _CUSTOM),
    ("enforced", "access read: those domains read without asking; custom property domains says which", rf"roles\[\]\.(?:access|{_CUSTOM})"),
    ("enforced", "warehouse: reader roles and their grants; Dagster", r"roles\[\]\.role"),
    ("enforced", "property freshness: Dagster freshness policy; every property: catalog", r"slaProperties\[\]\.(?:property|value|unit|element)"),
    ("enforced", "lint: only objective, a ratio and a window; catalog", rf"slaProperties\[\]\.{_CUSTOM}"),
    ("enforced", "lint: the contract must name the team that answers for it", r"team\.name"),
    ("enforced", "lint: owners are of the domain's team; access: owners approve requests", rf"team\.{_OWNER}|team{_TERM}"),
    ("published", "Dagster: name of the check", rf"{_QUALITY}\.name"),
    ("published", "Dagster: the check's text and dimension; catalog: assertion", rf"{_QUALITY}\.(?:description|dimension)"),
    ("published", "Dagster: description and metadata of the asset; catalog", r"description\.purpose"),
    ("published", "catalog: datasetProperties", r"description\.limitations"),
    ("published", "catalog: tags of the dataset", r"tags"),
    ("published", "Dagster: tags of the asset; catalog: tags of the dataset", rf"{_TABLE}\.tags"),
    ("published", "Dagster: description of the asset; catalog", rf"{_TABLE}\.description"),
    ("published", "catalog: datasetProperties, granularity", rf"{_TABLE}\.dataGranularityDescription"),
    ("published", "Dagster: column schema; catalog: schemaMetadata", rf"{_COLUMN}\.description"),
    ("published", "catalog: label of the column", rf"{_COLUMN}\.businessName"),
    ("published", "catalog: words beside the column; examples only where no personal data is", rf"{_COLUMN}\.(?:examples|deprecated|transform(?:Logic|Description)|{_DEFINITIONS})"),
    ("published", "catalog: words beside the column; lint: lineage of what Python makes", rf"{_COLUMN}\.transformSourceObjects"),
    ("published", "catalog: tag of the column", rf"{_COLUMN}\.criticalDataElement"),
    ("published", "catalog: links of the dataset", rf"(?:description\.|{_TABLE}\.)?{_DEFINITIONS}|{_CHANNEL}"),
    ("published", "catalog: properties of the dataset", r"name|tenant|contractCreatedTs|description\.usage|price\.price\w+|team\.description"),
    ("published", "catalog: properties of the dataset", rf"{_TABLE}\.(?:businessName|physicalType|logicalType|deprecated)"),
    ("published", "catalog: properties of the dataset", r"roles\[\]\.(?:description|(?:first|second)LevelApprovers)"),
    ("published", "catalog: properties of the dataset", r"slaProperties\[\]\.(?:description|driver|schedule|scheduler|valueExt)"),
    ("published", "catalog: properties of the dataset", rf"customProperties\[\]\.description|team(?:\.members)?\[\]\.{_MEMBER}"),
    ("documented only", "data lives where MESH_WAREHOUSE_DSN says, in the schema that the id gives", r"servers(?:\[\].*)?"),
    ("documented only", "the product's team owns what is published", r"team\.tags|team(?:\.members)?\[\]\.tags"),
    ("documented only", "how the data is laid out and made is the model's", rf"{_COLUMN}\.(?:partition\w+|encryptedName|transform\w+)"),
    ("documented only", "Postgres keeps what is inside of a column as one value", rf"{_COLUMN}\.(?:properties|map)"),
    ("documented only", "not compiled to a rule; write one of SQL", rf"{_COLUMN}\.logicalTypeOptions\.{_OPTIONS}"),
    ("documented only", "rules run at each publication, on the platform's engine", rf"{_QUALITY}\.(?:schedule|scheduler|engine|implementation|method)"),
    ("documented only", _NOTES, r"(?:.*[.\]])?(?:id|authoritativeDefinitions|synonyms|context|customProperties)(?:\[.*|\..*)?"),
    ("documented only", _NOTES, rf"{_QUALITY}\.(?:businessImpact|tags)"),
    ("documented only", _NOTES, rf"slaDefaultElement|{_TABLE}(?:\.properties\[\])?\.relationships\[\]\.type"),
    ("documented only", _NOTES, rf"{_COLUMN}\.(?:semanticType|enum\[\]\.(?:description|label|tags))"),
)  # fmt: skip

_ODPS: tuple[tuple[Effect, str, str], ...] = (
    ("enforced", "lint: the official schema of that release decides what the file may hold", r"apiVersion|kind"),
    ("enforced", "naming: schemas, roles, asset keys, catalog URN", r"id"),
    ("enforced", "lint: must be the folder's; groups the Dagster assets; catalog: domain", r"domain"),
    ("enforced", "lint: major.minor.patch; gate: changes demand its step; catalog", r"version"),
    ("enforced", "lint: one of the standard's; catalog", r"status"),
    ("enforced", "lint: must exist in the mesh, at that major version, not retired; warehouse: grants", r"inputPorts\[\]\.(?:contractId|version)"),
    ("enforced", "custom properties connection (lint: the file must exist) and personalData (warehouse: role of clear text)", rf"inputPorts\[\]\.{_CUSTOM}"),
    ("enforced", "lint: the contract's id and version; Dagster: the port's assets; warehouse: views and grants", r"outputPorts\[\]\.(?:contractId|version)"),
    ("enforced", "lint: must be inputs of the product, at their versions", r"outputPorts\[\]\.inputContracts\[\]\.(?:id|version)"),
    ("enforced", "lint: a product has a team with an owner; Dagster: owners; catalog: ownership", rf"team\.(?:name|{_OWNER})"),
    ("enforced", "lint: a product has a purpose; catalog: description", r"description\.purpose"),
    ("published", "catalog: description", r"description\.(?:usage|limitations)"),
    ("published", "catalog: name of the data product", r"name"),
    ("published", "catalog: properties of the data product", r"type"),
    ("published", "Dagster: tags of the assets; catalog: tags", r"tags"),
    ("published", "lint: a product has a channel; Dagster: link; catalog: links", _CHANNEL),
    ("published", "catalog: links of the data product", rf"(?:description\.)?{_DEFINITIONS}|managementPorts\[\]\.(?:name|content|url|description)"),
    ("published", "catalog: links of the data product", r"outputPorts\[\]\.sbom\[\]\.(?:type|url)"),
    ("published", "catalog: properties of the data product", r"(?:in|out)putPorts\[\]\.(?:name|type|description|deprecated)"),
    ("published", "catalog: properties of the data product", rf"tenant|productCreatedTs|{_CUSTOM}|customProperties\[\]\.description|team\.description|team\.members\[\]\.{_MEMBER}"),
    ("documented only", "the platform has its own ways in", r"managementPorts\[\]\.(?:type|channel|tags|deprecated)"),
    ("documented only", _NOTES, r"(?:in|out)putPorts\[\]\.tags|outputPorts\[\]\.sbom\[\]\.tags"),
    ("documented only", _NOTES, r"(?:.*[.\]])?(?:id|authoritativeDefinitions|synonyms|context|customProperties)(?:\[.*|\..*)?"),
    ("documented only", _NOTES, r"team\.(?:tags|members\[\]\.tags)|support\[\]\.tags|deprecated"),
)  # fmt: skip

CLAUSES: Mapping[Standard, tuple[Clause, ...]] = {
    "odcs": tuple(Clause(effect, where, re.compile(paths)) for effect, where, paths in _ODCS),
    "odps": tuple(Clause(effect, where, re.compile(paths)) for effect, where, paths in _ODPS),
}
"""What becomes of the clauses of a standard: the first group that fits a path decides."""


@functools.cache
def clause_of(standard: Standard, path: str) -> Clause | None:
    """What the platform does with the clause at ``path``; None when no line of the table names it."""
    return next((clause for clause in CLAUSES[standard] if clause.paths.fullmatch(path)), None)


_PUBLISHED = frozenset({"customProperties[]"})


def undelivered(standard: Standard, path: str, item: Mapping[str, Any]) -> str | None:
    """What to call an item of a list that stays a document although others of its list are enforced; None for one that counts."""
    if standard == "odcs" and path.endswith("quality[]") and item.get("type") in {"text", "custom"}:
        label = item.get("name") or item.get("metric") or item.get("rule") or item["type"]
        return f"quality rule {str(label)!r} of type {item['type']}"
    known = PLATFORM_PROPERTIES[standard].get(path.removesuffix("[]"))
    if known is not None and path not in _PUBLISHED and item.get("property") not in known:
        return f"custom property {item.get('property')!r}"
    return None
