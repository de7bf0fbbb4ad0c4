"""`dg scaffold defs platform_core.FileDrop` writes what lints and loads; the component is an asset and a sensor."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

import platform_core
from platform_core.components.scaffolds import FileDropParams, FileDropScaffolder
from platform_core.ingestion.drops import check_drops, load_drops
from platform_core.orchestration.drop_assets import drop_asset, drop_sensor


def scaffold(repo: Path, params: FileDropParams | None) -> Path:
    (repo / "domains" / "sales" / "src" / "sales" / "defs").mkdir(parents=True, exist_ok=True)
    (repo / "workspace.yaml").touch()
    target = repo / "domains" / "sales" / "src" / "sales" / "defs" / "returns"
    request = dg.ScaffoldRequest("platform_core.FileDrop", target, "yaml", repo / "domains" / "sales", params)
    FileDropScaffolder().scaffold(request)
    return target


def test_what_is_scaffolded_lints_and_loads(tmp_path: Path) -> None:
    target = scaffold(tmp_path, None)
    assert (target / "defs.yaml").read_text() == "type: platform_core.FileDrop\n\nattributes:\n  drop: returns\n"
    assert check_drops(tmp_path) == ()
    (drop,) = load_drops(tmp_path, "sales")
    assert (drop.model.location, drop.model.pattern, drop.model.stream) == ("domains/sales/drops/returns", "*.csv", "returns")
    assert (tmp_path / drop.model.location).is_dir()
    assert drop_asset(drop).key == dg.AssetKey(["sales", "raw", "returns"])
    assert drop_sensor(drop).name == "returns_files"


def test_a_bucket_is_declared_and_not_made(tmp_path: Path) -> None:
    scaffold(tmp_path, FileDropParams(location="s3://${BUCKET}/returns", pattern="**/*.xlsx"))
    (drop,) = load_drops(tmp_path, "sales")
    assert drop.resolved({"BUCKET": "b"}, tmp_path) == "s3://b/returns"
    assert not (tmp_path / "domains" / "sales" / "drops").exists()


def test_the_component_is_registered_and_introduces_itself() -> None:
    assert "FileDrop" in platform_core.COMPONENTS
    spec = platform_core.FileDrop.get_spec()
    assert spec.description and "exactly once" in spec.description
