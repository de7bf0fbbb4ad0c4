"""IO managers for assets written in Python: their frames live in the warehouse or in the lake, types kept.

Metadata they read (on the asset, or on its input through ``dg.AssetIn(metadata=...)``):

| metadata | on | meaning |
|---|---|---|
| ``columns`` | input | load these columns only |
| ``partition_expr`` | asset; input, when its asset is of another location | column that tells partitions apart, or one by dimension |
| ``column_types`` | asset, warehouse only | Postgres types by column, for example ``{"total": "numeric(12,2)", "tags": "jsonb"}`` |
"""

# pyarrow ships no type stubs: its types are unknown to pyright.
# pyright: reportUnknownParameterType=false

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from platform_core.errors import MeshError
from platform_core.orchestration.asset_names import asset_relation
from platform_core.orchestration.io_managers_frames import Frame, frame_of, from_arrow, lazy_scan, to_arrow
from platform_core.orchestration.io_managers_partitions import EXPRESSION, PartitionError, conditions_of
from platform_core.orchestration.resources import LakeResource, WarehouseResource

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_core.warehouse.bulk_conditions import Condition


class IOManagerError(MeshError):
    """An asset and its IO manager do not go together."""


class PostgresFrameIOManager(dg.ConfigurableIOManager):
    """Frames in the domain's tables of the warehouse.

    An asset with the key ``<domain>/build/<model>`` is written to ``<domain>_build.<model>``: the whole table, or its partition,
    in one transaction. Inputs are read from the relation their key stands for: a port view, a build table or a raw table.
    """

    warehouse: dg.ResourceDependency[WarehouseResource]
    default_frame: Frame = Field(default="arrow", description="What to load for an input without a type annotation.")

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Writes the frame and attaches rows, columns, seconds and the relation."""
        from platform_core.warehouse.bulk_write import write_arrow

        where = _shown(context)
        schema, table = self._target(context.asset_key)
        metadata = context.definition_metadata
        types = _mapping(metadata.get("column_types"), "column_types", where)
        conditions = _conditions(context, metadata.get(EXPRESSION), where)
        started = time.perf_counter()
        data = to_arrow(obj, where, {name for name, kind in types.items() if kind.lower() in {"json", "jsonb"}})
        with self.warehouse.connection() as connection:
            rows = write_arrow(
                connection,
                schema,
                table,
                data,
                mode="replace" if conditions is None else "replace_partition",
                partition=conditions,
                column_types=types,
            )
        facts = {"relation": f"{schema}.{table}", "dagster/table_name": f"{schema}.{table}", "dagster/storage_kind": "postgres"}
        _report(context, data.schema, rows, started=started, facts=facts, types=types)

    def load_input(self, context: dg.InputContext) -> Any:
        """Reads the relation that the upstream key stands for."""
        from platform_core.warehouse.bulk_read import read_arrow

        where = _shown(context)
        frame = frame_of(context.dagster_type.typing_type, self.default_frame, where)
        relation = asset_relation(context.asset_key)
        if relation is None:
            raise IOManagerError("stands for no relation", where=where, remedy="use a key of three parts: <domain>/<product>/<table>")
        conditions = _conditions(context, _input_metadata(context, EXPRESSION), where)
        with self.warehouse.connection() as connection:
            table = read_arrow(connection, relation, columns=_columns(context, where), where=conditions or ())
        return from_arrow(table, frame)

    def _target(self, key: dg.AssetKey) -> tuple[str, str]:
        relation = asset_relation(key)
        domain = self.warehouse.domain
        if relation is None or list(key.path[:2]) != [domain, "build"]:
            raise IOManagerError(
                f"domain {domain} cannot write this asset to the warehouse",
                where=f"asset {key.to_user_string()}",
                remedy=f"give it the key [{domain!r}, 'build', '<model>'] (raw tables are loaded by connections, ports are published)",
            )
        return relation


class LakeParquetIOManager(dg.ConfigurableIOManager):
    """Frames as Parquet tables in the lake, at ``tables/<key>/.../[partition=<key>/]``; a write replaces the table or partition."""

    lake: dg.ResourceDependency[LakeResource]
    default_frame: Frame = Field(default="arrow", description="What to load for an input without a type annotation.")

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Writes the frame and attaches rows, columns, seconds, bytes and where it is."""
        where = _shown(context)
        key = list(context.asset_key.path)
        started = time.perf_counter()
        data = to_arrow(obj, where)
        tables = self.lake.tables()
        if not context.has_asset_partitions:
            written = [tables.write(key, data)]
        elif len(context.asset_partition_keys) == 1:
            written = [tables.write(key, data, partition=context.asset_partition_keys[0])]
        else:
            pieces = self._pieces(context, data, where)
            written = [tables.write(key, piece, partition=partition) for partition, piece in pieces.items()]
        facts: dict[str, Any] = {
            "relation": "/".join([self.lake.lake_url().rstrip("/"), "tables", *key]),
            "dagster/storage_kind": "parquet",
        }
        facts["bytes"] = sum(generation.bytes for generation in written)
        _report(context, data.schema, sum(generation.rows for generation in written), started=started, facts=facts, types={})

    def load_input(self, context: dg.InputContext) -> Any:
        """Reads the table, or the partitions that are asked for; a LazyFrame fetches what its query needs."""
        where = _shown(context)
        frame = frame_of(context.dagster_type.typing_type, self.default_frame, where)
        tables, key = self.lake.tables(), list(context.asset_key.path)
        columns = _columns(context, where)
        partitions = list(context.asset_partition_keys) if context.has_asset_partitions else None
        lazy = lazy_scan(tables.dataset(key, partitions=partitions), columns) if frame == "polars_lazy" else None
        return from_arrow(tables.read(key, columns=columns, partitions=partitions), frame) if lazy is None else lazy

    def _pieces(self, context: dg.OutputContext, data: "pa.Table | pa.RecordBatchReader", where: str) -> "dict[str, pa.Table]":
        """The rows of each partition of a run over several."""
        from platform_core.warehouse.bulk_conditions import mask

        table = data if hasattr(data, "num_rows") else data.read_all()
        expression = context.definition_metadata.get(EXPRESSION)
        pieces: dict[str, pa.Table] = {}
        for key in context.asset_partition_keys:
            pieces[key] = table.filter(mask(table, conditions_of(context.asset_partitions_def, [key], expression, where)))
        outside = table.num_rows - sum(piece.num_rows for piece in pieces.values())
        if outside:
            raise PartitionError(
                f"{outside} rows lie outside the partitions of this run", where=where, remedy=f"filter them out, or correct {EXPRESSION}"
            )
        return pieces


def _conditions(context: dg.OutputContext | dg.InputContext, expression: object, where: str) -> "list[Condition] | None":
    if not context.has_asset_partitions:
        return None
    keys = list(context.asset_partition_keys)
    return conditions_of(context.asset_partitions_def, keys, expression, where)


def _input_metadata(context: dg.InputContext, name: str) -> object:
    """From the input, or else from the asset it reads (when that is in the same code location)."""
    own = (context.definition_metadata or {}).get(name)
    if own is not None or context.upstream_output is None:
        return own
    return (context.upstream_output.definition_metadata or {}).get(name)


def _columns(context: dg.InputContext, where: str) -> list[str] | None:
    columns = (context.definition_metadata or {}).get("columns")
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Sequence) or not all(isinstance(name, str) for name in columns):
        raise IOManagerError(f"metadata columns is {columns!r}", where=where, remedy="write a list of column names")
    return list(columns)


def _mapping(value: object, name: str, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise IOManagerError(f"metadata {name} is {value!r}", where=where, remedy="write a Postgres type by column name")
    return dict(value)


def _shown(context: dg.OutputContext | dg.InputContext) -> str:
    if not context.has_asset_key:
        raise IOManagerError("keeps assets only", where=f"{context.name}", remedy="use another IO manager for outputs of ops")
    asset = context.asset_key.to_user_string()
    return f"asset {asset}" if isinstance(context, dg.OutputContext) else f"input {context.name} (asset {asset})"


def _report(
    context: dg.OutputContext,
    schema: "pa.Schema",
    rows: int,
    *,
    started: float,
    facts: Mapping[str, Any],
    types: Mapping[str, str],
) -> None:
    """Attaches what was written; what the asset has set itself stays."""
    from platform_core.warehouse.bulk_types import postgres_type

    columns = [dg.TableColumn(field.name, types.get(field.name) or postgres_type(field.type)) for field in schema]
    count = "dagster/partition_row_count" if context.has_asset_partitions else "dagster/row_count"
    attached = {
        "rows": rows,
        "columns": len(columns),
        "seconds": round(time.perf_counter() - started, 3),
        count: rows,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        **facts,
    }
    own = context.output_metadata or {}
    context.add_output_metadata({name: value for name, value in attached.items() if name not in own})
