"""Compiles what is known of a product to metadata change proposals. Pure; the same input gives the same bytes.

Only what the product's files own is upserted: descriptions, tags and links that people add in DataHub's own ``editable*`` aspects stay.
Tags and owners that the files merely refer to are made to exist by their key aspect, which overwrites nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from platform_core.catalog import urns
from platform_core.catalog.assertions import assertion_proposals, result_proposals
from platform_core.catalog.clause_texts import CRITICAL_TAG, contract_facts, contract_links, critical, product_facts, product_links
from platform_core.catalog.graph import CatalogProduct, InnerTable, PublishedTable, Relation
from platform_core.catalog.port_life import deprecations, operations
from platform_core.catalog.proposal import UNSTAMPED, Proposal, present
from platform_core.catalog.schema_fields import inner_schema_metadata, port_schema_metadata
from platform_core.contracts import DataProduct, naming

PII_TAG = "pii"


def compile_product(told: CatalogProduct) -> tuple[Proposal, ...]:
    """The proposals of a product, each aspect of an entity once, in the order in which they are to be sent."""
    proposals = [*_people(told.product), *_tags(told), *_tables(told), *deprecations(told.product), *operations(told)]
    proposals += _data_product(told.product)
    for table in told.tables:
        proposals += assertion_proposals(table)
    for port in told.product.outputs:
        proposals += result_proposals(port.contract, told.publication, told.results)
    unique = {(item.entity_urn, item.aspect_name, item.event): item for item in proposals}
    return tuple(sorted(unique.values(), key=lambda item: item.stage))


def declared_urns(product: DataProduct, *, without: Collection[str] = ()) -> frozenset[str]:
    """The datasets and assertions that the product's files declare, published or not; ``without`` those of these contracts."""
    return frozenset(
        urn
        for port in product.outputs
        if port.contract_id not in without
        for table in port.contract.tables
        for urn in (
            naming.dataset_urn(product.schema, table.physical_name),
            *(urns.assertion(port.contract_id, rule.name) for rule in table.rules),
        )
    )


def _people(product: DataProduct) -> Iterator[Proposal]:
    """The domain, and the owners made to exist."""
    name = product.domain.replace("_", " ").capitalize()
    yield Proposal("domain", naming.domain_urn(product.domain), "domainProperties", {"customProperties": {}, "name": name})
    if product.team_name:
        yield Proposal("corpGroup", urns.group(product.team_name), "corpGroupKey", {"name": product.team_name})
    for owner in dict.fromkeys(product.owners):
        yield Proposal("corpuser", urns.user(owner), "corpUserKey", {"username": owner})


def _tags(told: CatalogProduct) -> Iterator[Proposal]:
    """Tags with a meaning the platform gives them are described; the team's own are only made to exist."""
    columns = [column for published in told.tables for column in published.table.columns]
    own = [*told.product.tags, *(tag for item in told.tables for tag in (*item.contract.tags, *item.table.tags))]
    for tag in dict.fromkeys((*own, *(tag for column in columns for tag in column.tags))):
        if tag == PII_TAG:
            text = "Personal data: masked unless the reader holds the port's personal-data role."
            yield Proposal("tag", urns.tag(tag), "tagProperties", {"name": tag, "description": text})
        else:
            yield Proposal("tag", urns.tag(tag), "tagKey", {"name": tag})
    if any(critical(item.contract, item.table, column) for item in told.tables for column in item.table.columns):
        text = "The contract names the column a critical data element."
        yield Proposal("tag", urns.tag(CRITICAL_TAG), "tagProperties", {"name": CRITICAL_TAG, "description": text})
    for level in dict.fromkeys(column.classification.lower() for column in columns if column.classification):
        text = f"The contract classifies the column as {level}."
        yield Proposal("tag", urns.classification_tag(level), "tagProperties", {"name": f"classification.{level}", "description": text})


def _tables(told: CatalogProduct) -> Iterator[Proposal]:
    for table in told.inner_tables():
        yield from _inner(told.product, table)
    for published in told.tables:
        yield from _port(told.product, published)
    fine = _column_lineage(told)
    for target, sources in told.upstreams().items():
        kind = "VIEW" if target[0] == told.product.schema else "TRANSFORMED"
        upstreams = [{"auditStamp": UNSTAMPED, "dataset": naming.dataset_urn(*source), "type": kind} for source in sources]
        yield _dataset(target, "upstreamLineage", present(upstreams=upstreams, fineGrainedLineages=fine.get(target)))


def _inner(product: DataProduct, table: InnerTable) -> Iterator[Proposal]:
    layer = "raw" if table.schema == naming.raw_schema(product.domain) else "build"
    yield _dataset(table.relation, "datasetProperties", _properties(table.relation, table.description, {"layer": layer}))
    if table.columns:
        yield _dataset(table.relation, "schemaMetadata", inner_schema_metadata(table))
    yield from _belonging(product, table.relation, "Table")


def _port(product: DataProduct, published: PublishedTable) -> Iterator[Proposal]:
    contract, table = published.contract, published.table
    facts = present(
        layer="port",
        data_product=product.id,
        contract=contract.id,
        contract_version=contract.version,
        contract_status=contract.status,
        granularity=table.granularity,
        limitations=contract.description_limitations,
        publication=published.publication,
        rows=None if published.rows is None else str(published.rows),
    )
    properties = _properties(published.relation, table.description or contract.description_purpose, contract_facts(contract, table) | facts)
    properties["lastModified"] = {"time": int(published.published_at.timestamp() * 1000)}
    yield _dataset(published.relation, "datasetProperties", properties)
    yield _dataset(published.relation, "schemaMetadata", port_schema_metadata(published))
    tags = dict.fromkeys((*product.tags, *contract.tags, *table.tags))
    yield _dataset(published.relation, "globalTags", {"tags": [{"tag": urns.tag(tag)} for tag in tags]})
    yield _dataset(published.relation, "institutionalMemory", {"elements": contract_links(contract, table)})
    yield from _belonging(product, published.relation, "View")


def _belonging(product: DataProduct, relation: Relation, subtype: str) -> Iterator[Proposal]:
    yield _dataset(relation, "subTypes", {"typeNames": [subtype]})
    yield _dataset(relation, "status", {"removed": False})
    yield _dataset(relation, "ownership", _ownership(product))
    yield _dataset(relation, "domains", {"domains": [naming.domain_urn(product.domain)]})
    yield _dataset(relation, "dataPlatformInstance", {"platform": urns.PLATFORM})


def _data_product(product: DataProduct) -> Iterator[Proposal]:
    urn = naming.data_product_urn(product.id)
    offered = [port.contract for port in product.outputs if port.contract.status != "retired"]
    tables = [(product.schema, table.physical_name) for contract in offered for table in contract.tables]
    facts = present(product_id=product.id, version=product.version, status=product.status, type=product.type, team=product.team_name)
    properties = present(
        customProperties=product_facts(product) | facts,
        name=product.title,
        description=_description(product),
        assets=[{"destinationUrn": naming.dataset_urn(*relation), "outputPort": True} for relation in tables],
    )
    yield Proposal("dataProduct", urn, "dataProductProperties", properties)
    yield Proposal("dataProduct", urn, "ownership", _ownership(product))
    yield Proposal("dataProduct", urn, "domains", {"domains": [naming.domain_urn(product.domain)]})
    yield Proposal("dataProduct", urn, "globalTags", {"tags": [{"tag": urns.tag(tag)} for tag in dict.fromkeys(product.tags)]})
    yield Proposal("dataProduct", urn, "institutionalMemory", {"elements": product_links(product)})
    yield Proposal("dataProduct", urn, "status", {"removed": False})


def _dataset(relation: Relation, aspect_name: str, aspect: Mapping[str, Any]) -> Proposal:
    return Proposal("dataset", naming.dataset_urn(*relation), aspect_name, aspect)


def _properties(relation: Relation, description: str | None, facts: Mapping[str, str]) -> dict[str, Any]:
    qualified = ".".join((naming.DATABASE, *relation))
    return present(customProperties=dict(facts), name=relation[1], qualifiedName=qualified, description=description, tags=[])


def _ownership(product: DataProduct) -> dict[str, Any]:
    owners = {urns.group(product.team_name): "TECHNICAL_OWNER"} if product.team_name else {}
    owners |= dict.fromkeys(map(urns.user, product.owners), "BUSINESS_OWNER")
    return {"owners": [{"owner": urn, "type": kind} for urn, kind in owners.items()], "ownerTypes": {}, "lastModified": UNSTAMPED}


def _description(product: DataProduct) -> str | None:
    parts = (
        product.description_purpose,
        f"**Usage:** {product.description_usage}" if product.description_usage else None,
        f"**Limitations:** {product.description_limitations}" if product.description_limitations else None,
    )
    return "\n\n".join(filter(None, parts)) or None


def _column_lineage(told: CatalogProduct) -> dict[Relation, list[dict[str, Any]]]:
    """Fine-grained lineage by target table: one entry a target column, its sources together."""
    sources: dict[naming.ColumnName, set[naming.ColumnName]] = {}
    for source, target in told.column_edges:
        if told.owned(target[:2]):
            sources.setdefault(target, set()).add(source)
    found: dict[Relation, list[dict[str, Any]]] = {}
    for target in sorted(sources):
        entry = {
            "upstreamType": "FIELD_SET",
            "upstreams": [urns.field(naming.dataset_urn(*source[:2]), source[2]) for source in sorted(sources[target])],
            "downstreamType": "FIELD",
            "downstreams": [urns.field(naming.dataset_urn(*target[:2]), target[2])],
            "confidenceScore": 1.0,
        }
        found.setdefault(target[:2], []).append(entry)
    return found
