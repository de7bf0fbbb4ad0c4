"""The validator passes what is right and finds what is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from platform_core.catalog import CatalogError, CatalogProduct, check_file, check_proposals, compile_product

Spoil = Callable[[dict[str, Any]], Any]


def test_what_we_compile_is_sound(profiles: CatalogProduct, orders: CatalogProduct) -> None:
    for told in (profiles, orders):
        assert check_proposals([item.to_obj() for item in compile_product(told)]) == []


@pytest.mark.parametrize(
    ("aspect", "spoil", "message"),
    [
        ("schemaMetadata", lambda p: p["aspect"]["json"].pop("platformSchema"), "is missing"),
        ("schemaMetadata", lambda p: p["aspect"]["json"]["fields"][0].update(nulable=True), "unknown field 'nulable'"),
        ("schemaMetadata", lambda p: p["aspect"]["json"]["fields"][0].update(nullable="yes"), "is no boolean"),
        ("schemaMetadata", lambda p: p["aspect"]["json"].update(version=True), "is no long"),
        ("schemaMetadata", lambda p: p["aspect"]["json"]["fields"][0]["type"].update(type={"com.linkedin.schema.Text": {}}), "is none of"),
        ("schemaMetadata", lambda p: p["aspect"]["json"].update(platform="postgres"), "is no URN"),
        ("schemaMetadata", lambda p: p["aspect"]["json"].update(primaryKeys="order_id"), "is no list"),
        ("ownership", lambda p: p["aspect"]["json"]["owners"][0].update(type="OWNER"), "is not one of"),
        ("ownership", lambda p: p["aspect"]["json"]["owners"][0].update(owner="ada@example.com"), "is no URN"),
        ("upstreamLineage", lambda p: p["aspect"]["json"]["upstreams"][0].update(dataset="urn:li:dataset:(a,b"), "is no URN"),
        ("datasetProperties", lambda p: p["aspect"]["json"]["customProperties"].update(rows=7), "is no string"),
        ("datasetProperties", lambda p: p["aspect"]["json"]["lastModified"].update(time=2**63), "is no long"),
        ("datasetProperties", lambda p: p.update(aspectName="dataProductProperties"), "carries no aspect"),
        ("datasetProperties", lambda p: p.update(aspectName="datasetPropertys"), "carries no aspect"),
        ("datasetProperties", lambda p: p.update(entityType="table"), "no entity type"),
        ("datasetProperties", lambda p: p.update(entityType="tag"), "not a tag"),
        ("datasetProperties", lambda p: p.update(entityUrn="urn:li:dataset:mesh.sales_orders.orders"), "is no URN"),
        ("datasetProperties", lambda p: p.update(changeType="REPLACE"), "is not UPSERT"),
        ("datasetProperties", lambda p: p.update(aspect=p["aspect"]["json"]), "is not {json"),
        ("datasetProperties", lambda p: p.pop("entityUrn"), "is no proposal"),
        ("assertionRunEvent", lambda p: p["aspect"]["json"]["result"].update(unexpectedCount=1.5), "is no long"),
    ],
)
def test_corruptions_are_found(orders: CatalogProduct, aspect: str, spoil: Spoil, message: str) -> None:
    proposals = [orjson.loads(orjson.dumps(item.to_obj())) for item in compile_product(orders)]
    position = max(at for at, proposal in enumerate(proposals) if proposal["aspectName"] == aspect)
    spoil(proposals[position])
    findings = check_proposals(proposals)
    assert findings and {finding.position for finding in findings} == {position}
    assert message in str(findings[0])


def test_an_aspect_of_an_entity_stands_once(orders: CatalogProduct) -> None:
    proposals = [item.to_obj() for item in compile_product(orders)]
    [finding] = check_proposals([*proposals, copy.deepcopy(proposals[0])])
    assert "stands at 0 already" in finding.message


@pytest.mark.parametrize("content", ["{", "{}"])
def test_a_file_that_is_no_metadata_file_is_an_error_with_a_remedy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.mcps.json"
    path.write_text(content)
    with pytest.raises(CatalogError, match="remedy"):
        check_file(path)
