"""Which rows of a table: what a partition is made of. The same condition as SQL and as a mask over Arrow columns."""

# pyarrow ships no type stubs: its types are unknown to pyright, and the functions it generates at import are invisible to it.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from psycopg import sql

from platform_core.warehouse.bulk_errors import BulkError

if TYPE_CHECKING:
    import pyarrow as pa

_WINDOWED = {"date", "timestamp", "timestamptz"}


@dataclass(frozen=True)
class OneOf:
    """Rows whose ``column`` has one of ``values`` (None stands for NULL)."""

    column: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Within:
    """Rows whose ``column`` lies in one of the half-open windows ``[start, end)``.

    Bounds carry a zone. A ``timestamp`` without zone is taken as UTC; a ``date`` is compared with the bounds' local dates.
    """

    column: str
    windows: tuple[tuple[datetime, datetime], ...]


Condition = OneOf | Within


def predicate(conditions: Sequence[Condition], kinds: Mapping[str, str]) -> sql.Composable:
    """The conditions, joined by AND, as SQL without parameters (COPY takes none; values are quoted literals).

    Args:
        conditions: The conditions.
        kinds: Codec kind of every column of the relation (see `bulk_types.WireType`).

    Raises:
        BulkError: A column does not exist, or a time window is asked of a column that holds no time.
    """
    parts = [_sql(condition, _kind(condition, kinds)) for condition in conditions]
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def mask(table: pa.Table | pa.RecordBatch, conditions: Sequence[Condition]) -> pa.Array | pa.ChunkedArray:
    """Which rows of an Arrow table fulfil all conditions; never NULL.

    Raises:
        BulkError: As `predicate`; or a value cannot be one of the column's type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    result: pa.Array | pa.ChunkedArray = pa.repeat(True, table.num_rows)
    for condition in conditions:
        if condition.column not in table.schema.names:
            raise _missing(condition.column)
        column = table.column(condition.column)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        hit: pa.Array | pa.ChunkedArray = pa.repeat(False, table.num_rows)
        if isinstance(condition, OneOf):
            given = [_scalar(value, column.type, condition.column) for value in condition.values if value is not None]
            hit = pc.is_in(column, value_set=pa.array(given, column.type), skip_nulls=True)
            if None in condition.values:
                hit = pc.or_(hit, pc.is_null(column))
        else:
            for start, end in _bounds(condition, _arrow_kind(column.type)):
                low, high = (pa.scalar(bound).cast(column.type) for bound in (start, end))
                hit = pc.or_(hit, pc.and_(pc.greater_equal(column, low), pc.less(column, high)).fill_null(False))
        result = pc.and_(result, hit)
    return result


def _sql(condition: Condition, kind: str) -> sql.Composable:
    column = sql.Identifier(condition.column)
    if isinstance(condition, Within):
        windows = [
            sql.SQL("({0} >= {1} AND {0} < {2})").format(column, sql.Literal(start.isoformat()), sql.Literal(end.isoformat()))
            for start, end in _bounds(condition, kind)
        ]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(windows)) if windows else sql.SQL("false")
    # Untyped literals take the type of the column they are compared with.
    literals = [sql.Literal(str(value)) for value in condition.values if value is not None]
    parts = [sql.SQL("{} IN ({})").format(column, sql.SQL(", ").join(literals))] if literals else []
    if None in condition.values:
        parts.append(sql.SQL("{} IS NULL").format(column))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts)) if parts else sql.SQL("false")


def _bounds(condition: Within, kind: str) -> list[tuple[datetime, datetime]]:
    if kind not in _WINDOWED:
        raise BulkError(
            f"column {condition.column!r} holds no date or timestamp, so it cannot tell time partitions apart",
            remedy="name a date, timestamp or timestamptz column in the metadata partition_expr",
        )
    bounds: list[tuple[datetime, datetime]] = []
    for start, end in condition.windows:
        if kind == "date":
            if start.date() == end.date():
                raise BulkError(
                    f"column {condition.column!r} is a date, the partition {start} to {end} is shorter than a day",
                    remedy="name a timestamp column in the metadata partition_expr",
                )
            bounds.append(tuple(datetime(bound.year, bound.month, bound.day) for bound in (start, end)))  # pyright: ignore[reportArgumentType]
        elif kind == "timestamp":
            bounds.append((start.astimezone(UTC).replace(tzinfo=None), end.astimezone(UTC).replace(tzinfo=None)))
        else:
            bounds.append((start, end))
    return bounds


def _kind(condition: Condition, kinds: Mapping[str, str]) -> str:
    if condition.column not in kinds:
        raise _missing(condition.column)
    return kinds[condition.column]


def _missing(column: str) -> BulkError:
    return BulkError(f"there is no column {column!r} to tell partitions apart", remedy="correct the metadata partition_expr")


def _arrow_kind(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_date(kind):
        return "date"
    return ("timestamptz" if kind.tz else "timestamp") if pa.types.is_timestamp(kind) else "other"


def _scalar(value: object, kind: pa.DataType, column: str) -> object:
    import pyarrow as pa

    if pa.types.is_boolean(kind) and isinstance(value, bool):
        return value
    try:
        return pa.scalar(str(value)).cast(kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BulkError(f"{value!r} is no value of column {column!r} ({kind})", remedy="correct the partition") from error
