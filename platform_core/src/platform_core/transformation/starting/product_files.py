"""The files of a new product: its two standard files, the model or the Python asset that feeds it, and a test of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, Mesh, Table
from platform_core.contracts.problem import did_you_mean
from platform_core.transformation.project import TransformationError
from platform_core.transformation.starting.column_types import example_value, logical_type
from platform_core.transformation.starting.dbt_text import model_yaml, project_name, select_text, singular_test, source_yaml
from platform_core.transformation.starting.domain_tests import ExampleInput, product_test
from platform_core.transformation.starting.draft import ColumnDraft, InputDraft, ProductDraft, TableDraft
from platform_core.transformation.starting.product_text import contract_text, product_text
from platform_core.transformation.starting.python_asset import Upstream, asset_path, asset_text
from platform_core.transformation.starting.sql_names import quoted

_NOT_EMPTY = {"name": "has rows", "metric": "rowCount", "mustBeGreaterThan": 0, "dimension": "completeness", "severity": "error"}
_EXAMPLES = 3
_OF_THE_LOADER = "_airbyte_"
Kind = Literal["sql", "python"]
"""What builds the table of a product that starts: a model of dbt, or a Python asset."""


@dataclass(frozen=True)
class ProductStart:
    """A product and what its folder starts with.

    Attributes:
        draft: The product.
        dbt: Path below the domain's dbt project to text.
        modules: Path below the domain's package to text.
        examples: What the product reads, for its test; None when the product's test cannot make it.
        served: Rows that the port serves from the examples.
    """

    draft: ProductDraft
    dbt: Mapping[str, str] = field(default_factory=dict[str, str])
    examples: Sequence[ExampleInput] | None = ()
    served: int = _EXAMPLES
    modules: Mapping[str, str] = field(default_factory=dict[str, str])


def product_files(start: ProductStart) -> dict[str, str]:
    """Path from the repository's root to text."""
    draft = start.draft
    folder = f"domains/{draft.domain}/src/{draft.domain}/defs/{draft.name}"
    files = {
        f"{folder}/defs.yaml": "type: platform_core.DataProduct\n",
        f"{folder}/product.odps.yaml": product_text(draft),
        f"{folder}/contracts/{draft.name}.odcs.yaml": contract_text(draft),
    }
    files |= {f"dbt_projects/{project_name(draft.domain)}/{path}": text for path, text in start.dbt.items()}
    files |= {f"domains/{draft.domain}/src/{draft.domain}/{path}": text for path, text in start.modules.items()}
    if start.examples is not None:
        files[f"domains/{draft.domain}/tests/test_{draft.name}.py"] = product_test(draft, start.examples, start.served)
    return files


def from_nothing(draft: ProductDraft, table: str, kind: Kind = "sql") -> ProductStart:
    """A product with three example rows, to be replaced."""
    key = f"{table}_id"
    columns = (
        ColumnDraft(key, "integer", "bigint", "Identifies the row.", required=True, key_position=1),
        ColumnDraft("label", "string", "text", "Name of the row, for people.", required=True),
        ColumnDraft("updated_at", "timestamp", "timestamptz", "When the row last changed, in UTC.", required=True),
    )
    if kind == "python":
        return _with_asset(draft, table, [replace(column, origins=()) for column in columns], None, ())
    rows = ",\n    ".join(
        f"({number}::bigint, 'example {number}'::text, timestamptz '2026-01-{number:02d} 12:00:00+00')" for number in (1, 2, 3)
    )
    query = (
        f"-- Example rows. Write your own query, then its columns into contracts/{draft.name}.odcs.yaml: the two must agree.\n"
        f"select\n    {key},\n    label,\n    updated_at\nfrom (values\n    {rows}\n) as example ({key}, label, updated_at)\n"
    )
    return _with_model(draft, table, columns, query, {}, ())


def from_input(draft: ProductDraft, table: str, contract: Contract, kind: Kind = "sql") -> ProductStart:
    """A product that takes the columns of another product's port.

    Personal data is left out: it is masked for a reader, until the input port says that it is needed in clear.
    """
    source = contract.tables[0]
    chosen = [column for column in source.columns if not column.personal]
    columns = tuple(
        ColumnDraft(
            column.physical_name,
            column.logical_type or "string",
            column.physical_type,
            column.description,
            required=column.required or column.primary_key,
            key_position=column.primary_key_position if column.primary_key else 0,
            classification=column.classification,
            tags=column.tags,
            origins=(f"{contract.product_id}.{source.physical_name}.{column.physical_name}",) if kind == "python" else None,
        )
        for column in chosen
    )
    schema = naming.port_schema(contract.product_id)
    draft = replace(draft, kind="consumerAligned")
    example = ExampleInput(
        contract.domain,
        schema,
        source.physical_name,
        True,
        tuple((column.physical_name, column.physical_type or "text") for column in source.columns),
        _rows(source),
    )
    if kind == "python":
        key = naming.port_key(contract.product_id, source.physical_name)
        return _with_asset(draft, table, columns, Upstream(key, f"The port {contract.id}"), (example,))
    relation = f"{{{{ source('{schema}', '{source.physical_name}') }}}}"
    comment = f"The port {contract.id} as it is. Join, filter and sum up; the contract must name the columns that come out."
    query = select_text(comment, [quoted(column.name) for column in columns], relation)
    described = [(column.name, column.description or column.name) for column in columns]
    text = source_yaml(
        schema, f"Port views of the product {contract.product_id}.", source.physical_name, f"Contract {contract.id}.", described
    )
    return _with_model(draft, table, columns, query, {f"models/{table}.sources.yml": text}, (example,))


def from_stream(
    draft: ProductDraft,
    table: str,
    stream: str,
    found: Sequence[tuple[str, str]],
    connection: str | None,
    declared: bool,
    kind: Kind = "sql",
) -> ProductStart:
    """A product that takes the columns of a raw stream.

    Args:
        draft: The product.
        table: Its table.
        stream: Name of the raw table.
        found: Its columns and their types in Postgres, in their order.
        connection: The connection or drop that loads it.
        declared: Whether the dbt project declares the stream as a source already.
        kind: What builds the table.
    """
    schema = naming.raw_schema(draft.domain)
    own = [(name, typed) for name, typed in found if not name.startswith(_OF_THE_LOADER)]
    columns = tuple(
        ColumnDraft(
            name,
            logical_type(typed) or "string",
            typed,
            f"The field {name} of the stream {stream}.",
            origins=(f"{schema}.{stream}.{name}",) if kind == "python" else None,
        )
        for name, typed in own
    )
    query = select_text(
        f"The stream {stream} as the source sends it. Rename, filter and derive; the contract must name the columns that come out.",
        [quoted(column.name) for column in columns],
        f"{{{{ source('{schema}', '{stream}') }}}}",
    )
    described = [(column.name, str(column.description)) for column in columns]
    said = f"What the connection {connection} loads, as the source sends it." if connection else "Raw streams, as the source sends them."
    sources = {} if declared else {f"models/{table}.sources.yml": source_yaml(schema, said, stream, f"The stream {stream}.", described)}
    rows = tuple(tuple(example_value(typed, number) for _, typed in own) for number in range(1, _EXAMPLES + 1))
    example = ExampleInput(draft.domain, schema, stream, False, tuple(own), rows)
    inputs = (*draft.inputs, *((InputDraft(connection, connection=connection),) if connection else ()))
    draft = replace(draft, inputs=inputs)
    if kind == "python":
        # The declaration says what of the stream is personal, whatever reads it.
        return _with_asset(
            draft, table, columns, Upstream(naming.raw_key(draft.domain, stream), f"The stream {stream}"), (example,), sources
        )
    return _with_model(draft, table, columns, query, sources, (example,))


def from_model(draft: ProductDraft, table: TableDraft) -> ProductStart:
    """A product that a model of the project feeds already; what the model reads is the project's own affair."""
    quality = table.quality or (_NOT_EMPTY,)
    return ProductStart(replace(draft, tables=(replace(table, quality=quality),)), {}, None)


def input_of(name: str, mesh: Mesh) -> tuple[Contract, InputDraft]:
    """The contract of a port and the input port that names it at its version.

    Raises:
        TransformationError: There is no such contract, or it is retired.
    """
    contract = mesh.contracts.get(name)
    if contract is None:
        known = ", ".join(mesh.contracts) or "none"
        raise TransformationError(f"there is no contract {name!r}{did_you_mean(name, mesh.contracts)}", remedy=f"use one of: {known}")
    if contract.status == "retired":
        raise TransformationError(f"the contract {name!r} is retired", remedy="use its successor")
    return contract, InputDraft(contract.id.replace(".", "_"), contract.id, contract.version)


def _with_model(
    draft: ProductDraft,
    table: str,
    columns: tuple[ColumnDraft, ...],
    query: str,
    sources: Mapping[str, str],
    examples: tuple[ExampleInput, ...],
) -> ProductStart:
    made = TableDraft(table, table, columns, draft.purpose, quality=(_NOT_EMPTY,))
    key = next((column.name for column in columns if column.key_position), columns[0].name)
    test = singular_test(
        table,
        f"Rows without {key}: nothing could refer to them.",
        f"select {quoted(key)} from {{{{ ref('{table}') }}}} where {quoted(key)} is null",  # noqa: S608 - the text of a dbt test
    )
    dbt = {
        f"models/{table}.sql": query,
        f"models/{table}.yml": model_yaml(made),
        **sources,
        f"tests/{table}_rows_have_their_key.sql": test,
    }
    return ProductStart(replace(draft, tables=(made,)), dbt, examples)


def _with_asset(
    draft: ProductDraft,
    table: str,
    columns: Sequence[ColumnDraft],
    reads: Upstream | None,
    examples: tuple[ExampleInput, ...],
    dbt: Mapping[str, str] | None = None,
) -> ProductStart:
    made = TableDraft(table, table, tuple(columns), draft.purpose, quality=(_NOT_EMPTY,))
    modules = {asset_path(table): asset_text(draft, made, reads)}
    return ProductStart(replace(draft, tables=(made,)), dbt or {}, examples, modules=modules)


def _rows(table: Table) -> tuple[tuple[str, ...], ...]:
    """Example rows of a port's table that keep its lists of values."""
    listed = {rule.column: rule.arguments["values"] for rule in table.rules if rule.kind == "accepted_values"}
    made: list[tuple[str, ...]] = []
    for number in range(1, _EXAMPLES + 1):
        row: list[str] = []
        for column in table.columns:
            values = listed.get(column.physical_name)
            if values:
                value = str(values[(number - 1) % len(values)]).replace("'", "''")
                row.append(f"'{value}'")
            else:
                row.append(example_value(column.physical_type or "text", number))
        made.append(tuple(row))
    return tuple(made)
