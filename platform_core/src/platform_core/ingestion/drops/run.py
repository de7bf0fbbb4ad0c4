"""Looks into a drop and loads what is new: each content once, whatever is killed, renamed, copied or dropped twice."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from platform_core.contracts import naming
from platform_core.ingestion.drops import ledger
from platform_core.ingestion.drops.drop import Drop
from platform_core.ingestion.drops.errors import UnreadableFileError
from platform_core.ingestion.drops.ledger import Entry, Load
from platform_core.ingestion.drops.load_file import LoadedFile, as_connection, load_file
from platform_core.ingestion.drops.location import DropPlace, SeenFile
from platform_core.ingestion.drops.quarantine import QuarantinedFile, put_aside
from platform_core.ingestion.recovery import settle_dead_syncs
from platform_core.ingestion.session import locked_session
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DropProgress:
    """A running drop, for display: the file in work, its rows so far, files done and found."""

    file: str
    rows: int
    done: int
    found: int


@dataclass
class DropResult:
    """What a look into a drop has done.

    Attributes:
        table: ``<schema>.<table>``.
        loaded: Files whose rows are in the table now.
        known: Files whose content was loaded before under another name, with that name.
        quarantined: Files that cannot be read.
        resting: Files that changed while they were looked at; the next look takes them.
        newest_sync: The load that changed the table last, in this look or an earlier one.
        seconds: Wall time.
    """

    table: str
    loaded: list[LoadedFile] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    quarantined: list[QuarantinedFile] = field(default_factory=list)
    resting: list[str] = field(default_factory=list)
    newest_sync: str | None = None
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows loaded."""
        return sum(file.rows for file in self.loaded)

    @property
    def changed(self) -> bool:
        """Whether the table is another one than before."""
        return bool(self.loaded)


def places(drop: Drop, settings: Settings, environ: Mapping[str, str]) -> tuple[DropPlace, DropPlace]:
    """The location and the quarantine of a drop.

    Raises:
        DropFileError: An environment variable is not set.
        DropLocationError: No file system is known for a URL.
    """
    shown = drop.model.quarantine.location or f"{drop.model.location}/quarantine"
    location = DropPlace.at(drop.resolved(environ, settings.repo), f"{drop.at('location')} ({drop.model.location})")
    return location, DropPlace.at(drop.resolved_quarantine(environ, settings.repo), f"{drop.path} ({shown})")


def list_files(drop: Drop, settings: Settings, environ: Mapping[str, str]) -> list[SeenFile]:
    """The files that lie there now, the oldest first; no file is opened.

    Raises:
        DropFileError, DropLocationError: The place cannot be listed.
    """
    location, quarantine = places(drop, settings, environ)
    return location.files(drop.model.pattern, leave_out=quarantine)


def new_files(drop: Drop, files: list[SeenFile], warehouse: Warehouse) -> list[SeenFile]:
    """Those of the listed files that have to be looked into."""
    with warehouse.connect_domain(drop.domain, autocommit=True) as session:
        entries = ledger.current_entries(session, drop) if ledger.has_table(session, drop) else {}
    return [file for file in files if ledger.is_new(file, entries.get(file.path), drop)]


def run_drop(
    drop: Drop,
    *,
    warehouse: Warehouse,
    settings: Settings,
    full_refresh: bool = False,
    on_progress: Callable[[DropProgress], None] | None = None,
    environ: Mapping[str, str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> DropResult:
    """Loads every new or changed file of a drop, the oldest first; each file is a transaction of its own.

    A file that cannot be read goes into quarantine and does not stop the others.

    Args:
        drop: The declaration.
        warehouse: Where the raw table is.
        settings: Home (a copy of each file while it is read), lake, repository.
        full_refresh: Load files that were loaded before, too; their rows replace those from before.
        on_progress: Called about twice a second.
        environ: Values of ``${ENV}``, the process environment by default.
        sleep: Waits between two looks.

    Raises:
        DropFileError: An environment variable is not set.
        DropLocationError: The location or the quarantine cannot be reached.
        ConcurrentSyncError: Another look into this drop is going on.
        LoadError, RawCopyError: The warehouse or the lake cannot take the rows.
    """
    began = time.monotonic()
    environ = os.environ if environ is None else environ
    location, quarantine = places(drop, settings, environ)
    result = DropResult(f"{naming.raw_schema(drop.domain)}.{drop.model.stream}")
    connection = as_connection(drop)
    with locked_session(warehouse, connection) as session:
        settle_dead_syncs(session, connection, settings.lake_url)
        ledger.forget_if_table_is_gone(session, drop)
        shown = drop.shown(environ, settings.repo)
        work = _Look(session, drop, location, quarantine, shown, settings, result, full_refresh, on_progress)
        work.run(sleep)
        result.newest_sync = ledger.newest_load(session, drop)
    result.seconds = time.monotonic() - began
    return result


class _Look:
    """One look, holding the drop's lock."""

    def __init__(
        self,
        session: psycopg.Connection[Any],
        drop: Drop,
        location: DropPlace,
        quarantine: DropPlace,
        shown: str,
        settings: Settings,
        result: DropResult,
        full_refresh: bool,
        on_progress: Callable[[DropProgress], None] | None,
    ) -> None:
        self._session, self._drop, self._location, self._quarantine, self._location_shown = session, drop, location, quarantine, shown
        self._lake_url, self._result, self._full_refresh, self._on_progress = settings.lake_url, result, full_refresh, on_progress
        self._folder = settings.home / "drops" / drop.domain / drop.name
        self._listed: set[str] = set()
        self._loaded_now: set[str] = set()
        self._found = self._done = 0
        self._shown = 0.0

    def run(self, sleep: Callable[[float], None]) -> None:
        files = self._files()
        entries = ledger.current_entries(self._session, self._drop)
        new = [file for file in files if self._full_refresh or ledger.is_new(file, entries.get(file.path), self._drop)]
        if any(not file.whole for file in new):
            sleep(self._drop.model.settle_seconds)
            again = {file.path: file.fingerprint for file in self._files()}
            self._result.resting += [file.path for file in new if again.get(file.path, file.fingerprint) != file.fingerprint]
            new = [file for file in new if again.get(file.path) == file.fingerprint]
        self._found = len(new)
        shutil.rmtree(self._folder, ignore_errors=True)  # what a killed look left: this one holds the lock
        self._folder.mkdir(parents=True)
        try:
            for file in new:
                self._take(file, entries.get(file.path))
                self._done += 1
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[SeenFile]:
        files = self._location.files(self._drop.model.pattern, leave_out=self._quarantine)
        self._listed = {file.path for file in files}
        return files

    def _take(self, file: SeenFile, entry: Entry | None) -> None:
        copy = self._folder / "file"
        try:
            content_hash = self._location.fetch(file.path, copy)
        except FileNotFoundError:
            return  # taken away since the listing
        now = self._location.look(file.path)
        if now is None or now.fingerprint != file.fingerprint:
            self._result.resting.append(file.path)
            return
        session, drop = self._session, self._drop
        if entry is not None and entry.content_hash == content_hash and entry.status == "loaded" and not self._full_refresh:
            ledger.note(
                session, drop, file, content_hash, status="loaded", load=ledger.find_load(session, drop, content_hash)
            )  # touched, not changed
            return
        load = ledger.find_load(session, drop, content_hash)
        if load is not None and (not self._full_refresh or content_hash in self._loaded_now):
            self._share(file, content_hash, load)
            return
        try:
            self._result.loaded.append(self._load(file, content_hash, copy, former=load))
        except UnreadableFileError as error:
            self._set_aside(file, content_hash, copy, error)

    def _load(self, file: SeenFile, content_hash: str, copy: Path, former: Load | None) -> LoadedFile:
        session, drop = self._session, self._drop

        def in_transaction(load: Load) -> int:
            removed = ledger.remove_load(session, drop, former.sync_id, former.loaded_as) if former is not None else 0
            removed += ledger.retire_former(session, drop, file.path, keep=None)
            ledger.note(session, drop, file, content_hash, status="loaded", load=load)
            return removed

        loaded = load_file(
            session,
            drop,
            source=copy,
            name=file.path,
            lake_url=self._lake_url,
            in_transaction=in_transaction,
            on_rows=lambda rows: self._show(file.path, rows),
        )
        self._loaded_now.add(content_hash)
        for field_, count in loaded.unfit.items():
            _log.warning("%s: %d values of %s in %s do not fit the column's type and are NULL", drop.id, count, field_, file.path)
        return loaded

    def _share(self, file: SeenFile, content_hash: str, load: Load) -> None:
        """The content is in the table already: under another name, or from before this file held something else."""
        session, drop = self._session, self._drop
        with session.transaction():
            ledger.retire_former(session, drop, file.path, keep=load.sync_id)
            for other in ledger.paths_of(session, drop, load.sync_id):
                if other not in self._listed:  # renamed: from now on the rows go with the new name
                    ledger.let_go(session, drop, other)
            ledger.note(session, drop, file, content_hash, status="loaded", load=load)
        self._result.known[file.path] = load.loaded_as

    def _set_aside(self, file: SeenFile, content_hash: str, copy: Path, error: UnreadableFileError) -> None:
        session, drop = self._session, self._drop
        kept = put_aside(
            drop, self._quarantine, path=file.path, content_hash=content_hash, copy=copy, error=error, location=self._location_shown
        )
        with session.transaction():
            # The rows of the file's former version stay: a broken file takes nothing away.
            former = ledger.current_entries(session, drop).get(file.path)
            if drop.model.quarantine.original == "copy" or former is None:
                if former is not None:
                    ledger.let_go(session, drop, file.path)
                ledger.note(session, drop, file, content_hash, status="quarantined", error=str(error))
        if drop.model.quarantine.original == "move":
            self._location.remove(file.path)
        self._result.quarantined.append(kept)
        _log.warning("%s: %s is in quarantine as %s: %s", drop.id, file.path, kept.kept_as, error.what)

    def _show(self, path: str, rows: int) -> None:
        now = time.monotonic()
        if self._on_progress is None or now - self._shown < 0.5:
            return
        self._shown = now
        self._on_progress(DropProgress(path, rows, self._done, self._found))
