"""The column lineage of a domain's assets: for the catalog, and for the page of the asset.

It is traced once for each state of the dbt projects and kept in ``<home>/lineage``, by whoever asks first: ``mesh lint``, or the first
publication after a change, when its consumers have been told already. A run over unchanged projects reads what is kept: neither dbt
nor the SQL parser is loaded, and no model is asked for its columns.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from platform_core.catalog import ColumnEdge, Relation
from platform_core.contracts import Mesh
from platform_core.orchestration.asset_names import relation_asset
from platform_core.settings import Settings


def kept_columns(mesh: Mesh, settings: Settings, domain: str, tables: Sequence[Relation]) -> tuple[ColumnEdge, ...] | None:
    """The column lineage behind tables of a domain, if it is known for the files as they are now."""
    from platform_core.transformation.lineage import column_edges, kept_lineage

    lineage = kept_lineage(replace(mesh, domains=(domain,)), settings)
    return None if lineage is None else column_edges(lineage, domain, tables)


def traced_columns(mesh: Mesh, settings: Settings, domain: str, tables: Sequence[Relation]) -> tuple[ColumnEdge, ...]:
    """The same, traced now where it is not known: some seconds of one dbt for all domains of the mesh."""
    from platform_core.transformation.lineage import column_edges, column_lineage

    return column_edges(column_lineage(mesh, settings), domain, tables)


def column_metadata(mesh: Mesh, table: Relation, edges: Sequence[ColumnEdge] | None) -> dict[str, Any]:
    """Dagster's metadata ``column_lineage`` of a table, by the assets that its columns come from; nothing when it is not known."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for (schema, name, column), target in edges or ():
        key = relation_asset(schema, name, mesh)
        if target[:2] == table and key is not None:
            deps.setdefault(target[2], []).append(dg.TableColumnDep(key, column))
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)} if deps else {}
