"""Whether the catalog was told what the files say now: descriptions, owners, tags, columns and rules change without a publication.

Lineage and results come with publications and are left to them. So is a new version of a contract: until its audit holds, the port
serves the former one, and the catalog says so. A product that was never published is announced by its first publication.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from psycopg import Connection

from platform_core.catalog import CatalogProduct, Proposal, PublishedTable, compile_product, enqueue, withdraw
from platform_core.catalog.proposal import content_hash
from platform_core.contracts import naming
from platform_core.contracts.model import DataProduct, Mesh
from platform_core.warehouse import Change, made

_HELD = """
    SELECT product_id, domain, entity_urn, aspect_name, hash, publication,
           CASE WHEN aspect_name IN ('datasetProperties', 'status') THEN value END
    FROM mesh.catalog_outbox WHERE event = ''"""
_SERVED = """
    SELECT p.contract_id, p.contract_version FROM mesh.ports AS s JOIN mesh.publications AS p USING (contract_id, publication)"""
_NAMED = 3
"""Changed aspects that a step names; the others are counted."""

Held = dict[tuple[str, str], tuple[str, str, str | None]]
"""Entity and aspect to hash, publication, and value where it is needed."""


def catalog_changes(connection: Connection, mesh: Mesh) -> tuple[Change, ...]:
    """One step a product whose catalog entries the files would write otherwise now, in two queries.

    Args:
        connection: As the platform's role; nothing is changed.
        mesh: The files.
    """
    if not made(connection, "catalog_outbox", "ports"):  # before the first apply: nothing was announced
        return ()
    held: defaultdict[str, Held] = defaultdict(dict)
    domains: dict[str, str] = {}
    for product_id, domain, urn, aspect, digest, publication, value in connection.execute(_HELD).fetchall():
        held[product_id][urn, aspect] = (digest, publication, value)
        domains[product_id] = domain
    served: dict[str, str] = dict(connection.execute(_SERVED).fetchall())
    found: list[Change] = []
    for product_id, known in sorted(held.items()):
        product = mesh.products.get(product_id)
        if product is not None:
            if all(served.get(port.contract_id, port.contract.version) == port.contract.version for port in product.outputs):
                found += _product(product, known)
        elif product_id not in mesh.broken and not _withdrawn(product_id, known):
            found.append(_gone(domains[product_id], product_id))
    return tuple(found)


def _product(product: DataProduct, known: Held) -> list[Change]:
    changed = [
        item for item in _told(product, known) if known.get((item.entity_urn, item.aspect_name), ("",))[0] != content_hash(item.value())
    ]
    if not changed:
        return []
    names = [f"{item.aspect_name} of {_short(item.entity_urn)}" for item in changed]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    publication = max(held[1] for held in known.values())

    def act(connection: Connection) -> int:
        return enqueue(connection, product.domain, product.id, publication, changed)

    shown = f"catalog entries of {product.id}"
    return [Change("alter", shown, None, product.domain, product.id, detail=", ".join(names[:_NAMED]) + more, act=act)]


def _gone(domain: str, product_id: str) -> Change:
    def act(connection: Connection) -> int:
        return withdraw(connection, domain, product_id)

    detail = "no file declares it any more: it becomes removed in the catalog"
    return Change("drop", f"catalog entries of {product_id}", None, domain, product_id, "remove", prune=True, detail=detail, act=act)


def _told(product: DataProduct, known: Held) -> Sequence[Proposal]:
    """What the files say of the product's entries, with what only a publication knows taken from what was told."""
    tables: list[PublishedTable] = []
    for port in product.outputs:
        if port.contract.status == "retired":  # its datasets are left as they are, until its end removes them
            continue
        for table in port.contract.tables:
            urn = naming.dataset_urn(product.schema, table.physical_name)
            told: dict[str, Any] = orjson.loads(known[urn, "datasetProperties"][2] or "{}") if (urn, "datasetProperties") in known else {}
            facts: dict[str, str] = told.get("customProperties", {})
            if "publication" in facts and "lastModified" in told:
                at = datetime.fromtimestamp(told["lastModified"]["time"] / 1000, UTC)
                rows = int(facts["rows"]) if "rows" in facts else None
                tables.append(PublishedTable(port.contract, table, facts["publication"], at, rows))
    return compile_product(CatalogProduct(product, tuple(tables), ""))


def _withdrawn(product_id: str, known: Held) -> bool:
    status = known.get((naming.data_product_urn(product_id), "status"))
    return status is not None and bool(orjson.loads(status[2] or "{}").get("removed"))


def _short(urn: str) -> str:
    """The part of a URN that people know the thing by."""
    parts = urn.rpartition("(")[2].rstrip(")").split(",")
    return parts[1] if len(parts) > 1 else urn.rpartition(":")[2]
