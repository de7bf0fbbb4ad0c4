"""Bulk IO keeps every type and value, through the real server."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import os
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from platform_core.contracts import Mesh
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, prepare_databases
from platform_core.warehouse.bulk_errors import BulkError
from platform_core.warehouse.bulk_read import read_arrow
from platform_core.warehouse.bulk_write import write_arrow

SCHEMA = "sales_build"
_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
_EXACT = decimal.Context(prec=100)


def _decimal(digits: int, scale: int) -> Decimal:
    return Decimal(digits).scaleb(-scale, _EXACT)


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.builds(_decimal, st.integers(-most, most), st.just(scale))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


SIMPLE: list[tuple[pa.DataType, st.SearchStrategy[Any], pa.DataType]] = [
    (pa.bool_(), st.booleans(), pa.bool_()),
    (pa.int8(), st.integers(-(2**7), 2**7 - 1), pa.int16()),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1), pa.int16()),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1), pa.int32()),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1), pa.int64()),
    (pa.uint32(), st.integers(0, 2**32 - 1), pa.int64()),
    (pa.uint64(), st.integers(0, 2**64 - 1), pa.decimal128(20, 0)),
    (pa.float32(), st.floats(width=32), pa.float32()),
    (pa.float64(), st.floats(), pa.float64()),
    (pa.decimal128(9, 2), _decimals(9, 2), pa.decimal128(9, 2)),
    (pa.decimal128(38, 10), _decimals(38, 10), pa.decimal128(38, 10)),
    (pa.decimal256(76, 37), _decimals(76, 37), pa.decimal256(76, 37)),
    (pa.string(), _TEXT, pa.string()),
    (pa.large_string(), _TEXT, pa.string()),
    (pa.string_view(), _TEXT, pa.string()),
    (pa.dictionary(pa.int16(), pa.string()), _TEXT, pa.string()),
    (pa.binary(), st.binary(max_size=12), pa.binary()),
    (pa.date32(), st.dates(), pa.date32()),
    (pa.time64("us"), st.times(), pa.time64("us")),
    (pa.timestamp("us"), st.datetimes(), pa.timestamp("us")),
    (pa.timestamp("us", "Europe/Berlin"), st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1)), pa.timestamp("us", "UTC")),
    (pa.uuid(), st.uuids(), pa.uuid()),
    (pa.json_(), _JSON.map(json.dumps), pa.json_()),
]
LISTS = [(pa.list_(kind), st.lists(st.none() | values, max_size=4), pa.list_(read)) for kind, values, read in SIMPLE if kind != pa.json_()]
MATRIX = SIMPLE + [(kind, values, read) for kind, values, read in LISTS if not pa.types.is_dictionary(kind.value_type)]


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, list[pa.DataType]]:
    """A table of a few columns of any types, some rows cut off in front (so that Arrow offsets are not 0)."""
    chosen = draw(st.lists(st.sampled_from(MATRIX), min_size=1, max_size=5))
    rows, cut = draw(st.integers(0, 8)), draw(st.integers(0, 2))
    columns = {}
    for index, (kind, values, _) in enumerate(chosen):
        cells = draw(st.lists(st.none() | values, min_size=rows + cut, max_size=rows + cut))
        if kind == pa.uuid() or kind == pa.list_(pa.uuid()):
            columns[f"c{index}"] = _uuids(cells, kind)
        elif pa.types.is_dictionary(kind):
            columns[f"c{index}"] = pa.array(cells, pa.string()).dictionary_encode()
        else:
            columns[f"c{index}"] = pa.array(cells, kind)
    return pa.table(columns).slice(cut), [read for _, _, read in chosen]


def _uuids(cells: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.uuid():
        return pa.array([cell and cell.bytes for cell in cells], pa.binary(16)).cast(pa.uuid())
    flat = [[item and item.bytes for item in cell] if cell is not None else None for cell in cells]
    lists = pa.array(flat, pa.list_(pa.binary(16)))
    return pa.ListArray.from_arrays(lists.offsets, pa.ExtensionArray.from_storage(pa.uuid(), lists.values), mask=lists.is_null())


def _plain(value: Any) -> Any:
    """Comparable: NaN equals NaN; JSON by content (jsonb does not keep spaces)."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """One database for this file: every test here writes tables of its own names."""
    warehouse = Warehouse({**postgres.conninfo(), "dbname": f"bulk_types_{os.getpid()}"}, server=postgres)
    prepare_databases(warehouse)
    apply(warehouse, Mesh(("sales",), {}, {}, ()))
    yield warehouse
    with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(warehouse.parameters["dbname"])))


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    with warehouse.connect_domain("sales") as opened:
        yield opened


def test_every_type_comes_back_as_it_was(connection: psycopg.Connection) -> None:
    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tables())
    def check(case: tuple[pa.Table, list[pa.DataType]]) -> None:
        table, expected = case
        assert write_arrow(connection, SCHEMA, "any", table) == table.num_rows
        back = read_arrow(connection, (SCHEMA, "any"))
        assert back.schema.types == expected
        assert back.num_rows == table.num_rows
        for name, kind in zip(table.column_names, expected, strict=True):
            given_values, read_values = table[name].to_pylist(), back[name].to_pylist()
            if kind == pa.json_():
                given_values, read_values = ([v and json.loads(v) for v in values] for values in (given_values, read_values))
            if pa.types.is_timestamp(kind) and kind.tz:
                assert read_values == given_values  # the same instants
            else:
                assert [_plain(v) for v in read_values] == [_plain(v) for v in given_values]

    check()


def test_the_server_understands_the_values_as_they_were_meant(connection: psycopg.Connection) -> None:
    """Checked with psycopg's own reading, so that an error made both ways cannot hide."""
    instant = dt.datetime(1999, 12, 31, 23, 59, 59, 999999, dt.UTC)
    cells: dict[str, tuple[Any, pa.DataType | None]] = {
        "bool": (True, None),
        "big": (-(2**63), pa.int64()),
        "real": (1.5, pa.float32()),
        "nan": (float("inf"), None),
        "cents": (Decimal("-12345678901234567890.05"), None),
        "tiny": (Decimal("0.00000000000000000001"), pa.decimal128(38, 20)),
        "wide": (Decimal(10) ** 50 + 1, pa.decimal256(76, 2)),
        "text": ("Zürich 🚲", None),
        "bytes": (b"\0\xff", None),
        "day": (dt.date(1, 1, 1), None),
        "clock": (dt.time(23, 59, 59, 999999), None),
        "local": (dt.datetime(1969, 12, 31, 1, 2, 3, 4), pa.timestamp("us")),
        "instant": (instant, pa.timestamp("us", "UTC")),
        "duration": (dt.timedelta(days=-1, microseconds=1), pa.duration("us")),
        "array": ([1, None, 3], pa.list_(pa.int32())),
        "texts": (["", None, "a,b"], None),
        "none": ([], pa.list_(pa.int64())),
        "document": ({"a": [1, None], "b": {"c": Decimal("1.10")}}, None),
    }
    table = pa.table({name: pa.array([value, None], kind) for name, (value, kind) in cells.items()})
    key = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    table = table.append_column("key", pa.array([str(key), None]))
    write_arrow(connection, SCHEMA, "meant", table, column_types={"key": "uuid"})
    connection.execute("SET TIME ZONE 'UTC'")
    cursor = connection.execute(f"SELECT * FROM {SCHEMA}.meant")  # pyright: ignore[reportArgumentType]
    names = [column.name for column in cursor.description or ()]
    first, second = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
    expected = {name: value for name, (value, _) in cells.items()} | {"key": key, "document": {"a": [1, None], "b": {"c": 1.1}}}
    assert first == expected
    assert set(second.values()) == {None}
    columns = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'sales_build.meant'::regclass AND attnum > 0"
    )
    types = dict(connection.execute(columns).fetchall())
    assert types == {
        "bool": "boolean", "big": "bigint", "real": "real", "nan": "double precision", "cents": "numeric(22,2)", "tiny": "numeric(38,20)",
        "wide": "numeric(76,2)", "text": "text", "bytes": "bytea", "day": "date", "clock": "time without time zone",
        "local": "timestamp without time zone", "instant": "timestamp with time zone", "duration": "interval", "array": "integer[]",
        "texts": "text[]", "none": "bigint[]", "document": "jsonb", "key": "uuid",
    }  # fmt: skip
    assert connection.execute("SELECT document::text FROM sales_build.meant LIMIT 1").fetchone() == ('{"a": [1, null], "b": {"c": 1.10}}',)


def test_numeric_without_bounds_is_never_rounded(connection: psycopg.Connection) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.none() | st.builds(_decimal, st.integers(-(10**30), 10**30), st.integers(0, 40)), max_size=6))
    def check(values: list[Decimal | None]) -> None:
        with connection.transaction():
            connection.execute(f"CREATE TABLE {SCHEMA}.free (n numeric)")  # pyright: ignore[reportArgumentType]
            with connection.cursor() as cursor:
                cursor.executemany(f"INSERT INTO {SCHEMA}.free VALUES (%s)", [(value,) for value in values])  # pyright: ignore[reportArgumentType]
            column = read_arrow(connection, (SCHEMA, "free"))["n"]
            assert column.to_pylist() == values
            assert (column.type.precision, pa.types.is_decimal(column.type)) in {(38, True), (76, True)}
            connection.execute(f"DROP TABLE {SCHEMA}.free")  # pyright: ignore[reportArgumentType]

    check()


def test_numeric_batches_of_different_scale_become_one_column(connection: psycopg.Connection) -> None:
    query = "SELECT CASE WHEN i < 70000 THEN i::numeric ELSE i + 0.125 END AS n FROM generate_series(1, 70001) i"
    column = read_arrow(connection, query)["n"]
    assert column.type == pa.decimal128(38, 3)
    assert (column[0].as_py(), column[-1].as_py()) == (Decimal(1), Decimal("70001.125"))


def test_null_and_empty_text_stay_apart(connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "empty", pa.table({"t": ["", None], "b": pa.array([b"", None])}))
    assert connection.execute("SELECT t IS NULL, b IS NULL FROM sales_build.empty").fetchall() == [(False, False), (True, True)]
    assert read_arrow(connection, (SCHEMA, "empty")).to_pylist() == [{"t": "", "b": b""}, {"t": None, "b": None}]


def test_tables_without_rows_and_without_columns(connection: psycopg.Connection) -> None:
    schema = pa.schema([("id", pa.int64()), ("n", pa.decimal128(10, 2)), ("l", pa.list_(pa.string())), ("u", pa.uuid()), ("j", pa.json_())])
    assert write_arrow(connection, SCHEMA, "nothing", schema.empty_table()) == 0
    assert read_arrow(connection, (SCHEMA, "nothing")).schema == schema
    narrow = pa.table({"x": [1, 2, 3]}).select([])
    assert read_arrow(connection, "SELECT g AS a FROM generate_series(1, 3) g", columns=[]).num_rows == 3
    write_arrow(connection, SCHEMA, "narrow", narrow)
    assert read_arrow(connection, (SCHEMA, "narrow")).num_columns == 0
    with pytest.raises(BulkError, match="no column nope"):
        read_arrow(connection, (SCHEMA, "nothing"), columns=["nope"])


def test_other_types_are_read_as_their_text(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TYPE sales_build.mood AS ENUM ('sad', 'ok'); CREATE DOMAIN sales_build.size AS integer")
    row = read_arrow(connection, "SELECT 'ok'::sales_build.mood m, '10.0.0.1'::inet i, '[1,3)'::int4range r, 7::sales_build.size s")
    assert row.to_pylist() == [{"m": "ok", "i": "10.0.0.1/32", "r": "[1,3)", "s": 7}]
    connection.execute("CREATE TABLE sales_build.moods (m sales_build.mood, i inet)")
    write_arrow(connection, SCHEMA, "moods", pa.table({"m": ["sad", None]}), mode="append")
    assert read_arrow(connection, (SCHEMA, "moods"), columns=["m"])["m"].to_pylist() == ["sad", None]
    with pytest.raises(BulkError, match=r"'i'.*cannot be written"):
        write_arrow(connection, SCHEMA, "moods", pa.table({"i": ["10.0.0.1"]}), mode="append")


@pytest.mark.parametrize(
    ("values", "kind", "target", "message"),
    [
        ([2**40], pa.int64(), "integer", "does not fit integer"),
        ([1.5], pa.float64(), "bigint", "does not fit bigint"),
        ([2**53 + 1], pa.int64(), "double precision", "does not fit double"),
        ([0.1], pa.float64(), "real", "loses precision"),
        ([float("nan")], pa.float64(), "numeric", "NaN"),
        (["12"], pa.string(), "bigint", "cannot be written"),
        (["not a uuid"], pa.string(), "uuid", "uuid"),
        (["{"], pa.string(), "jsonb", "json"),
        (["a\0b"], pa.string(), "text", "0x00"),
        (["too long"], pa.string(), "varchar(3)", "too long"),
        ([1], pa.timestamp("ns"), "timestamp", "would lose data"),
        ([0], pa.timestamp("us"), "timestamptz", "zone first"),
        ([0], pa.timestamp("us", "UTC"), "timestamp", "drop the zone"),
        ([1], pa.timestamp("us"), "date", "time of day"),
        ([2**62], pa.timestamp("s"), "timestamp", "timestamp"),
        ([-(2**63) + 5], pa.timestamp("us"), "timestamp", "beyond the range"),
        ([-(2**31)], pa.date32(), "date", "beyond the range"),
        ([Decimal("100.00")], pa.decimal128(5, 2), "numeric(4,2)", "overflow"),
        ([[1, 2]], pa.list_(pa.int64()), "text", "cannot be written"),
        ([{"a": float("nan")}], pa.struct([("a", pa.float64())]), "jsonb", "NaN"),
        ([{"a": b"x"}], pa.struct([("a", pa.binary())]), "jsonb", "not JSON"),
        (["x"], pa.string(), "text; DROP TABLE sales_build.kept", "which is no type"),
    ],
)
def test_a_value_that_would_change_is_refused(
    connection: psycopg.Connection, values: list[Any], kind: pa.DataType, target: str, message: str
) -> None:
    write_arrow(connection, SCHEMA, "kept", pa.table({"v": [7]}))
    with pytest.raises(BulkError, match=message) as caught:
        write_arrow(connection, SCHEMA, "kept", pa.table({"v": pa.array(values, kind)}), column_types={"v": target})
    assert "sales_build.kept" in str(caught.value)
    assert read_arrow(connection, (SCHEMA, "kept")).to_pylist() == [{"v": 7}]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'infinity'::date", "infinite date"),
        ("'-infinity'::timestamptz", "infinite timestamptz"),
        ("'NaN'::numeric", "NaN or infinity"),
        ("'infinity'::numeric", "NaN or infinity"),
        ("1e80::numeric", "81 digits"),
        ("'24:00'::time", "24:00"),
        ("'{{1,2},{3,4}}'::int[]", "more than one dimension"),
    ],
)
def test_a_value_without_an_arrow_equal_is_refused(connection: psycopg.Connection, expression: str, message: str) -> None:
    with pytest.raises(BulkError, match=message):
        read_arrow(connection, f"SELECT {expression} AS v FROM generate_series(1, 3)")  # pyright: ignore[reportArgumentType]
    assert read_arrow(connection, "SELECT 1 AS v").num_rows == 1  # the connection is still of use


@pytest.mark.parametrize("columns", [["a", "a"], ["x" * 64], ["nul\0"], [""]])
def test_a_name_that_postgres_cannot_keep_is_refused(connection: psycopg.Connection, columns: list[str]) -> None:
    with pytest.raises(BulkError, match=r"no Postgres name|more than one column"):
        write_arrow(connection, SCHEMA, "names", pa.table([pa.array([1])] * len(columns), names=columns))


def test_names_are_quoted(connection: psycopg.Connection) -> None:
    table = pa.table({'a"; DROP': [1], "Größe %s": ["x"], "select": [None]})
    write_arrow(connection, SCHEMA, 'T"able %', table)
    assert read_arrow(connection, (SCHEMA, 'T"able %'), columns=["select", "Größe %s"]).to_pylist() == [{"select": None, "Größe %s": "x"}]


def test_floats_into_numeric_as_they_are_printed(connection: psycopg.Connection) -> None:
    values = [0.1, 1e-7, -123456.789, 1e20, 0.0, None]
    write_arrow(connection, SCHEMA, "floats", pa.table({"n": values}), column_types={"n": "numeric"})
    assert read_arrow(connection, (SCHEMA, "floats"))["n"].to_pylist() == [v if v is None else Decimal(repr(v)) for v in values]
