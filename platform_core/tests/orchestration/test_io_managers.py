"""IO managers in real Dagster runs: pandas, Polars and Arrow frames through the warehouse and the lake."""

import datetime as dt
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pytest

from platform_core.lake import LakeTables
from platform_core.orchestration.io_managers import LakeParquetIOManager, PostgresFrameIOManager
from platform_core.orchestration.resources import LakeResource, WarehouseResource
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse, WarehouseError
from platform_core.warehouse.bulk_write import write_arrow

BIG = 2**63 - 1
UTC = dt.UTC
AT = dt.datetime(2024, 3, 31, 1, 30, 0, 5, UTC)


@pytest.fixture
def warehouse(
    database: Warehouse, repo: Path, tmp_path: Path, select: Callable[[Warehouse, Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> Warehouse:
    """The test's database, selected as in production: by environment variables."""
    select(database, repo, tmp_path / "home")
    monkeypatch.setenv("MESH_LAKE_URL", str(tmp_path / "lake"))
    return database


@pytest.fixture
def managers(warehouse: Warehouse) -> dict[str, Any]:
    return {
        "postgres": PostgresFrameIOManager(warehouse=WarehouseResource(domain="sales")),
        "lake": LakeParquetIOManager(lake=LakeResource(domain="sales")),
    }


@pytest.fixture
def owner(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    with warehouse.connect_domain("sales", autocommit=True) as connection:
        yield connection


def _run(assets: list[Any], managers: dict[str, Any], **arguments: Any) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(assets, resources=managers, instance=instance, **arguments)


def _metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    event = next(e for e in result.get_asset_materialization_events() if e.asset_key and e.asset_key.path[-1] == name)
    return {key: value.value for key, value in event.materialization.metadata.items()}


def _key(name: str) -> list[str]:
    return ["sales", "build", name]


POLARS = pl.DataFrame(
    {
        "id": [BIG, None],
        "small": pl.Series([1, None], dtype=pl.Int16),
        "flag": [True, None],
        "ratio": [float("nan"), None],
        "text": ["", None],
        "price": pl.Series([Decimal("12345678901234567890.05"), None], dtype=pl.Decimal(24, 2)),
        "day": [dt.date(2024, 2, 29), None],
        "clock": [dt.time(23, 59, 59, 999999), None],
        "local": [dt.datetime(2024, 1, 1, 0, 0, 0, 1), None],
        "instant": pl.Series([AT, None], dtype=pl.Datetime("us", "UTC")),
        "took": pl.Series([dt.timedelta(microseconds=-5), None], dtype=pl.Duration("us")),
        "bytes": [b"\0\xff", None],
        "list": [[1, None], None],
        "texts": [["", None], []],
    }
)


@pytest.mark.parametrize("manager", ["postgres", "lake"])
def test_polars_frames_keep_their_types(managers: dict[str, Any], manager: str) -> None:
    loaded: dict[str, Any] = {}

    @dg.asset(key=_key("eager"), io_manager_key=manager)
    def eager() -> pl.DataFrame:
        return POLARS.with_columns(kind=pl.Series(["a", "b"], dtype=pl.Categorical), level=pl.Series(["x", None], dtype=pl.Enum(["x"])))

    @dg.asset(key=_key("lazy"), io_manager_key=manager)
    def lazy(eager: pl.LazyFrame) -> pl.LazyFrame:
        assert isinstance(eager, pl.LazyFrame)
        return eager

    @dg.asset(key=_key("last"), io_manager_key=manager)
    def last(eager: pl.DataFrame, lazy: pl.DataFrame) -> None:
        loaded.update(eager=eager, lazy=lazy)

    result = _run([eager, lazy, last], managers)
    assert result.success
    for frame in loaded.values():
        assert frame.drop("kind", "level").equals(POLARS, null_equal=True)
        assert frame.drop("kind", "level").schema == POLARS.schema
        assert frame.select(pl.col("kind", "level").cast(pl.String)).rows() == [("a", "x"), ("b", None)]
    metadata = _metadata(result, "lazy")
    assert (metadata["rows"], metadata["columns"], metadata["dagster/row_count"]) == (2, 16, 2)
    assert metadata["seconds"] >= 0
    assert metadata["relation"].endswith("sales_build.lazy" if manager == "postgres" else "/lake/tables/sales/build/lazy")


@pytest.mark.parametrize("manager", ["postgres", "lake"])
def test_pandas_frames_keep_their_types(managers: dict[str, Any], manager: str) -> None:
    frame = pd.DataFrame(
        {
            "id": pd.array([BIG, None], dtype="Int64"),
            "arrow": pd.array([BIG, None], dtype=pd.ArrowDtype(pa.int64())),
            "plain": [BIG, -BIG],
            "text": ["", None],
            "ratio": [1.5, float("nan")],
            "price": [Decimal("0.10"), None],
            "day": [dt.date(2024, 2, 29), None],
            "local": pd.to_datetime(["2024-01-01 00:00:00.000001", None]),
            "instant": pd.to_datetime([AT, None], utc=True),
            "zoned": pd.to_datetime([AT, None], utc=True).tz_convert("Europe/Berlin"),
            "flag": pd.array([True, None], dtype="boolean"),
            "kind": pd.Categorical(["a", None]),
        }
    )
    loaded: list[pd.DataFrame] = []

    @dg.asset(key=_key("a"), io_manager_key=manager)
    def a() -> pd.DataFrame:
        return frame

    @dg.asset(key=_key("b"), io_manager_key=manager)
    def b(a: pd.DataFrame) -> pd.DataFrame:
        loaded.append(a)
        return a

    @dg.asset(key=_key("c"), io_manager_key=manager)
    def c(b: pd.DataFrame) -> None:
        loaded.append(b)

    assert _run([a, b, c], managers).success
    expected = frame.astype(object).where(frame.notna(), None).to_dict("list")
    for table in loaded:
        got = {name: [None if value is pd.NA or value is pd.NaT else value for value in table[name]] for name in table}
        assert got == expected
        types = {name: table[name].dtype.pyarrow_dtype for name in table}
        assert (types["id"], types["arrow"], types["plain"]) == (pa.int64(), pa.int64(), pa.int64())
        assert types["price"] == pa.decimal128(2, 2) or types["price"] == pa.decimal128(1, 1)
        assert types["instant"].tz == "UTC"


def test_arrow_tables_keep_their_types(managers: dict[str, Any], owner: psycopg.Connection) -> None:
    table = pa.table(
        {
            "key": pa.array([uuid.uuid4(), None]),
            "document": pa.array(['{"a": 1.10}', None], pa.json_()),
            "wide": pa.array([Decimal(10) ** 60, None], pa.decimal256(76, 10)),
            "keys": pa.array([[1], None], pa.list_(pa.int16())),
        }
    )
    loaded: list[Any] = []

    @dg.asset(key=_key("a"), io_manager_key="postgres")
    def a() -> pa.RecordBatchReader:
        return table.to_reader()

    @dg.asset(key=_key("b"), io_manager_key="postgres")
    def b(a: pa.Table) -> pa.Table:
        return a

    @dg.asset(key=_key("c"), io_manager_key="postgres")
    def c(b, a: pd.DataFrame) -> None:  # no annotation: Arrow
        loaded.extend([b, a])

    assert _run([a, b, c], managers).success
    assert loaded[0].equals(table)
    assert loaded[1]["document"].tolist() == ['{"a": 1.10}', pd.NA]
    assert loaded[1]["key"].tolist() == [str(table["key"][0].as_py()), pd.NA]
    assert owner.execute("SELECT document->'a' FROM sales_build.b WHERE document IS NOT NULL").fetchone() == (1.1,)

    @dg.asset(key=_key("d"), io_manager_key="postgres", ins={"b": dg.AssetIn(_key("b"), metadata={"columns": ["wide"]})})
    def d(b: pl.DataFrame) -> None: ...

    assert "more than 38 digits" in _failure([a, b, d], managers, selection=[d])


def test_documents_go_to_jsonb(managers: dict[str, Any], owner: psycopg.Connection) -> None:
    values = [{"x": 1, "y": ["a"]}, {"x": "other"}, None, [1, 2], '"text"']

    @dg.asset(key=_key("mixed"), io_manager_key="postgres", metadata={"column_types": {"value": "jsonb", "price": "numeric(6,2)"}})
    def mixed() -> pd.DataFrame:
        return pd.DataFrame({"value": values, "price": [1.1, 2.25, None, 3, 4]})

    @dg.asset(key=_key("struct"), io_manager_key="postgres")
    def struct() -> pl.DataFrame:
        return pl.DataFrame({"value": [{"a": 1, "b": None}, None], "rows": [[{"c": 1}], []]})

    assert _run([mixed, struct], managers).success
    assert [row[0] for row in owner.execute("SELECT value FROM sales_build.mixed")] == [*values[:4], "text"]
    assert owner.execute("SELECT array_agg(price::text) FROM sales_build.mixed").fetchone() == (["1.10", "2.25", None, "3.00", "4.00"],)
    assert owner.execute("SELECT value, rows FROM sales_build.struct").fetchall() == [({"a": 1, "b": None}, [{"c": 1}]), (None, [])]


def test_a_subset_of_columns_is_loaded(managers: dict[str, Any]) -> None:
    loaded: list[Any] = []
    for manager in ("postgres", "lake"):

        @dg.asset(key=_key("wide"), io_manager_key=manager)
        def wide() -> pl.DataFrame:
            return POLARS

        @dg.asset(key=_key("narrow"), io_manager_key=manager, ins={"wide": dg.AssetIn(_key("wide"), metadata={"columns": ["text", "id"]})})
        def narrow(wide: pl.LazyFrame) -> pl.DataFrame:
            loaded.append(wide.collect())
            return loaded[-1]

        assert _run([wide, narrow], managers).success
        assert loaded[-1].columns == ["text", "id"]


def test_ports_and_raw_tables_are_read_by_their_keys(managers: dict[str, Any], warehouse: Warehouse, owner: psycopg.Connection) -> None:
    with owner.transaction():
        write_arrow(owner, "sales_raw", "purchases", pa.table({"id": [1, 2]}))
    with warehouse.connect_platform(autocommit=True) as platform:
        platform.execute("CREATE SCHEMA customer_profiles; GRANT USAGE ON SCHEMA customer_profiles TO sales_owner")
        platform.execute("CREATE VIEW customer_profiles.profiles AS SELECT 'Ada' AS name")
        platform.execute("GRANT SELECT ON customer_profiles.profiles TO sales_owner")
    raw, port = ["sales", "raw", "purchases"], ["customer", "profiles", "profiles"]

    @dg.asset(key=_key("joined"), io_manager_key="postgres", ins={"rows": dg.AssetIn(raw), "people": dg.AssetIn(port)})
    def joined(rows: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
        return rows.join(people, how="cross")

    upstream = [dg.AssetSpec(key, metadata={"dagster/io_manager_key": "postgres"}) for key in (raw, port)]
    assert _run([joined, *upstream], managers).success
    assert owner.execute("SELECT * FROM sales_build.joined ORDER BY 1").fetchall() == [(1, "Ada"), (2, "Ada")]


DAILY = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-06")


@pytest.mark.parametrize("manager", ["postgres", "lake"])
def test_time_partitions_are_replaced_one_by_one_and_loaded_in_ranges(managers: dict[str, Any], manager: str) -> None:
    loaded: dict[str, list[int]] = {}
    factor = 1

    @dg.asset(
        key=_key("daily"),
        partitions_def=DAILY,
        io_manager_key=manager,
        metadata={"partition_expr": "at"},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def daily(context: dg.AssetExecutionContext) -> pl.DataFrame:
        days = [dt.datetime.fromisoformat(key).replace(hour=23, tzinfo=UTC) for key in context.partition_keys]
        return pl.DataFrame({"at": pl.Series(days, dtype=pl.Datetime("us", "UTC")), "v": [day.day * factor for day in days]})

    @dg.asset(key=_key("same"), partitions_def=DAILY, io_manager_key=manager, metadata={"partition_expr": "at"})
    def same(context: dg.AssetExecutionContext, daily: pl.DataFrame) -> pl.DataFrame:
        loaded[context.partition_key] = daily["v"].to_list()
        return daily

    @dg.asset(
        key=_key("window"),
        partitions_def=DAILY,
        io_manager_key=manager,
        metadata={"partition_expr": "at"},
        ins={"daily": dg.AssetIn(_key("daily"), partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1))},
    )
    def window(context: dg.AssetExecutionContext, daily: pl.LazyFrame) -> pl.DataFrame:
        loaded["window"] = daily.collect()["v"].to_list()
        return daily.collect().tail(1)

    @dg.asset(key=_key("whole"), io_manager_key=manager)
    def whole(daily: pd.DataFrame) -> None:
        loaded["whole"] = sorted(daily["v"].tolist())

    tags = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": "2024-01-05"}
    result = _run([daily], managers, tags=tags)
    assert result.success
    assert _metadata(result, "daily")["rows"] == 5
    factor = 10
    result = _run([daily, same], managers, partition_key="2024-01-03")
    assert _metadata(result, "daily")["dagster/partition_row_count"] == 1
    assert _run([daily, window], managers, partition_key="2024-01-03", selection=[window]).success
    assert _run([daily, whole], managers, selection=[whole]).success
    assert loaded == {"2024-01-03": [30], "window": [2, 30], "whole": [1, 2, 4, 5, 30]}


@pytest.mark.parametrize("manager", ["postgres", "lake"])
def test_static_and_multi_partitions(managers: dict[str, Any], manager: str, owner: psycopg.Connection) -> None:
    regions = dg.StaticPartitionsDefinition(["eu", "us"])
    days = ["2024-01-01", "2024-01-02"]
    both = dg.MultiPartitionsDefinition({"day": dg.DailyPartitionsDefinition(days[0], end_date="2024-01-03"), "region": regions})
    loaded: list[Any] = []

    @dg.asset(key=_key("static"), partitions_def=regions, io_manager_key=manager, metadata={"partition_expr": "region"})
    def static(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"region": [context.partition_key], "v": [1]})

    expression = {"partition_expr": {"day": "day", "region": "region"}}

    @dg.asset(key=_key("multi"), partitions_def=both, io_manager_key=manager, metadata=expression)
    def multi(context: dg.AssetExecutionContext) -> pd.DataFrame:
        keys = context.partition_key.keys_by_dimension
        return pd.DataFrame({"region": [keys["region"]], "day": [dt.date.fromisoformat(keys["day"])]})

    @dg.asset(key=_key("reader"), partitions_def=regions, io_manager_key=manager, metadata={"partition_expr": "region"})
    def reader(static: pd.DataFrame, multi: pd.DataFrame) -> None:
        loaded.append((static["region"].tolist(), sorted(str(day) for day in multi["day"]), set(multi["region"])))

    assert _run([static], managers, partition_key="eu").success
    for region in ("us", "eu"):
        assert _run([static], managers, partition_key=region).success
        for day in days:
            assert _run([multi], managers, partition_key=dg.MultiPartitionKey({"day": day, "region": region})).success
    assert _run([static, multi, reader], managers, partition_key="eu", selection=[reader]).success
    assert loaded == [(["eu"], days, {"eu"})]
    if manager == "postgres":
        assert owner.execute("SELECT (SELECT count(*) FROM sales_build.static), (SELECT count(*) FROM sales_build.multi)").fetchone() == (
            2,
            4,
        )


def _failure(assets: list[Any], managers: dict[str, Any], **arguments: Any) -> str:
    with pytest.raises(Exception) as caught:
        _run(assets, managers, **arguments)
    return "\n".join(str(error) for error in (caught.value, caught.value.__cause__) if error)


def test_mistakes_are_explained(managers: dict[str, Any]) -> None:
    def asset(value: Any, **arguments: Any) -> Any:
        @dg.asset(**{"key": _key("x"), "io_manager_key": "postgres", **arguments})
        def x() -> Any:
            return value

        return x

    frame = pl.DataFrame({"v": [1]})
    cases = [
        (asset(frame, key=["customer", "build", "x"]), "domain sales cannot write this asset"),
        (asset(frame, key=["sales", "orders", "x"]), "ports are published"),
        (asset(frame, key=["x"]), "domain sales cannot write this asset"),
        (asset([1]), "cannot write list"),
        (asset(None), "annotate the asset with -> None"),
        (asset(frame, metadata={"column_types": ["v"]}), "metadata column_types is"),
        (asset(frame, metadata={"column_types": {"w": "text"}}), "names w"),
        (asset(pl.DataFrame({"v": [object()]})), "Object"),
        (asset(pl.DataFrame({"v": [2**100]}, schema={"v": pl.Int128})), "no Arrow type"),
        (asset(pd.DataFrame({"v": [{"a": 1}, {"a": "x"}]})), "column_types={'column': 'jsonb'}"),
        (asset(pd.DataFrame({1: [1]})), "column name 1 is not a string"),
        (asset(pd.DataFrame([[1, 2]], columns=["a", "a"])), "a"),
    ]
    for case, message in cases:
        assert message in _failure([case], managers)
    daily = asset(frame, partitions_def=DAILY)
    assert "set metadata {'partition_expr'" in _failure([daily], managers, partition_key="2024-01-01")
    static = asset(frame, partitions_def=dg.StaticPartitionsDefinition(["7"]), metadata={"partition_expr": "v"})
    assert "1 of 1 rows lie outside the partition (v: 7)" in _failure([static], managers, partition_key="7")

    @dg.asset(key=_key("y"), io_manager_key="postgres")
    def y(x: dict) -> None: ...

    assert "annotate it with" in _failure([asset(frame), y], managers)


def test_the_pool_lends_connections_of_the_domain(warehouse: Warehouse) -> None:
    resource = WarehouseResource(domain="sales", max_connections=1)
    with resource.connection() as connection:
        assert connection.execute("SELECT session_user, current_user").fetchone() == ("sales_job", "sales_owner")
        first = connection.info.backend_pid
        connection.execute("CREATE TABLE sales_build.kept (a int)")
    with pytest.raises(ZeroDivisionError), resource.connection() as connection:
        assert connection.info.backend_pid == first
        connection.execute("DROP TABLE sales_build.kept")
        _ = 1 / 0
    with resource.connection() as connection:  # rolled back, and a dead connection is replaced
        assert connection.execute("SELECT to_regclass('sales_build.kept') IS NOT NULL").fetchone() == (True,)
    with warehouse.connect_platform(autocommit=True) as platform:
        platform.execute("SELECT pg_terminate_backend(%s)", (first,))
    with resource.connection() as connection:
        assert connection.info.backend_pid != first
    resource.teardown_after_execution(dg.build_init_resource_context())


def test_an_unreachable_warehouse_is_said_at_once(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_WAREHOUSE_DSN", "postgresql://127.0.0.1:1/mesh")
    resource = WarehouseResource(domain="sales")  # nothing connects here
    with pytest.raises(WarehouseError, match="cannot connect as sales_job"), resource.connection():
        pass


def test_the_lake_resource_follows_the_settings(warehouse: Warehouse) -> None:
    assert LakeResource(domain="sales").tables() == LakeTables(Settings.load().lake_url)
    assert LakeResource(domain="sales", url="memory://x").tables() == LakeTables("memory://x")


def test_importing_the_io_managers_imports_no_frame_library() -> None:
    code = (
        "import sys, json; import platform_core.orchestration.io_managers, platform_core.orchestration.resources;"
        "import platform_core.lake, platform_core.warehouse.bulk_write, platform_core.warehouse.bulk_read;"
        "from platform_core.orchestration.io_managers import PostgresFrameIOManager as P, WarehouseResource as W;"
        "P(warehouse=W(domain='sales'));"
        "print(json.dumps([m for m in ('pandas', 'polars', 'pyarrow', 'numpy', 'great_expectations', 'datahub') if m in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(result.stdout) == []
