"""An output port as assets: one multi-asset a port, one asset a table, one check a rule; materialized means published."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import AssetExecutionContext
from dagster._check import CheckError

from platform_core import publishing
from platform_core.catalog import CatalogProduct, ColumnEdge, Edge, Operation, announce_columns, deliver_all, with_columns
from platform_core.catalog import RuleResult as CatalogResult
from platform_core.catalog import announce as tell_catalog
from platform_core.catalog import announce_failed_audit as tell_of_failed_audit
from platform_core.contracts import FRESHNESS_UNITS, Contract, DataProduct, Rule, Table, load_mesh, naming
from platform_core.errors import MeshError
from platform_core.orchestration.asset_names import asset_key, asset_relation, owners, tag_value
from platform_core.orchestration.conditions import on_news
from platform_core.orchestration.port_columns import column_metadata, kept_columns, traced_columns
from platform_core.publishing import Outcome, rules_of
from platform_core.quality import RuleResult
from platform_core.settings import Settings
from platform_core.transformation import DbtProject, TransformationError, read_manifest
from platform_core.warehouse import Warehouse, readers

if TYPE_CHECKING:
    from psycopg import Connection


def port_assets(product: DataProduct, contract: Contract) -> dg.AssetsDefinition:
    """The assets of a port. They are published together or not at all, so they cannot be run one by one."""
    rules: dict[str, Rule] = {rule.name: rule for table in contract.tables for rule in rules_of(table)}
    keys = {table.physical_name: asset_key(naming.port_key(product.id, table.physical_name)) for table in contract.tables}
    version = code_version(product, contract)

    @dg.multi_asset(
        name=f"{product.domain}_publish_{product.name}_{contract.port}",
        specs=[_spec(product, contract, table, keys[table.physical_name], version) for table in contract.tables],
        check_specs=[_check(rule, keys[rule.table]) for rule in rules.values()],
    )
    def publish_port(context: AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        settings = Settings.load()
        warehouse = Warehouse.from_settings(settings)
        mesh = load_mesh(settings.repo)
        edges = _edges(context, list(keys.values()))
        tables = [(product.schema, table) for table in keys]
        columns = kept_columns(mesh, settings, product.domain, tables)
        announced: list[CatalogProduct] = []
        context.log.info(f"auditing {contract.id}: {len(rules)} rules over {len(contract.tables)} tables")
        outcome = publishing.publish(
            warehouse,
            contract,
            readers(mesh, contract),
            lambda relations: publishing.audit_candidate(warehouse, contract, relations),
            code_version=version,
            run_id=context.run_id,
            copied=frozenset(table.model for table in contract.tables if table.incremental) | _incremental(product.domain, settings),
            announce=lambda connection, result: announced.extend(_announce(connection, product, contract, result, edges, columns)),
        )
        for result in outcome.results:
            yield _check_result(result, keys[result.rule.table])
        if outcome.broken:
            _deliver(warehouse, settings, context, product.domain)  # a failed audit is news for the catalog too
            raise _rejection(contract, outcome)
        for table in contract.tables:
            yield dg.MaterializeResult(
                asset_key=keys[table.physical_name],
                metadata=_metadata(contract, table, outcome) | column_metadata(mesh, (product.schema, table.physical_name), columns),
            )
        if columns is None:  # the consumers have their event, and may begin
            try:
                found = traced_columns(mesh, settings, product.domain, tables)
                with warehouse.connect_domain(product.domain) as connection:
                    for told in announced:
                        announce_columns(connection, with_columns(connection, told, found))
            except (MeshError, OSError) as error:  # the data is published: the next publication asks again
                context.log.warning(f"the catalog is not told where columns come from: {error}")
        _deliver(warehouse, settings, context, product.domain)

    return publish_port


def code_version(product: DataProduct, contract: Contract) -> str:
    """Hash of the files that decide how a port is published."""
    return hashlib.sha256(product.path.read_bytes() + contract.path.read_bytes()).hexdigest()[:12]


def _spec(product: DataProduct, contract: Contract, table: Table, key: dg.AssetKey, version: str) -> dg.AssetSpec:
    schema = naming.port_schema(product.id)
    columns = [
        dg.TableColumn(
            column.physical_name,
            type=column.physical_type or column.logical_type or "?",
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=not (column.required or column.primary_key), unique=column.unique),
            tags={
                **{tag_value(tag): "" for tag in (*column.tags, *([column.classification] if column.classification else []))},
                **({"mask": tag_value(str(column.mask))} if column.mask else {}),
            },
        )
        for column in table.columns
    ]
    built = asset_key(naming.build_key(product.domain, table.model))
    return dg.AssetSpec(
        key,
        deps=[built],
        group_name=product.domain,
        description=table.description or contract.description_purpose,
        owners=owners(product.team_name, product.owners),
        kinds={"postgres", "dataproduct"},
        tags={
            "mesh/domain": product.domain,
            "mesh/product": product.id,
            "mesh/contract_version": contract.version,
            **{tag_value(tag): "" for tag in (*product.tags, *table.tags)},
            **({"pii": ""} if any(column.personal for column in table.columns) else {}),
        },
        code_version=version,
        automation_condition=on_news([built]),
        freshness_policy=_freshness(contract, table),
        metadata={
            "dagster/column_schema": dg.TableSchema(columns=columns),
            "dagster/relation_identifier": f"{naming.DATABASE}.{schema}.{table.physical_name}",
            "contract": contract.id,
            "contract version": contract.version,
            "contract file": dg.MetadataValue.path(str(contract.path)),
            "product": product.id,
            "purpose": contract.description_purpose or product.description_purpose or "",
            **({"support": dg.MetadataValue.url(product.support[0].url)} if product.support and product.support[0].url else {}),
            "roles": ", ".join(role.name for role in contract.roles),
        },
    )


def _check(rule: Rule, key: dg.AssetKey) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        rule.name,
        asset=key,
        blocking=rule.blocking,
        description=rule.description
        or f"{rule.kind.replace('_', ' ')}{f' of {rule.column}' if rule.column else ''} ({rule.location.in_repo})",
        metadata={"rule": rule.location.in_repo, "dimension": rule.dimension or "none"},
    )


def _freshness(contract: Contract, table: Table) -> dg.FreshnessPolicy | None:
    for level in contract.sla:
        named = (level.element or table.name).split(".")[0]
        if level.property == "freshness" and named in {table.name, table.physical_name}:
            seconds = float(level.value) * FRESHNESS_UNITS[str(level.unit)]
            return dg.FreshnessPolicy.time_window(fail_window=timedelta(seconds=seconds))
    return None


def _check_result(result: RuleResult, key: dg.AssetKey) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"observed": result.observed, "rule": result.rule.location.in_repo}
    if not result.passed:
        metadata["sample query"] = dg.MetadataValue.md(f"```sql\n{result.sample_query or '-- none'}\n```")
        if result.sample_rows:
            metadata["sample rows"] = dg.MetadataValue.json(list(result.sample_rows))
        if result.error:
            metadata["error"] = result.error
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=result.rule.name,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.ERROR if result.rule.blocking else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def _rejection(contract: Contract, outcome: Outcome) -> dg.Failure:
    lines = [f"{result.rule.location.in_repo}: {result.rule.name}: {result.observed}" for result in outcome.broken]
    return dg.Failure(
        description=f"{contract.id} keeps its former version: {len(lines)} blocking rule(s) did not hold\n" + "\n".join(lines),
        metadata={"contract": contract.id, "publication": outcome.publication, "failed rules": "\n".join(lines)},
        allow_retries=False,
    )


def _metadata(contract: Contract, table: Table, outcome: Outcome) -> dict[str, Any]:
    results = [result for result in outcome.results if result.rule.table == table.physical_name]
    return {
        "dagster/row_count": outcome.rows.get(table.physical_name, 0),
        "publication": outcome.publication,
        "contract version": contract.version,
        "checks passed": sum(result.passed for result in results),
        "checks failed": sum(not result.passed for result in results),
        **{f"seconds/{step}": round(seconds, 3) for step, seconds in outcome.seconds.items()},
        "version table": f"{naming.data_schema(contract.product_id)}.{outcome.versions[table.physical_name]}",
    }


def _incremental(domain: str, settings: Settings) -> frozenset[str]:
    try:
        project = DbtProject.of(domain, settings)
    except TransformationError:
        return frozenset()  # a domain without dbt has no incremental models
    return read_manifest(project.manifest).incremental() if project.manifest.is_file() else frozenset()


def _edges(context: AssetExecutionContext, ports: list[dg.AssetKey]) -> list[Edge]:
    """Edges between relations, from this port's tables up to the streams and to other products' ports."""
    try:
        graph = context.repository_def.asset_graph
    except CheckError:  # `dg.materialize` in somebody's test: no code location, but the graph of what it was given
        graph = context.job_def.asset_layer.asset_graph
    edges: list[Edge] = []
    queue, seen = list(ports), set(ports)
    while queue:
        key = queue.pop()
        if not graph.has(key):
            continue
        for parent in sorted(graph.get(key).parent_keys):
            source, target = asset_relation(parent), asset_relation(key)
            if source is not None and target is not None:
                edges.append((source, target))
            own = parent.path[0] == key.path[0]
            if own and parent not in seen:
                seen.add(parent)
                queue.append(parent)
    return edges


def _announce(
    connection: "Connection",
    product: DataProduct,
    contract: Contract,
    outcome: Outcome,
    edges: list[Edge],
    columns: Sequence[ColumnEdge] | None,
) -> list[CatalogProduct]:
    """Records what the catalog is to be told, in the transaction that switches the port or records the rejection.

    Returns:
        What was told of a publication; nothing of a rejection.
    """
    now = datetime.now(UTC)
    known = {rule.name for table in contract.tables for rule in table.rules}
    results = [
        CatalogResult(
            result.rule,
            result.passed,
            now,
            failed_to_run=result.error is not None,
            rows=result.checked_rows,
            unexpected=result.unexpected_count,
            observed=result.observed,
        )
        for result in outcome.results
        if result.rule.name in known
    ]
    if not outcome.published:
        tell_of_failed_audit(connection, contract, outcome.publication, now, results)
        return []
    operation = Operation("publication", now, "dagster")
    told = CatalogProduct.of_port(product, contract, outcome.publication, now, outcome.rows, edges, results, operation)
    tell_catalog(connection, told if columns is None else with_columns(connection, told, columns))
    return [told]


def _deliver(warehouse: Warehouse, settings: Settings, context: AssetExecutionContext, domain: str) -> None:
    """Sends the outbox now; what a sink does not take waits for the platform's delivery sensor."""
    for delivery in deliver_all(warehouse, settings, domain):
        context.log.info(f"catalog {delivery.sink}: {delivery.sent} sent, {len(delivery.refused)} refused")
        if delivery.failure is not None:
            context.log.warning(f"catalog {delivery.sink} takes nothing now, the rest waits in the outbox: {delivery.failure}")
