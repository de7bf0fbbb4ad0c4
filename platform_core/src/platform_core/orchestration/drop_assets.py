"""One asset per drop, and a sensor that asks for a run when a file is new or changed."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import AssetExecutionContext
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES, RunsFilter

from platform_core.contracts import naming
from platform_core.orchestration.alerts import Alert, send
from platform_core.orchestration.asset_names import asset_key
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

if TYPE_CHECKING:
    from platform_core.ingestion.drops import Drop, DropResult, SeenFile

LOOK_SECONDS = 5
_REST_SECONDS = 30.0  # a file that was not touched for so long is not being copied
_AGAIN_SECONDS = (60.0, 300.0, 900.0, 3600.0)  # how long the same files wait after a run that did not take them
_TAG = "mesh/drop"


def drop_key(drop: "Drop") -> dg.AssetKey:
    """The asset of a drop's raw table."""
    return asset_key(naming.raw_key(drop.domain, drop.model.stream))


def drop_asset(drop: "Drop") -> dg.AssetsDefinition:
    """The asset of a drop. A run that finds nothing new materializes nothing, so nothing downstream runs either."""
    key = drop_key(drop)
    spec = dg.AssetSpec(
        key,
        group_name=drop.domain,
        kinds={"file", "postgres"},
        description=drop.model.description or f"Files dropped at `{drop.model.location}`.",
        code_version=drop.content_hash,
        skippable=True,
        metadata={
            "declaration": dg.MetadataValue.path(str(drop.path)),
            "location": drop.model.location,
            "pattern": drop.model.pattern,
            "dagster/relation_identifier": f"{naming.raw_schema(drop.domain)}.{drop.model.stream}",
        },
    )

    @dg.multi_asset(name=f"{drop.domain}_drop_{drop.name}", specs=[spec])
    def load(context: AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        from platform_core.ingestion.drops import run_drop

        settings = Settings.load()
        warehouse = Warehouse.from_settings(settings)
        result = run_drop(drop, warehouse=warehouse, settings=settings)
        for said in alert_quarantined(drop, result, settings, warehouse, context.run_id):
            context.log.warning(said)
        # A run that was killed between its last commit and this line told nobody: the next one does.
        if result.changed or _told(context.instance, key) != result.newest_sync:
            yield dg.MaterializeResult(asset_key=key, metadata=_metadata(result))
        else:
            context.log.info("no new file")

    return load


def drop_sensor(drop: "Drop") -> dg.SensorDefinition:
    """Looks every few seconds: a listing of the location; when that has changed, a look into the ledger; and a run only for news."""

    @dg.sensor(
        name=f"{drop.name}_files",
        target=dg.AssetSelection.assets(drop_key(drop)),
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Loads new and changed files of {drop.model.location}.",
    )
    def files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from platform_core.ingestion.drops import list_files, new_files

        settings = Settings.load()
        memory = Memory.read(context.cursor)
        found = list_files(drop, settings, os.environ)
        listing = f"{drop.content_hash[:8]}{_hash(found)}"  # another declaration looks with other eyes
        if listing == memory.quiet_listing:
            return dg.SensorResult(skip_reason="nothing new", cursor=context.cursor)
        new = new_files(drop, found, Warehouse.from_settings(settings))
        busy = bool(context.instance.get_runs(RunsFilter(tags={_TAG: drop.id}, statuses=NOT_FINISHED_STATUSES), limit=1))
        decision = decide(memory, listing, new, busy=busy, now=time.time())
        request = dg.RunRequest(
            run_key=f"{drop.id}-{decision.memory.asked}-{decision.memory.asked_at:.0f}",
            asset_selection=[drop_key(drop)],
            tags={_TAG: drop.id},
        )
        return dg.SensorResult(
            run_requests=[request] if decision.run else [],
            skip_reason=None if decision.run else decision.reason,
            cursor=decision.memory.text(),
        )

    return files


@dataclass(frozen=True)
class Memory:
    """What a sensor remembers from tick to tick.

    Attributes:
        quiet_listing: Hash of a listing in which nothing was new.
        resting: Files that were new and perhaps not whole, with their fingerprints.
        asked: Hash of the files for which a run was asked; ``tries`` how often, ``asked_at`` when last.
    """

    quiet_listing: str = ""
    resting: dict[str, str] = field(default_factory=dict)
    asked: str = ""
    tries: int = 0
    asked_at: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> "Memory":
        """From the sensor's cursor; a cursor of another version is forgotten."""
        try:
            return cls(**json.loads(cursor)) if cursor else cls()
        except (TypeError, ValueError):
            return cls()

    def text(self) -> str:
        """The sensor's cursor."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Decision:
    """Whether a run is asked for, why not, and what is remembered."""

    run: bool
    reason: str
    memory: Memory


def decide(memory: Memory, listing: str, new: "Sequence[SeenFile]", *, busy: bool, now: float) -> Decision:
    """Decides a tick.

    A file counts when the store only shows whole objects, when it looks as in the tick before, or when nobody touched it for half
    a minute. Files that a run did not take are asked for again, ever more rarely.

    Args:
        memory: Of the tick before.
        listing: Hash of what lies there.
        new: Files that the ledger does not know as they are.
        busy: Whether a run of this drop is queued or running.
        now: Seconds since 1970.
    """
    if not new:
        return Decision(False, "nothing new", Memory(quiet_listing=listing))
    if busy:
        return Decision(False, "a run is on its way", memory)
    ready = [file for file in new if file.whole or memory.resting.get(file.path) == file.fingerprint or now - file.order[0] > _REST_SECONDS]
    resting = {file.path: file.fingerprint for file in new}
    if not ready:
        return Decision(False, f"{len(new)} file(s) may still be written", Memory("", resting, memory.asked, memory.tries, memory.asked_at))
    asked = _hash(ready)
    tries = memory.tries if asked == memory.asked else 0
    wait = _AGAIN_SECONDS[min(tries, len(_AGAIN_SECONDS)) - 1] - (now - memory.asked_at) if tries else 0.0
    if wait > 0:
        reason = f"a run did not take {len(ready)} file(s); asking again in {wait:.0f} s"
        return Decision(False, reason, Memory("", resting, memory.asked, memory.tries, memory.asked_at))
    return Decision(True, "", Memory("", resting, asked, tries + 1, now))


def alert_quarantined(drop: "Drop", result: "DropResult", settings: Settings, warehouse: Warehouse, run_id: str | None) -> list[str]:
    """Alerts on every file that was put into quarantine; what became of each alert, for the log."""
    return [
        send(
            Alert(
                drop.domain,
                f"the dropped file {file.path} cannot be read",
                f"{file.reason}\nDrop {drop.id}; kept with a letter as {file.kept_as}.error.txt in the quarantine.",
                run_id,
            ),
            settings,
            warehouse,
        )
        for file in result.quarantined
    ]


def report_drop(home: Path, drop: "Drop", result: "DropResult") -> None:
    """Tells the Dagster instance at ``home`` of files that were loaded outside of it, so that what depends on the table runs."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        if result.changed or _told(instance, drop_key(drop)) != result.newest_sync:
            instance.report_runless_asset_event(dg.AssetMaterialization(drop_key(drop), metadata=_metadata(result)))


def _told(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    event = instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    return str(materialization.metadata["sync"].value) if materialization and "sync" in materialization.metadata else None


def _metadata(result: "DropResult") -> dict[str, Any]:
    listed = "\n".join(
        f"- `{file.path}`: {file.rows:,} rows" + (f" for {file.replaced:,}" if file.replaced else "") for file in result.loaded
    )
    changes = [f"- `{change}` ({file.path})" for file in result.loaded for change in file.schema_changes]
    unfit = [f"- {count:,} of `{name}` ({file.path})" for file in result.loaded for name, count in file.unfit.items()]
    more = {
        "files": listed,
        "schema changes": "\n".join(changes),
        "values that do not fit their column": "\n".join(unfit),
        "in quarantine": "\n".join(f"- `{file.path}`: {file.reason}" for file in result.quarantined),
    }
    return {
        **{name: dg.MetadataValue.md(text) for name, text in more.items() if text},
        "dagster/row_count": result.rows,
        "seconds": round(result.seconds, 3),
        "sync": result.newest_sync or "none",
    }


def _hash(files: "Sequence[SeenFile]") -> str:
    return hashlib.sha256("\0".join(f"{file.path}\0{file.fingerprint}" for file in files).encode()).hexdigest()[:32]
