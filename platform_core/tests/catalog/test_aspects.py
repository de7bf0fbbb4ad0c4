"""What is compiled is what DataHub's own classes would write, about the right entities, and nothing that must not leave."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from typing import Any

import orjson
import pytest

from platform_core.catalog import CatalogProduct, Proposal, RuleResult, check_proposals, compile_product, declared_urns
from platform_core.catalog.schema_fields import type_class
from platform_core.contracts import naming

ORDERS = "urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.sales_orders.orders,PROD)"
MODEL = "urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.sales_build.orders,PROD)"
STREAM = "urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.sales_raw.purchases,PROD)"
PROFILES = "urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.customer_profiles.profiles,PROD)"
PRODUCT = "urn:li:dataProduct:sales.orders"


def aspect(proposals: tuple[Proposal, ...], urn: str, name: str) -> Any:
    [found] = [item for item in proposals if (item.entity_urn, item.aspect_name) == (urn, name)]
    return found.aspect


def official(proposal: Proposal) -> dict[str, Any]:
    """The proposal as DataHub's classes write it."""
    from datahub.emitter.aspect import ASPECT_MAP
    from datahub.emitter.mcp import MetadataChangeProposalWrapper
    from datahub.emitter.serialization_helper import post_json_transform

    value = ASPECT_MAP[proposal.aspect_name].from_obj(post_json_transform(orjson.loads(proposal.value())))
    wrapper = MetadataChangeProposalWrapper(entityUrn=proposal.entity_urn, aspect=value)
    assert wrapper.validate()
    return wrapper.to_obj(simplified_structure=True)


def test_every_proposal_is_what_the_official_classes_write(profiles: CatalogProduct, orders: CatalogProduct) -> None:
    proposals = (*compile_product(profiles), *compile_product(orders))
    assert {(item.entity_type, item.aspect_name) for item in proposals} == {
        ("domain", "domainProperties"), ("corpGroup", "corpGroupKey"), ("corpuser", "corpUserKey"), ("tag", "tagKey"),
        ("tag", "tagProperties"), ("dataset", "datasetProperties"), ("dataset", "schemaMetadata"), ("dataset", "subTypes"),
        ("dataset", "status"), ("dataset", "ownership"), ("dataset", "globalTags"), ("dataset", "domains"),
        ("dataset", "dataPlatformInstance"), ("dataset", "institutionalMemory"), ("dataset", "upstreamLineage"), ("dataProduct", "dataProductProperties"),
        ("dataProduct", "ownership"), ("dataProduct", "domains"), ("dataProduct", "globalTags"), ("dataProduct", "institutionalMemory"),
        ("dataProduct", "status"), ("assertion", "assertionInfo"), ("assertion", "dataPlatformInstance"), ("assertion", "status"),
        ("assertion", "assertionRunEvent"),
    }  # fmt: skip
    for proposal in proposals:
        assert orjson.loads(orjson.dumps(proposal.to_obj())) == official(proposal)


def test_hand_built_official_objects_agree(orders: CatalogProduct) -> None:
    from datahub.emitter.mcp import MetadataChangeProposalWrapper as Wrapper
    from datahub.metadata import schema_classes as dh

    proposals = compile_product(orders)
    built = {
        (PRODUCT, "ownership"): dh.OwnershipClass(
            owners=[
                dh.OwnerClass(owner="urn:li:corpGroup:sales-data", type=dh.OwnershipTypeClass.TECHNICAL_OWNER),
                dh.OwnerClass(owner="urn:li:corpuser:sales-data@example.com", type=dh.OwnershipTypeClass.BUSINESS_OWNER),
            ]
        ),
        (ORDERS, "upstreamLineage"): dh.UpstreamLineageClass(
            upstreams=[dh.UpstreamClass(dataset=MODEL, type=dh.DatasetLineageTypeClass.VIEW)]
        ),
        (MODEL, "upstreamLineage"): dh.UpstreamLineageClass(
            upstreams=[
                dh.UpstreamClass(dataset=PROFILES, type=dh.DatasetLineageTypeClass.TRANSFORMED),
                dh.UpstreamClass(dataset=STREAM, type=dh.DatasetLineageTypeClass.TRANSFORMED),
            ],
            fineGrainedLineages=[
                dh.FineGrainedLineageClass(
                    upstreamType=dh.FineGrainedLineageUpstreamTypeClass.FIELD_SET,
                    upstreams=[f"urn:li:schemaField:({PROFILES},email)", f"urn:li:schemaField:({STREAM},user_email)"],
                    downstreamType=dh.FineGrainedLineageDownstreamTypeClass.FIELD,
                    downstreams=[f"urn:li:schemaField:({MODEL},customer_email)"],
                )
            ],
        ),
        (PRODUCT, "dataProductProperties"): dh.DataProductPropertiesClass(
            name="Orders",
            description="One row per purchase.\n\n**Usage:** Revenue reporting.\n\n**Limitations:** No purchases before the migration.",
            customProperties={
                "product_id": "sales.orders",
                "version": "1.2.0",
                "status": "active",
                "type": "aggregate",
                "team": "sales-data",
                "input.shop": "connection shop",
                "input.profiles": "customer.profiles.profiles 1.0.0",
                "output.orders": "sales.orders.orders 1.2.0; tables",
                "member.sales-data@example.com": "owner",
            },
            assets=[
                dh.DataProductAssociationClass(destinationUrn=naming.dataset_urn("sales_orders", table), outputPort=True)
                for table in ("orders", "daily_revenue")
            ],
        ),
    }
    for (urn, name), value in built.items():
        assert aspect(proposals, urn, name) == Wrapper(entityUrn=urn, aspect=value).to_obj(simplified_structure=True)["aspect"]["json"]


def test_a_contract_column_becomes_a_field_with_its_tags_and_its_classification(orders: CatalogProduct) -> None:
    schema = aspect(compile_product(orders), ORDERS, "schemaMetadata")
    fields = {item["fieldPath"]: item for item in schema["fields"]}
    assert schema["primaryKeys"] == ["order_id"]
    assert fields["order_id"]["isPartOfKey"] and not fields["order_id"]["nullable"]
    assert fields["order_id"]["description"] == "Identifier of the purchase."
    assert fields["status"]["nullable"] and fields["status"]["label"] == "Status of the order"
    assert fields["amount_usd"]["nativeDataType"] == "numeric(12,2)"
    assert fields["customer_email"]["description"] == "Masked by null for who does not hold the role of personal data."
    assert fields["customer_email"]["globalTags"]["tags"] == [{"tag": "urn:li:tag:pii"}, {"tag": "urn:li:tag:classification.restricted"}]
    [key] = schema["foreignKeys"]
    assert key["foreignDataset"] == PROFILES
    assert key["foreignFields"] == [f"urn:li:schemaField:({PROFILES},customer_id)"]


def test_one_node_a_table_and_only_the_products_own_tables_are_spoken_of(orders: CatalogProduct) -> None:
    proposals = compile_product(orders)
    spoken = {item.entity_urn for item in proposals if item.entity_type == "dataset"}
    names = ["sales_raw.purchases", "sales_build.orders", "sales_build.daily_revenue", "sales_orders.orders", "sales_orders.daily_revenue"]
    assert spoken == {naming.dataset_urn(*name.split(".")) for name in names}
    keys = [(item.entity_urn, item.aspect_name, item.event) for item in proposals]
    assert len(keys) == len(set(keys))


def test_lineage_leads_from_the_stream_to_the_port(profiles: CatalogProduct, orders: CatalogProduct) -> None:
    parents: dict[str, set[str]] = {}
    for item in (*compile_product(profiles), *compile_product(orders)):
        if item.aspect_name == "upstreamLineage":
            assert item.entity_urn not in parents
            parents[item.entity_urn] = {upstream["dataset"] for upstream in item.aspect["upstreams"]}
    reached, queue = set(), [ORDERS]
    while queue:
        node = queue.pop()
        reached.add(node)
        queue += parents.get(node, ())
    customers = (naming.dataset_urn("customer_build", "profiles"), naming.dataset_urn("customer_raw", "users"))
    assert reached == {ORDERS, MODEL, STREAM, PROFILES, *customers}


def test_unknown_lineage_erases_none(orders: CatalogProduct) -> None:
    proposals = compile_product(replace(orders, edges=(), column_edges=()))
    assert not [item for item in proposals if item.aspect_name == "upstreamLineage"]


def test_no_value_of_personal_data_leaves(profiles: CatalogProduct, orders: CatalogProduct) -> None:
    text = b"".join(item.value() for item in (*compile_product(profiles), *compile_product(orders)))
    assert b"jane.doe" not in text  # neither the contract's example nor the audit's observation
    assert b"bob" not in text  # nor a database error, which may quote a value
    assert b'"observed":"3"' in text


def test_what_is_referred_to_goes_first(orders: CatalogProduct) -> None:
    kinds = [(item.entity_type, item.aspect_name) for item in compile_product(orders)]
    order = [
        ("tag", "tagProperties"), ("dataset", "schemaMetadata"), ("dataset", "upstreamLineage"), ("dataProduct", "dataProductProperties"),
        ("assertion", "assertionInfo"), ("assertion", "assertionRunEvent"),
    ]  # fmt: skip
    for earlier, later in itertools.pairwise(order):
        assert max(at for at, kind in enumerate(kinds) if kind == earlier) < min(at for at, kind in enumerate(kinds) if kind == later)


def test_rules_become_assertions_with_standard_operators(orders: CatalogProduct) -> None:
    said = {}
    for item in compile_product(orders):
        if item.aspect_name == "assertionInfo" and item.aspect["datasetAssertion"]["dataset"] == ORDERS:
            rule = item.aspect["datasetAssertion"]
            said[item.aspect["customProperties"]["rule"]] = (rule["scope"], rule["aggregation"], rule["operator"], rule.get("parameters"))
    column, rows = "DATASET_COLUMN", "DATASET_ROWS"
    assert said["orders__order_id__not_null"] == (column, "IDENTITY", "NOT_NULL", None)
    assert said["orders__primary_key"] == (column, "UNIQUE_PROPORTION", "EQUAL_TO", {"value": {"value": "1.0", "type": "NUMBER"}})
    status = {"value": {"value": '["in_cart","purchased"]', "type": "SET"}}
    assert said["orders__status__accepted_values"] == (column, "IDENTITY", "IN", status)
    between = {"minValue": {"value": "0", "type": "NUMBER"}, "maxValue": {"value": "9999.5", "type": "NUMBER"}}
    assert said["orders__amount_usd__range"] == (column, "IDENTITY", "BETWEEN", between)
    assert said["orders__discount__range"] == (column, "_NATIVE_", "_NATIVE_", None)  # DataHub's BETWEEN has no open end
    share = {"value": {"value": "0.05", "type": "NUMBER"}}
    assert said["orders__lines__null_values"] == (column, "NULL_PROPORTION", "LESS_THAN", share)
    assert said["orders__lines__missing_values"] == (column, "_NATIVE_", "_NATIVE_", None)
    count = {"minValue": {"value": "1", "type": "NUMBER"}, "maxValue": {"value": "1000000", "type": "NUMBER"}}
    assert said["orders__row_count"] == (rows, "ROW_COUNT", "BETWEEN", count)
    assert said["orders__positive"] == (rows, "_NATIVE_", "_NATIVE_", None)
    assert said["orders__customer_id__foreign_key"][2] == "_NATIVE_"


def test_assertion_urns_are_stable_and_declared(orders: CatalogProduct) -> None:
    spoken = {item.entity_urn for item in compile_product(orders) if item.entity_type == "assertion"}
    assert "urn:li:assertion:" in min(spoken)
    assert spoken < declared_urns(orders.product)
    assert compile_product(orders) == compile_product(orders)


def test_results_of_a_failed_audit_compile_alone(orders: CatalogProduct) -> None:
    from platform_core.catalog import result_proposals

    contract = orders.tables[0].contract
    rule = contract.tables[0].rules[0]
    [event] = result_proposals(contract, "p2", (RuleResult(rule, False, orders.tables[0].published_at, unexpected=7),))
    assert event.aspect["result"] == {"type": "FAILURE", "unexpectedCount": 7}
    assert check_proposals([event.to_obj()]) == []


@pytest.mark.parametrize(
    "native",
    ["boolean", "bigint", "integer", "smallint", "numeric(12,2)", "numeric", "text", "character varying(20)", "uuid", "date",
     "timestamp with time zone", "timestamp without time zone", "time without time zone", "double precision", "real", "bytea", "json",
     "text[]", "numeric(12,2)[]", "vector"],
)  # fmt: skip
def test_types_are_named_as_datahubs_own_source_names_them(native: str) -> None:
    from datahub.ingestion.source.sql.sql_types import POSTGRES_TYPES_MAP, resolve_postgres_modified_type

    theirs = POSTGRES_TYPES_MAP.get(native) or resolve_postgres_modified_type(native)
    assert type_class(native) == theirs.__name__.removesuffix("Class")


def test_short_and_logical_types_are_known() -> None:
    pairs = {"varchar(9)": "StringType", "timestamptz": "TimeType", "int8": "NumberType", "jsonb": "RecordType", "bool": "BooleanType"}
    assert {native: type_class(native) for native in pairs} == pairs
    assert type_class(None, "object") == "RecordType"
    assert type_class("my_domain", "integer") == "NumberType"
    assert type_class(None, None) == type_class("my_enum") == "NullType"


def test_importing_the_plane_imports_nothing_heavy() -> None:
    program = """
import sys, platform_core.catalog
print([name for name in ("dagster", "datahub", "requests", "great_expectations", "pandas") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
