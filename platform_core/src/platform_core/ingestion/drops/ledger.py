"""``mesh.dropped_files``: which content each file has had, and which of it is in the raw table (see ``schema.sql``).

A content is held by the files that have it now. Its rows leave the table when the last of them has moved on to other content
(and the declaration replaces), in the transaction that brings the new rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from platform_core.contracts import naming
from platform_core.ingestion.drops.drop import FILE_COLUMN, Drop
from platform_core.ingestion.drops.location import SeenFile
from platform_core.ingestion.tables import read_table

Session = psycopg.Connection[Any]


@dataclass(frozen=True)
class Entry:
    """What a file holds now.

    Attributes:
        path: The file, below the location.
        content_hash: SHA-256 of its content.
        fingerprint: As the listing showed it.
        status: ``loaded`` or ``quarantined``.
        sync_id: The load that brought the content's rows.
        loaded_as: The file's name at that time, the value of ``_file``.
        declaration: Hash of the declaration then in force.
    """

    path: str
    content_hash: str
    fingerprint: str
    status: str
    sync_id: str | None
    loaded_as: str
    declaration: str


@dataclass(frozen=True)
class Load:
    """A content whose rows are in the table: the sync that brought them, and the name of its file then."""

    sync_id: str
    loaded_as: str
    rows: int


def current_entries(session: Session, drop: Drop) -> dict[str, Entry]:
    """What each known file holds now, by path."""
    rows = session.execute(
        "SELECT path, content_hash, fingerprint, status, sync_id, loaded_as, declaration FROM mesh.dropped_files"
        " WHERE domain = %s AND drop_name = %s AND is_current",
        (drop.domain, drop.name),
    )
    return {row[0]: Entry(*row) for row in rows}


def is_new(file: SeenFile, entry: Entry | None, drop: Drop) -> bool:
    """Whether a listed file has to be looked into. Decides from the listing alone."""
    if entry is None or entry.fingerprint != file.fingerprint:
        return True
    # A file that was moved away and stands here again was put back on purpose; one that was copied waits for another declaration.
    return entry.status == "quarantined" and (drop.model.quarantine.original == "move" or entry.declaration != drop.content_hash)


def find_load(session: Session, drop: Drop, content_hash: str) -> Load | None:
    """The load whose rows of this content are in the table, if any."""
    row = session.execute(
        "SELECT sync_id, loaded_as, row_count FROM mesh.dropped_files"
        " WHERE domain = %s AND drop_name = %s AND content_hash = %s AND status = 'loaded' LIMIT 1",
        (drop.domain, drop.name, content_hash),
    ).fetchone()
    return Load(*row) if row else None


def has_table(session: Session, drop: Drop) -> bool:
    """Whether the raw table exists."""
    return bool(read_table(session, naming.raw_schema(drop.domain), drop.model.stream))


def forget_if_table_is_gone(session: Session, drop: Drop) -> None:
    """A raw table that somebody dropped is filled again from the files that are still there. Needs the drop's lock.

    Of the others a replay brings the rows: what they held is remembered.
    """
    if not has_table(session, drop):
        session.execute(
            "UPDATE mesh.dropped_files SET status = CASE status WHEN 'loaded' THEN 'lost' ELSE status END, is_current = false"
            " WHERE domain = %s AND drop_name = %s AND status <> 'quarantined'",
            (drop.domain, drop.name),
        )


def standing_loads(session: Session, drop: Drop) -> dict[str, str]:
    """The loads whose rows belong into the table, with their file's name then: those in it, and those that only the table lost.

    What was lost no longer counts when its content was loaded again, or (where changed files replace) its file has other content now.
    """
    rows = session.execute(
        "SELECT sync_id, min(loaded_as) FROM mesh.dropped_files AS mine WHERE domain = %s AND drop_name = %s AND (status = 'loaded'"
        " OR status = 'lost' AND NOT EXISTS (SELECT FROM mesh.dropped_files AS other WHERE other.domain = mine.domain"
        " AND other.drop_name = mine.drop_name AND other.status = 'loaded'"
        " AND (other.content_hash = mine.content_hash OR %s AND other.path = mine.path))) GROUP BY sync_id",
        (drop.domain, drop.name, drop.model.changed_file == "replace"),
    )
    return dict(rows.fetchall())


def note_replayed(session: Session, drop: Drop, sync_ids: list[str]) -> None:
    """Notes that the rows of these loads are in the table. Belongs into the transaction that brings them."""
    session.execute(
        "UPDATE mesh.dropped_files SET status = 'loaded' WHERE domain = %s AND drop_name = %s AND status = 'lost' AND sync_id = ANY (%s)",
        (drop.domain, drop.name, sync_ids),
    )


def retire_former(session: Session, drop: Drop, path: str, keep: str | None) -> int:
    """The file moves on: what it held before is no longer its content, and leaves the table when no other file holds it.

    Belongs into the transaction that brings the new rows.

    Args:
        session: The session.
        drop: The declaration.
        path: The file.
        keep: A load that stays in any case.

    Returns:
        Rows removed from the table.
    """
    known = (drop.domain, drop.name)
    session.execute(
        "UPDATE mesh.dropped_files SET is_current = false WHERE domain = %s AND drop_name = %s AND path = %s AND is_current", (*known, path)
    )
    if drop.model.changed_file == "append":
        return 0
    # Not only what was current: a version that could not be read may have come in between, and took nothing away.
    former = session.execute(
        "SELECT DISTINCT sync_id, loaded_as FROM mesh.dropped_files AS mine WHERE domain = %s AND drop_name = %s AND path = %s"
        " AND status = 'loaded' AND sync_id IS DISTINCT FROM %s AND NOT EXISTS (SELECT FROM mesh.dropped_files AS other"
        " WHERE other.domain = mine.domain AND other.drop_name = mine.drop_name AND other.sync_id = mine.sync_id AND other.is_current)",
        (*known, path, keep),
    ).fetchall()
    return sum(remove_load(session, drop, sync_id, loaded_as) for sync_id, loaded_as in former)


def remove_load(session: Session, drop: Drop, sync_id: str, loaded_as: str) -> int:
    """Takes the rows of one load out of the table, and notes it."""
    removed = session.execute(
        sql.SQL("DELETE FROM {} WHERE {} = %s AND \"_airbyte_meta\" ->> 'sync_id' = %s").format(
            sql.Identifier(naming.raw_schema(drop.domain), drop.model.stream), sql.Identifier(FILE_COLUMN)
        ),
        (loaded_as, sync_id),
    ).rowcount
    session.execute(
        "UPDATE mesh.dropped_files SET status = 'replaced' WHERE domain = %s AND drop_name = %s AND sync_id = %s",
        (drop.domain, drop.name, sync_id),
    )
    return removed


def let_go(session: Session, drop: Drop, path: str) -> None:
    """The file of this path no longer holds what it held: it was renamed, or broken."""
    session.execute(
        "UPDATE mesh.dropped_files SET is_current = false WHERE domain = %s AND drop_name = %s AND path = %s AND is_current",
        (drop.domain, drop.name, path),
    )


def newest_load(session: Session, drop: Drop) -> str | None:
    """The sync that changed the table last, None before the first one."""
    row = session.execute(
        "SELECT sync_id FROM mesh.syncs WHERE domain = %s AND connection = %s AND status = 'succeeded' ORDER BY finished_at DESC LIMIT 1",
        (drop.domain, drop.name),
    ).fetchone()
    return row[0] if row else None


def paths_of(session: Session, drop: Drop, sync_id: str) -> list[str]:
    """The files that hold a load's content now."""
    rows = session.execute(
        "SELECT path FROM mesh.dropped_files WHERE domain = %s AND drop_name = %s AND sync_id = %s AND is_current",
        (drop.domain, drop.name, sync_id),
    )
    return [row[0] for row in rows]


def note(
    session: Session,
    drop: Drop,
    file: SeenFile,
    content_hash: str,
    *,
    status: str,
    load: Load | None = None,
    error: str | None = None,
) -> None:
    """Writes what a file holds now. Belongs into the transaction that makes it true."""
    session.execute(
        "INSERT INTO mesh.dropped_files (domain, drop_name, path, content_hash, fingerprint, bytes, status, is_current, sync_id, loaded_as,"
        " row_count, error, declaration) VALUES (%s, %s, %s, %s, %s, %s, %s, true, %s, %s, %s, %s, %s)"
        " ON CONFLICT (domain, drop_name, path, content_hash) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,"
        " is_current = true, sync_id = excluded.sync_id, loaded_as = excluded.loaded_as, row_count = excluded.row_count,"
        " error = excluded.error, declaration = excluded.declaration, noted_at = clock_timestamp()",
        (
            drop.domain,
            drop.name,
            file.path,
            content_hash,
            file.fingerprint,
            file.size,
            status,
            load.sync_id if load else None,
            load.loaded_as if load else file.path,
            load.rows if load else 0,
            error,
            drop.content_hash,
        ),
    )
