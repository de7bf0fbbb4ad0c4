"""Errors of bulk IO."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from platform_core.warehouse.errors import WarehouseError

_REMEDIES: tuple[tuple[type[psycopg.Error], str], ...] = (
    (psycopg.errors.InsufficientPrivilege, "a domain writes its own build schema only, and reads the ports that its products name"),
    (psycopg.errors.InvalidSchemaName, "run `mesh apply`, which makes the schemas"),
    (psycopg.errors.UndefinedTable, "materialize the upstream asset first"),
    (psycopg.errors.DependentObjectsStillExist, "drop the objects that depend on the table"),
    (psycopg.errors.DataError, "correct the values in the asset, or give the column another type with column_types"),
    (psycopg.errors.OperationalError, "run `mesh doctor`; the write was rolled back and can be run again"),
)


class BulkError(WarehouseError):
    """A table cannot be written or read in bulk without loss, or the server refuses it."""


@contextmanager
def located(where: str) -> Generator[None]:
    """Turns the server's errors into `BulkError`, and puts the relation before the column in errors of the codec."""
    try:
        yield
    except BulkError as error:
        raise BulkError(error.what, where=f"{where}, {error.where}" if error.where else where, remedy=error.remedy) from error
    except psycopg.Error as error:
        remedy = next((text for kind, text in _REMEDIES if isinstance(error, kind)), None)
        raise BulkError(str(error).strip() or type(error).__name__, where=where, remedy=remedy) from error
