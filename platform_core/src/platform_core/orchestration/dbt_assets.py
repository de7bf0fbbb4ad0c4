"""A domain's dbt project as assets and checks.

Loading reads the manifest as plain data; dagster-dbt and dbt are imported by the run that needs them. The process, its log events
and its errors are dagster-dbt's ``DbtCliInvocation``; unlike ``DbtCliResource.cli`` no second dbt is started to ask for the
version, and no adapter is loaded into the run (8 of 15 CPU-seconds for four models, see docs/benchmarks.md).
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import AssetExecutionContext

from platform_core.contracts import Mesh, naming
from platform_core.orchestration.asset_names import asset_key, relation_asset
from platform_core.orchestration.conditions import on_news, with_its_asset
from platform_core.orchestration.port_columns import column_metadata, kept_columns
from platform_core.settings import Settings
from platform_core.transformation import DbtProject, Model, Test, read_manifest

if TYPE_CHECKING:
    from dagster_dbt.core.dbt_cli_event import DbtCliEventMessage

_PARTIAL_PARSE = "partial_parse.msgpack"


def dbt_assets(project: DbtProject, mesh: Mesh) -> dg.AssetsDefinition:
    """The assets of a project's models, with its tests as checks; any subset of them can be run.

    Args:
        project: The project; its manifest must exist.
        mesh: Names the assets that its sources are.
    """
    manifest = read_manifest(project.manifest)
    keys = {model.unique_id: asset_key(naming.build_key(project.domain, model.name)) for model in manifest.models}
    checks = {test.unique_id: dg.AssetCheckKey(keys[test.model], test.name) for test in manifest.tests}

    @dg.multi_asset(
        name=f"{project.domain}_dbt",
        specs=[_spec(model, keys, project, mesh) for model in manifest.models],
        check_specs=[_check(test, checks[test.unique_id]) for test in manifest.tests],
        can_subset=True,
    )
    def build(context: AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        selected = [unique for unique, key in keys.items() if key in context.selected_asset_keys]
        selected += [unique for unique, check in checks.items() if check in context.selected_asset_check_keys]
        names = {node.unique_id: node for node in (*manifest.models, *manifest.tests)}
        everything = len(selected) == len(names)
        # A test of two models belongs to the one it is shown at: dbt's own choice would run it with either, before the other is built.
        chosen = ["--indirect-selection", "empty", "--select", *(_selector(names[unique]) for unique in selected)]
        selection = [] if everything else chosen
        relations = {model.unique_id: (model.schema, model.name) for model in manifest.models}
        columns = kept_columns(mesh, Settings.load(), project.domain, list(relations.values()))
        lineage = {unique: column_metadata(mesh, relation, columns) for unique, relation in relations.items()}
        for event in _invoke(project, ["build", *selection], context):
            yield from _results(event, keys, checks, context, lineage)

    return build


def _spec(model: Model, keys: Mapping[str, dg.AssetKey], project: DbtProject, mesh: Mesh) -> dg.AssetSpec:
    deps = [relation_asset(schema, name, mesh) or asset_key((schema, name)) for schema, name in model.parents]
    columns = [
        dg.TableColumn(name, type=data_type or "?", description=description or None)
        for name, (data_type, description) in model.columns.items()
    ]
    return dg.AssetSpec(
        keys[model.unique_id],
        deps=deps,
        group_name=project.domain,  # one group a domain: the global graph, which joins groups of one name, then shows the mesh
        kinds={"dbt", "postgres", *({"view"} if model.materialized == "view" else {"table"})},
        description=model.description or None,
        code_version=model.checksum[:12],
        automation_condition=on_news(set(deps) & set(keys.values())),
        skippable=True,
        tags={f"dbt/{tag}": "" for tag in model.tags},
        metadata={
            "dagster/relation_identifier": f"{model.schema}.{model.name}",
            "model": dg.MetadataValue.path(str(project.folder / model.file)),
            **({"dagster/column_schema": dg.TableSchema(columns=columns)} if columns else {}),
        },
    )


def _check(test: Test, key: dg.AssetCheckKey) -> dg.AssetCheckSpec:
    description = test.description or f"dbt test `{test.name}`"
    return dg.AssetCheckSpec(key.name, asset=key.asset_key, description=description, automation_condition=with_its_asset())


def _selector(node: Model | Test) -> str:
    """``unique_id`` is no selector; package, folders and name are."""
    return f"fqn:{'.'.join(node.fqn)}" if isinstance(node, Model) else node.name


def _invoke(project: DbtProject, arguments: list[str], context: AssetExecutionContext) -> Iterator["DbtCliEventMessage"]:
    """Runs dbt as the domain's role and yields its events; raises when dbt fails, after the last event."""
    from importlib.metadata import version

    from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation
    from packaging.version import Version

    from platform_core.warehouse import Warehouse

    settings = Settings.load()
    target = project.target / "runs" / context.run_id
    target.mkdir(parents=True, exist_ok=True)
    if (project.target / _PARTIAL_PARSE).is_file():
        shutil.copy(project.target / _PARTIAL_PARSE, target / _PARTIAL_PARSE)
    libpq = Warehouse.from_settings(settings).libpq_environment(naming.job_role(project.domain))
    environment = {
        **os.environ,
        **libpq,
        **project.environment(target),
        "DBT_LOG_FORMAT": "json",
        "DBT_USE_COLORS": "false",  # its words also go into alerts and files
        "DAGSTER_DBT_CLI": "true",
        "PYTHONUNBUFFERED": "1",
    }
    invocation = DbtCliInvocation.run(
        args=[str(Path(sys.executable).with_name("dbt")), *arguments],
        env=environment,
        manifest={},
        dagster_dbt_translator=DagsterDbtTranslator(),
        project_dir=project.folder,
        target_path=target,
        raise_on_error=True,
        context=None,
        adapter=None,
        cli_version=Version(version("dbt-core")),
    )
    yield from invocation.stream_raw_events()
    shutil.rmtree(target, ignore_errors=True)  # a failed run keeps its logs for who looks into it


def _results(
    event: "DbtCliEventMessage",
    keys: Mapping[str, dg.AssetKey],
    checks: Mapping[str, dg.AssetCheckKey],
    context: AssetExecutionContext,
    lineage: Mapping[str, Mapping[str, Any]],
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    raw: dict[str, Any] = event.raw_event
    data, name = raw["data"], raw["info"]["name"]
    unique = str((data.get("node_info") or {}).get("unique_id"))
    if name in {"LogModelResult", "LogSeedResult", "LogSnapshotResult"}:
        if data.get("status", "").lower() in {"error", "fail", "skipped"} or unique not in keys:
            return
        if keys[unique] in context.selected_asset_keys:
            yield dg.MaterializeResult(
                asset_key=keys[unique],
                metadata={
                    "seconds": round(float(data.get("execution_time") or 0), 3),
                    "dbt status": str(data.get("status")),
                    **lineage[unique],
                },
            )
    elif name == "LogTestResult" and unique in checks:
        status, key = str(data["status"]), checks[unique]
        if key in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=status == "pass",
                severity=dg.AssetCheckSeverity.WARN if status == "warn" else dg.AssetCheckSeverity.ERROR,
                metadata={"failing rows": int(data.get("num_failures") or 0), "seconds": round(float(data["execution_time"]), 3)},
            )
