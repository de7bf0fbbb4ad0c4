"""Writing is atomic: for readers, for writers side by side, and for writers that die."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pytest

from platform_core.warehouse import Warehouse
from platform_core.warehouse.bulk_conditions import OneOf, Within, mask
from platform_core.warehouse.bulk_errors import BulkError
from platform_core.warehouse.bulk_read import read_arrow
from platform_core.warehouse.bulk_write import write_arrow

SCHEMA = "sales_build"


@pytest.fixture
def connection(database: Warehouse) -> Iterator[psycopg.Connection]:
    with database.connect_domain("sales") as opened:
        yield opened
        assert opened.info.transaction_status.name == "IDLE"  # bulk IO leaves no transaction open


def _rows(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    with connection.transaction():
        return connection.execute(query).fetchall()  # pyright: ignore[reportArgumentType]


def test_a_table_belongs_to_the_domain_and_is_analysed(connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"a": range(100)}))
    assert _rows(connection, "SELECT relowner::regrole::text, reltuples FROM pg_class WHERE oid = 'sales_build.t'::regclass") == [
        ("sales_owner", 100.0)
    ]


def test_readers_never_see_a_half_replaced_table(database: Warehouse, connection: psycopg.Connection) -> None:
    rows, rounds = 2_000, 40
    write_arrow(connection, SCHEMA, "t", pa.table({"round": [0] * rows}))
    done, seen = threading.Event(), set[int]()

    def poll() -> int:
        polls = 0
        with database.connect_domain("sales", autocommit=True) as reader:
            while not done.is_set() or polls == 0:
                row = reader.execute("SELECT count(*), min(round), max(round) FROM sales_build.t").fetchone()
                assert row is not None
                assert (row[0], row[1]) == (rows, row[2]), "a mixture or a part"
                seen.add(row[1])
                polls += 1
        return polls

    with ThreadPoolExecutor(2) as readers:
        polling = [readers.submit(poll) for _ in range(2)]
        try:
            for number in range(1, rounds + 1):
                write_arrow(connection, SCHEMA, "t", pa.table({"round": [number] * rows}))
        finally:
            done.set()
        assert all(task.result() > 0 for task in polling)
    assert len(seen) > 2  # the readers did meet several generations


def test_a_reader_with_an_old_snapshot_never_finds_the_new_table_empty(database: Warehouse, connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"a": [1]}))
    with database.connect_domain("sales") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")  # the snapshot
        write_arrow(connection, SCHEMA, "t", pa.table({"a": [2, 2]}))
        assert reader.execute("SELECT count(*) FROM sales_build.t").fetchone() == (2,)


_KILLED = """
import os, signal, sys
import pyarrow as pa
from platform_core.warehouse import Warehouse
from platform_core.warehouse.bulk_write import write_arrow

def batches():
    yield pa.record_batch({"day": ["a"] * 1000, "v": [2] * 1000})
    os.kill(os.getpid(), signal.SIGKILL)

mode, *partition = sys.argv[2:]
with Warehouse(eval(sys.argv[1])).connect_domain("sales") as connection:
    write_arrow(connection, "sales_build", "t", batches(), mode=mode, partition=tuple(partition) or None)
"""


@pytest.mark.parametrize("arguments", [["replace"], ["replace_partition", "day", "a"]])
def test_a_killed_writer_leaves_the_former_table(database: Warehouse, connection: psycopg.Connection, arguments: list[str]) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"day": ["a", "b"], "v": [1, 1]}))
    command = [sys.executable, "-c", _KILLED, repr(database.parameters), *arguments]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert write_arrow(connection, SCHEMA, "other", pa.table({"v": [1]})) == 1
    assert _rows(connection, "SELECT day, v FROM sales_build.t ORDER BY day") == [("a", 1), ("b", 1)]
    # the next writer waits for nobody, and nothing is left beside the table
    assert write_arrow(connection, SCHEMA, "t", pa.table({"day": ["a"], "v": [3]})) == 1
    assert _rows(
        connection, "SELECT relname FROM pg_class WHERE relnamespace = 'sales_build'::regnamespace AND relkind = 'r' ORDER BY 1"
    ) == [
        ("other",),
        ("t",),
    ]


def test_an_error_in_the_source_leaves_the_former_table(connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"v": [1]}))

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"v": [2]})
        raise RuntimeError("the asset's own error")

    with pytest.raises(RuntimeError, match="own error"):
        write_arrow(connection, SCHEMA, "t", batches())
    assert _rows(connection, "SELECT v FROM sales_build.t") == [(1,)]


def _publish(connection: psycopg.Connection) -> None:
    """What publishing does to a build table: it moves away, a view takes its name."""
    with connection.transaction():
        connection.execute("ALTER TABLE sales_build.t RENAME TO t__version")
        connection.execute("CREATE VIEW sales_build.t AS SELECT * FROM sales_build.t__version")


def test_replace_puts_a_table_in_the_place_of_a_view(connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"v": [1]}))
    _publish(connection)
    write_arrow(connection, SCHEMA, "t", pa.table({"v": ["x"], "w": [2]}))
    assert _rows(connection, "SELECT relkind::text FROM pg_class WHERE oid = 'sales_build.t'::regclass") == [("r",)]
    assert _rows(connection, "SELECT v, w FROM sales_build.t") == [("x", 2)]
    assert _rows(connection, "SELECT v FROM sales_build.t__version") == [(1,)]


def test_adding_to_a_view_leaves_the_published_version_alone(connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"day": ["a", "b", None], "v": [1, 1, 1]}))
    _publish(connection)
    write_arrow(connection, SCHEMA, "t", pa.table({"day": ["a", "a"], "v": [2, 3]}), mode="replace_partition", partition=("day", "a"))
    assert _rows(connection, "SELECT day, v FROM sales_build.t ORDER BY day, v") == [("a", 2), ("a", 3), ("b", 1), (None, 1)]
    assert _rows(connection, "SELECT count(*) FROM sales_build.t__version") == [(3,)]
    write_arrow(connection, SCHEMA, "t", pa.table({"day": ["c"]}), mode="append")
    assert _rows(connection, "SELECT count(*), count(v) FROM sales_build.t") == [(5, 4)]


def test_views_on_a_replaced_table_are_made_again(connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"a": [1], "b": [2]}))
    with connection.transaction():
        connection.execute("GRANT SELECT ON sales_build.t TO sales_job")
        connection.execute("CREATE VIEW sales_build.one WITH (security_barrier=true) AS SELECT a FROM sales_build.t")
        connection.execute("CREATE VIEW sales_build.two AS SELECT o.a, t.b FROM sales_build.one o JOIN sales_build.t t USING (a)")
        connection.execute("GRANT SELECT ON sales_build.two TO sales_job WITH GRANT OPTION")
        connection.execute("COMMENT ON VIEW sales_build.two IS 'it''s two'; COMMENT ON COLUMN sales_build.two.b IS 'b'")
    for value in (5, 6):
        write_arrow(connection, SCHEMA, "t", pa.table({"b": [value], "a": [1], "c": ["new"]}))
        assert _rows(connection, "SELECT a, b FROM sales_build.two") == [(1, value)]
    assert _rows(connection, "SELECT relname, reloptions, relacl::text FROM pg_class WHERE relname IN ('one', 'two', 't') ORDER BY 1") == [
        ("one", ["security_barrier=true"], None),
        ("t", None, "{sales_owner=arwdDxtm/sales_owner,sales_job=r/sales_owner}"),
        ("two", None, "{sales_owner=arwdDxtm/sales_owner,sales_job=r*/sales_owner}"),
    ]
    assert _rows(connection, "SELECT description FROM pg_description WHERE objoid = 'sales_build.two'::regclass ORDER BY objsubid") == [
        ("it's two",),
        ("b",),
    ]
    with pytest.raises(BulkError, match="does not exist"):  # a column that a view needs is gone
        write_arrow(connection, SCHEMA, "t", pa.table({"a": [1]}))
    assert _rows(connection, "SELECT a, b FROM sales_build.two") == [(1, 6)]


def test_what_cannot_be_made_again_is_not_dropped(connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"a": [1]}))
    with connection.transaction():
        connection.execute("CREATE MATERIALIZED VIEW sales_build.m AS SELECT a FROM sales_build.t")
    with pytest.raises(BulkError, match=r"sales_build\.m depends on it"):
        write_arrow(connection, SCHEMA, "t", pa.table({"a": [2]}))
    assert _rows(connection, "SELECT t.a, m.a FROM sales_build.t, sales_build.m") == [(1, 1)]


def test_partitions_written_side_by_side_from_nothing(database: Warehouse, connection: psycopg.Connection) -> None:
    def write(part: int) -> int:
        with database.connect_domain("sales") as own:
            table = pa.table({"part": [part] * 500, "v": range(500)})
            return sum(write_arrow(own, SCHEMA, "t", table, mode="replace_partition", partition=("part", part)) for _ in range(3))

    with ThreadPoolExecutor(4) as writers:
        assert list(writers.map(write, range(4))) == [1500] * 4
    assert _rows(connection, "SELECT part, count(*) FROM sales_build.t GROUP BY 1 ORDER BY 1") == [(part, 500) for part in range(4)]


def test_one_partition_is_replaced_and_the_others_stay(connection: psycopg.Connection) -> None:
    day = [datetime(2024, 1, number, 12, tzinfo=UTC) for number in (1, 2, 3)]
    table = pa.table({"at": day, "v": [1, 2, 3]})
    write_arrow(connection, SCHEMA, "t", table)
    second = Within("at", ((datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)),))
    new = pa.table({"v": [20, 21], "at": [day[1], day[1]]})  # columns in another order
    assert write_arrow(connection, SCHEMA, "t", new, mode="replace_partition", partition=second) == 2
    assert read_arrow(connection, (SCHEMA, "t"), columns=["v"], where=second)["v"].to_pylist() == [20, 21]
    assert sorted(read_arrow(connection, (SCHEMA, "t"))["v"].to_pylist()) == [1, 3, 20, 21]
    assert write_arrow(connection, SCHEMA, "t", new.slice(0, 0), mode="replace_partition", partition=second) == 0
    assert sorted(read_arrow(connection, (SCHEMA, "t"))["v"].to_pylist()) == [1, 3]
    with pytest.raises(BulkError, match="1 of 1 rows lie outside the partition"):
        write_arrow(connection, SCHEMA, "t", table.slice(0, 1), mode="replace_partition", partition=second)
    with pytest.raises(BulkError, match="has no column other"):
        write_arrow(connection, SCHEMA, "t", pa.table({"at": [day[1]], "other": [1]}), mode="replace_partition", partition=second)


def test_a_condition_means_the_same_in_sql_and_in_arrow(connection: psycopg.Connection) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    midnights = [datetime(2024, 3, 30, tzinfo=berlin), datetime(2024, 3, 31, tzinfo=berlin), datetime(2024, 4, 1, tzinfo=berlin)]
    days = tuple(pairwise(midnights))
    instants = [None, *(datetime(2024, 3, 29, 21, 30, tzinfo=UTC).timestamp() * 1_000_000 + hour * 3_600_000_000 for hour in range(75))]
    at = pa.array([value and int(value) for value in instants], pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "at": at,
            "naive": at.cast(pa.timestamp("us")),
            "day": at.cast(pa.timestamp("us")).cast(pa.date32(), safe=False),
            "number": pa.array([None, *range(75)], pa.int16()),
            "name": pa.array([None, *(f"it's {n % 3}" for n in range(75))]).dictionary_encode(),
        }
    )
    write_arrow(connection, SCHEMA, "t", table)
    for condition in [
        *(Within(column, days) for column in ("at", "naive", "day")),
        *(Within("at", (window,)) for window in days),
        Within("at", ()),
        OneOf("number", ("3", 4)),
        OneOf("number", (None, 5)),
        OneOf("name", ("it's 1", "gone")),
        OneOf("name", ()),
    ]:
        here = table.filter(mask(table, [condition]))["number"].to_pylist()
        there = read_arrow(connection, (SCHEMA, "t"), columns=["number"], where=condition)["number"].to_pylist()
        assert here == there, condition
        assert bool(here) == bool(getattr(condition, "windows", None) or getattr(condition, "values", None))
    assert len(read_arrow(connection, (SCHEMA, "t"), where=Within("at", days))) == 24 + 23  # the night of summer time
    for wrong in (
        Within("name", days),
        OneOf("nope", ("x",)),
        Within("day", ((datetime(2024, 3, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, 2, tzinfo=UTC)),)),
    ):
        with pytest.raises(BulkError, match=wrong.column):
            read_arrow(connection, (SCHEMA, "t"), where=wrong)
        with pytest.raises(BulkError, match=wrong.column):
            mask(table, [wrong])
    with pytest.raises(BulkError, match="is no value of column 'number'"):
        mask(table, [OneOf("number", ("x",))])


def test_in_the_callers_transaction_the_caller_decides(connection: psycopg.Connection) -> None:
    write_arrow(connection, SCHEMA, "t", pa.table({"v": [1]}))
    with pytest.raises(BulkError, match="does not fit"), connection.transaction():
        write_arrow(connection, SCHEMA, "t", pa.table({"v": [2]}))
        write_arrow(connection, SCHEMA, "u", pa.table({"v": [1.5]}), column_types={"v": "bigint"})
    assert _rows(connection, "SELECT v, to_regclass('sales_build.u') FROM sales_build.t") == [(1, None)]


def test_a_domain_cannot_write_elsewhere(connection: psycopg.Connection) -> None:
    for schema in ("customer_build", "mesh", "public"):
        with pytest.raises(BulkError, match="permission denied") as caught:
            write_arrow(connection, schema, "t", pa.table({"v": [1]}))
        assert "remedy: a domain writes its own build schema only" in str(caught.value)
    with pytest.raises(BulkError, match=r"schema.*does not exist"):
        write_arrow(connection, "gone", "t", pa.table({"v": [1]}))
    with pytest.raises(BulkError, match="materialize the upstream asset first"):
        read_arrow(connection, (SCHEMA, "gone"))


def test_wrong_calls_say_what_is_wrong(connection: psycopg.Connection) -> None:
    table = pa.table({"v": [1]})
    calls: list[tuple[dict[str, Any], str]] = [
        ({"data": table, "mode": "replace_partition"}, "goes with mode"),
        ({"data": table, "partition": ("v", 1)}, "goes with mode"),
        ({"data": [], "mode": "replace"}, "cannot write list"),
        ({"data": [{"v": 1}]}, "cannot write dict"),
        ({"data": table, "column_types": {"w": "text"}}, "names w, which the frame does not have"),
        ({"data": pa.table({"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])})}, "no Postgres type"),
    ]
    for arguments, message in calls:
        with pytest.raises(BulkError, match=message):
            write_arrow(connection, SCHEMA, "t", **arguments)
