"""What Postgres has no room for: rows, columns and keys beyond its limits, and a disk that is full.

Source of the limits: PostgreSQL's manual, appendix K.
"""

from __future__ import annotations

import psycopg

from platform_core.ingestion.connection import Connection
from platform_core.ingestion.errors import LoadError

ROOM_ERRORS = (psycopg.errors.ProgramLimitExceeded, psycopg.errors.TooManyColumns, psycopg.errors.DiskFull)
"""What ``beyond_its_room`` explains."""


def is_too_wide(error: BaseException) -> bool:
    """Whether a row has more bytes than a page of a table: long values are kept elsewhere, but each leaves some 20 bytes in the row."""
    return isinstance(error, psycopg.errors.ProgramLimitExceeded) and "row is too big" in str(error)


def beyond_its_room(error: psycopg.Error, connection: Connection) -> LoadError:
    """The error of a sync whose rows Postgres has no room for, with what to do about it."""
    said = str(error).splitlines()[0]
    what, remedy = _explained(error, said)
    return LoadError(f"{what}: {said}", where=str(connection.path), remedy=remedy)


def _explained(error: psycopg.Error, said: str) -> tuple[str, str]:
    fewer = "have the connector send fewer fields (its config, see --discover)"
    if isinstance(error, psycopg.errors.DiskFull):
        return (
            "the disk of the warehouse is full",
            "make room there, then run it again: what was committed stays, and it goes on from there",
        )
    if isinstance(error, psycopg.errors.TooManyColumns):
        return "a stream has more columns than a table can", f"{fewer}; Postgres counts dropped columns too"
    if is_too_wide(error):
        return "a row of a stream fills too many columns at once", f"{fewer}: a row of a table holds about 1,000 numbers or 400 texts"
    if "index row" in said:  # of a B-tree, a third of a page: some 2,700 bytes
        return (
            "a value of a primary key is too long",
            "choose a shorter primary_key for the stream, or load it with incremental_append",
        )
    return "the warehouse has no room for a row", fewer
