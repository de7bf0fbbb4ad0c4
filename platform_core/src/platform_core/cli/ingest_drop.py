"""``ingest`` for a drop: the files that people left, loaded now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from platform_core.cli.session import Session, err, out, print_json
from platform_core.errors import MeshError

if TYPE_CHECKING:
    from platform_core.ingestion import Connection
    from platform_core.ingestion.drops import Drop, DropProgress, DropResult


def drop_names(repo: Path) -> list[str]:
    """``<domain>/<drop>`` of every declaration."""
    return sorted(f"{path.parent.parent.name}/{path.stem}" for path in (repo / "airbyte").glob("*/drops/*.yaml"))


def find_drop(repo: Path, name: str) -> Drop | None:
    """The drop of that name, None when there is none; the domain may be left out where one drop only has the name.

    Raises:
        DropFileError: Its declaration is wrong, or the name is that of several.
    """
    from platform_core.ingestion.drops import DropFileError, drop_folder, load_drop

    fitting = [known for known in drop_names(repo) if name in (known, known.partition("/")[2])]
    if len(fitting) > 1:
        raise DropFileError(f"{name!r} names several drops", remedy=f"name one of: {', '.join(fitting)}")
    if not fitting:
        return None
    domain, _, stem = fitting[0].partition("/")
    return load_drop(drop_folder(repo, domain) / f"{stem}.yaml")


def ingest_drop(session: Session, drop: Drop, *, full_refresh: bool, as_json: bool) -> int:
    """Loads what is new, alerts on what cannot be read, and tells a running platform; the exit code, 1 with files in quarantine."""
    from platform_core.ingestion.drops import run_drop
    from platform_core.orchestration.drop_assets import alert_quarantined, report_drop
    from platform_core.orchestration.local_instance import instance_home

    settings, warehouse = session.settings, session.warehouse
    with err.status(f"looking into {drop.model.location}") as status:

        def show(progress: DropProgress) -> None:
            status.update(f"{progress.file} ({progress.done + 1} of {progress.found}): {progress.rows:,} rows")

        result = run_drop(drop, warehouse=warehouse, settings=settings, full_refresh=full_refresh, on_progress=show)
    alert_quarantined(drop, result, settings, warehouse, None)
    if (instance_home(settings) / "dagster.yaml").is_file():
        report_drop(instance_home(settings), drop, result)
    if as_json:
        print_json(_document(drop, result))
    else:
        _print(drop, result)
    return 1 if result.quarantined else 0


def drop_as_connection(drop: Drop) -> Connection:
    """As what its syncs and raw copies are kept."""
    from platform_core.ingestion.drops.load_file import as_connection

    return as_connection(drop)


def refuse_options(drop: Drop, given: dict[str, object]) -> None:
    """Options of connections that mean nothing for files.

    Raises:
        MeshError: One of them was given.
    """
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise MeshError(
            f"{drop.id} is a drop of files, which knows no {', '.join(wrong)}",
            remedy="leave it out; to read every file again add --full-refresh",
        )


def _document(drop: Drop, result: DropResult) -> dict[str, object]:
    return {
        "drop": drop.id,
        "table": result.table,
        "seconds": round(result.seconds, 2),
        "rows": result.rows,
        "loaded": [
            {
                "file": file.path,
                "rows": file.rows,
                "replaced": file.replaced,
                "unfit": file.unfit,
                "schema_changes": file.schema_changes,
                "sync": file.sync_id,
                "raw": file.raw_object,
            }
            for file in result.loaded
        ],
        "known": result.known,
        "quarantined": [{"file": file.path, "kept_as": file.kept_as, "reason": file.reason} for file in result.quarantined],
        "resting": result.resting,
    }


def _print(drop: Drop, result: DropResult) -> None:
    for file in result.loaded:
        instead = f", {file.replaced:,} rows left for them" if file.replaced else ""
        out.print(f"{file.path}: {file.rows:,} rows into {result.table}{instead}", markup=False)
        for change in file.schema_changes:
            out.print(f"  changed: {change}", markup=False)
        for field, count in file.unfit.items():
            out.print(f"  {count:,} values of {field} do not fit its type: NULL, see _airbyte_meta", markup=False)
    for path, name in result.known.items():
        out.print(f"{path}: the same content was loaded as {name}", markup=False)
    for path in result.resting:
        out.print(f"{path}: is being written; the next look takes it", markup=False)
    for kept in result.quarantined:
        out.print(f"{kept.path}: in quarantine. {kept.reason}", markup=False, soft_wrap=True)
    if not (result.loaded or result.known or result.resting or result.quarantined):
        out.print(f"no new file in {drop.model.location}", markup=False)
    out.print(f"{result.seconds:.1f} s")
