"""A domain's code location: its defs folder, and what every location of the platform has."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._utils.warnings import suppress_dagster_warnings

from platform_core.contracts import load_mesh, naming
from platform_core.orchestration.asset_names import asset_key
from platform_core.orchestration.conditions import automation_sensor
from platform_core.orchestration.io_managers import LakeParquetIOManager, PostgresFrameIOManager
from platform_core.orchestration.resources import LakeResource, WarehouseResource
from platform_core.orchestration.rollback_reports import rollback_sensor
from platform_core.orchestration.run_requests import run_request_sensor
from platform_core.settings import find_repo


@suppress_dagster_warnings
def code_location(definitions_file: str) -> dg.Definitions:
    """The definitions of a domain.

    Loads every component and every Python definition under ``defs/`` beside the calling file, and adds the automation sensor, the
    warehouse and lake resources acting as the domain, the IO managers, and an executor that keeps a run in one process (a process
    a step costs an interpreter start each). Ports of other domains that a Python asset takes as input are made known to it.

    Args:
        definitions_file: ``__file__`` of the domain's ``definitions.py``.
    """
    folder = Path(definitions_file).resolve().parent
    domain = folder.name
    warehouse, lake = WarehouseResource(domain=domain), LakeResource(domain=domain)
    own = _defs_folder(folder)
    return dg.Definitions.merge(
        own,
        dg.Definitions(assets=_ports_elsewhere(own, folder)),
        dg.Definitions(
            sensors=[automation_sensor(), run_request_sensor(domain), rollback_sensor(domain)],
            resources={
                "warehouse": warehouse,
                "lake": lake,
                "io_manager": PostgresFrameIOManager(warehouse=warehouse),  # inputs of other assets are read from the warehouse too
                "parquet": LakeParquetIOManager(lake=lake),
            },
            executor=dg.in_process_executor,
        ),
    )


def _ports_elsewhere(own: dg.Definitions, folder: Path) -> list[dg.AssetSpec]:
    """Ports of other locations whose rows an asset takes as an argument: Dagster loads an input only of an asset that it knows here.

    A key that is no port of the mesh is left to Dagster, which refuses it by name.
    """
    assets = [asset for asset in own.assets or () if isinstance(asset, dg.AssetsDefinition)]
    made = {key for asset in assets for key in asset.keys} | {asset.key for asset in own.assets or () if isinstance(asset, dg.AssetSpec)}
    loaded = {key for asset in assets for name, key in asset.keys_by_input_name.items() if not _for_order_only(asset, name)}
    wanted = loaded - made
    if not wanted:
        return []
    contracts = load_mesh(find_repo(folder)).contracts.values()
    ports = {asset_key(naming.port_key(each.product_id, table.physical_name)) for each in contracts for table in each.tables}
    return [dg.AssetSpec(key) for key in sorted(wanted & ports)]


def _for_order_only(asset: dg.AssetsDefinition, name: str) -> bool:
    return asset.is_executable and asset.node_def.input_dict[name].dagster_type.is_nothing


def _defs_folder(folder: Path) -> dg.Definitions:
    """The same as ``dg.load_from_defs_folder``, without importing every integration that is installed.

    The stock function imports all registered component packages (dagster-dbt, dagster-airbyte, ...) only to describe them in the UI,
    and once more when the component tree is sent to it: 2.3 CPU-s and 90 MB for each location and each run. Here a location describes
    the platform's own components and sends no tree.
    """
    from dagster.components.core.load_defs import PLUGIN_COMPONENT_TYPES_JSON_METADATA_KEY, json_for_all_components
    from dagster.components.core.snapshot import get_package_entry_snap
    from dagster_shared.serdes.objects import EnvRegistryKey

    import platform_core

    tree = dg.ComponentTree.for_project(folder)
    children = [tree.build_defs_at_path(child.loc) for child in tree.find_root_decl().iterate_child_component_decls()]
    described = [
        get_package_entry_snap(EnvRegistryKey("platform_core", name), getattr(platform_core, name)) for name in platform_core.COMPONENTS
    ]
    metadata = {PLUGIN_COMPONENT_TYPES_JSON_METADATA_KEY: json_for_all_components(described)}
    return dg.Definitions.merge(*children, dg.Definitions(metadata=metadata))
