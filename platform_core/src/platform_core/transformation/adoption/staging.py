"""The project as it will be in the domain, compiled by dbt in a folder of its own: its manifest, and the columns of its relations."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from platform_core.contracts import naming
from platform_core.settings import Settings
from platform_core.transformation.adoption.decision import Decision
from platform_core.transformation.adoption.foreign_sql import foreign_functions
from platform_core.transformation.adoption.inferred_types import infer_types
from platform_core.transformation.adoption.project_edits import PACKAGES, EditedProject, edit_project
from platform_core.transformation.adoption.proposal import Known
from platform_core.transformation.adoption.read_project import DbtFolder
from platform_core.transformation.adoption.seed_types import seed_types
from platform_core.transformation.lineage.compiled import Compiled, compiled
from platform_core.transformation.lineage.model_lineage import ModelLineage
from platform_core.transformation.project import TransformationError
from platform_core.transformation.starting.column_types import logical_type
from platform_core.transformation.starting.dbt_text import project_name
from platform_core.transformation.starting.names import fitting

_POSTGRES = {None, "postgres", "redshift"}
_TWO = re.compile(r"two resources with the database representation.*?- (\S+) \(([^)]*)\)\s*- (\S+) \(([^)]*)\)")
_RENAMES = 20


@dataclass(frozen=True)
class Staged:
    """What dbt makes of the project.

    Attributes:
        edited: Its files in the domain.
        manifest: dbt's manifest of them.
        known: The columns of its relations.
        decisions: Names that had to change.
    """

    edited: EditedProject
    manifest: Mapping[str, Any]
    known: Known
    decisions: tuple[Decision, ...]


def stage(domain: str, read: DbtFolder, settings: Settings, built: Mapping[str, Mapping[str, str]]) -> Staged:
    """Compiles the project as the domain will, without a database.

    Args:
        domain: The domain.
        read: The project.
        settings: Of the platform; only what is no folder is used.
        built: Relations of the domain's build schema, from an earlier build, with their columns and types.

    Raises:
        TransformationError: dbt does not take the project; the message carries what dbt says.
    """
    aliases: dict[str, str] = {}
    decisions: list[Decision] = []
    for _ in range(_RENAMES):
        edited = edit_project(domain, read.files, aliases)
        with tempfile.TemporaryDirectory(prefix="mesh-adopt-") as folder:
            staged = replace(settings, repo=Path(folder), home=Path(folder, ".home"))
            for name, content in edited.files.items():
                path = Path(folder, "dbt_projects", project_name(domain), name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            (project,) = compiled([domain], staged, {})
            if project.error is None:
                manifest = _manifest(staged, domain)
                seeds = _seeds(manifest, Path(folder, "dbt_projects", project_name(domain)))
                known = _known(project, manifest, staged, read, built, seeds)
                return Staged(edited, manifest, known, tuple(decisions))
        two = _TWO.search(project.error)
        if two is None:
            remedy = "correct the project (dbt parse in its folder says the same), or set what it asks for, then adopt again"
            raise TransformationError(f"dbt does not take the project: {project.error}", where=str(read.folder), remedy=remedy)
        unique, alias, decision = _renamed(two)
        if unique in aliases:
            break
        aliases[unique] = alias
        decisions.append(decision)
    raise TransformationError(
        "too many relations of one name in different schemas",
        where=str(read.folder),
        remedy="give them aliases of their own, then adopt again",
    )


def _manifest(staged: Settings, domain: str) -> Mapping[str, Any]:
    import orjson

    return orjson.loads((staged.home / "lineage" / project_name(domain) / "target" / "manifest.json").read_bytes())


def _renamed(two: re.Match[str]) -> tuple[str, str, Decision]:
    """Of two relations of one name, the one that is made for other models gets another: its folder stands before it."""
    first, second = (two[1], two[2]), (two[3], two[4])
    inner = any(part in ("staging", "base", "intermediate", "snapshots", "seeds") for part in PurePosixPath(first[1]).parts)
    unique, path = first if inner else second
    name = unique.rpartition(".")[2]
    alias = fitting(f"{PurePosixPath(path).parent.name}_{name}", name)
    message = f"became the relation {alias}: {first[0]} and {second[0]} had one name in different schemas"
    return unique, alias, Decision("schema", unique, message, "nothing: ref() finds it", path)


def _seeds(manifest: Mapping[str, Any], folder: Path) -> dict[str, dict[str, str]]:
    """Columns of each seed with the types that dbt will give them."""
    paths = {
        key: folder / (f"{PACKAGES}/{node['package_name']}" if node["package_name"] != manifest["metadata"]["project_name"] else "")
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "seed"
    }
    return {
        key: seed_types(path / manifest["nodes"][key]["original_file_path"], manifest["nodes"][key]["config"])
        for key, path in paths.items()
    }


def _known(
    project: Compiled,
    manifest: Mapping[str, Any],
    staged: Settings,
    read: DbtFolder,
    built: Mapping[str, Mapping[str, str]],
    seeds: Mapping[str, Mapping[str, str]],
) -> Known:
    lineage = ModelLineage(project, staged)
    relations = {relation.id: relation for relation in lineage.relations({})}
    columns: dict[str, Mapping[str, str]] = {}
    whole: set[str] = set()
    before = {
        f"{model['schema']}.{model['alias']}": {
            **seeds.get(model["id"], {}),
            **_declared(model, manifest),
            **_of_snapshot(model, manifest),
            **_of_catalog(read, model["id"]),
        }
        for model in project.models
    }
    before |= {f"{source['schema']}.{source['alias']}": _of_catalog(read, source["id"]) for source in project.sources}
    whole_before = [f"{model['schema']}.{model['alias']}" for model in project.models if seeds.get(model["id"])]
    inferred = infer_types(project.models, {name: types for name, types in before.items() if types}, whole_before)
    for model in project.models:
        key, relation = model["id"], relations.get(f"{model['schema']}.{model['alias']}")
        catalog = _of_catalog(read, key)
        traced = list(relation.columns) if relation is not None and relation.closed else []
        seed = seeds.get(key, {})
        names = list(built.get(model["alias"], ())) or traced or list(catalog) or list(seed)
        if names:
            whole.add(key)
        own = {**seed, **inferred.get(key, {}), **_declared(model, manifest), **_of_snapshot(model, manifest)}
        types = {**own, **catalog, **built.get(model["alias"], {})}
        columns[key] = {name: types.get(name, "") for name in names} if names else types
    failed = {model["id"]: f"dbt cannot compile it here: {model['failed']}" for model in project.models if model["failed"]}
    for problem in lineage.problems:
        found = re.search(rf"the columns of {naming.build_schema('.*?')}\.(\S+) cannot be traced: (.*?); each is taken", problem.message)
        model = next((item for item in project.models if found and item["alias"] == found[1]), None)
        if found and model and model["id"] not in failed:
            failed[model["id"]] = f"its SQL is not understood as that of Postgres: {found[2]}"
    for model in project.models:
        functions = foreign_functions("\n".join(model["sql"] or ()))
        if functions and not model["failed"]:
            failed[model["id"]] = "Postgres has no " + ", no ".join(f"{name}() (instead: {other})" for name, other in functions.items())
    named = {*relations, *(f"{source['schema']}.{source['alias']}" for source in project.sources)}
    ids = {f"{model['schema']}.{model['alias']}": model["id"] for model in project.models}
    outside: dict[str, tuple[str, ...]] = {}
    for name, relation in relations.items():
        edges = (edge.source for listed in (*relation.columns.values(), relation.rest) for edge in listed)
        read_ = {ref.relation for ref in (*edges, *relation.rows)} | set(relation.wide)
        beside = sorted(item for item in read_ - named if "#" not in item and "~" not in item)
        owner = ids.get(name.partition("#")[0].partition("~")[0])
        if owner and beside:
            outside[owner] = tuple(dict.fromkeys((*outside.get(owner, ()), *beside)))
    return Known(columns, frozenset(whole), failed, outside)


def _declared(model: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    """Types that a seed is given by the project's configuration."""
    config = manifest["nodes"][model["id"]]["config"]
    return {str(name): str(kind) for name, kind in (config.get("column_types") or {}).items()}


def _of_snapshot(model: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    """The columns that dbt adds to a snapshot which compares columns: it stamps them with its own time (dbt-postgres, ``snapshot_get_time``)."""
    node = manifest["nodes"][model["id"]]
    if node["resource_type"] != "snapshot" or any((node["config"].get("snapshot_meta_column_names") or {}).values()):
        return {}
    stamped = "timestamp without time zone" if node["config"].get("strategy") == "check" else None
    times = dict.fromkeys(("dbt_updated_at", "dbt_valid_from", "dbt_valid_to"), stamped) if stamped else {}
    return {"dbt_scd_id": "text", **times}


def _of_catalog(read: DbtFolder, key: str) -> dict[str, str]:
    """Columns of the relation as it was built before; types only of a Postgres, names in its lower case otherwise."""
    entry: Mapping[str, Any] = read.catalog.get(key) or {}
    listed: list[Mapping[str, Any]] = list((entry.get("columns") or {}).values())
    ordered = sorted(listed, key=lambda item: int(item.get("index") or 0))
    if read.adapter in _POSTGRES:
        return {str(item["name"]): str(item["type"]) for item in ordered if logical_type(str(item["type"]))}
    return {str(item["name"]).lower(): "" for item in ordered}
