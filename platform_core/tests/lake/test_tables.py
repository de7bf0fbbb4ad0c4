"""Lake tables on two file systems: a folder, and fsspec's memory:// (which, like an object store, knows no rename that replaces)."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from platform_core.lake import LakeError, LakeTables
from platform_core.lake.files import LakeFiles
from platform_core.lake.generations import Generation, age_seconds, new_generation, partition_folder, partition_of, table_path

KEY = ("sales", "build", "orders")
_numbers = itertools.count()


@pytest.fixture(params=["folder", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> LakeTables:
    return LakeTables(str(tmp_path / "lake") if request.param == "folder" else f"memory://lake{next(_numbers)}")


def _names(lake: LakeTables, *parts: str) -> list[str]:
    files = LakeFiles.at(lake.url)
    return files.names(files.path("tables", *KEY, *parts))


def test_every_type_comes_back_as_it_was(lake: LakeTables) -> None:
    table = pa.table(
        {
            "id": pa.array([2**63 - 1, None]),
            "small": pa.array([1, None], pa.uint8()),
            "text": ["", None],
            "view": pa.array(["a", None], pa.string_view()),
            "category": pa.array(["a", None]).dictionary_encode(),
            "cents": [Decimal("1.10"), None],
            "wide": pa.array([Decimal(10) ** 40, None], pa.decimal256(60, 5)),
            "nan": [float("nan"), None],
            "at": pa.array([0, None], pa.timestamp("us", "Europe/Berlin")),
            "nanos": pa.array([1, None], pa.timestamp("ns")),
            "day": [dt.date(1, 1, 1), None],
            "took": pa.array([1, None], pa.duration("us")),
            "key": pa.array([uuid.uuid4(), None]),
            "document": pa.array(["{}", None], pa.json_()),
            "list": [[1, None], None],
            "struct": [{"a": "x"}, None],
        }
    )
    assert lake.write(KEY, table).rows == 2
    back = lake.read(KEY)
    assert back.schema == table.schema
    assert back.drop_columns("nan").equals(table.drop_columns("nan"))
    assert str(back["nan"].to_pylist()) == "[nan, None]"
    assert lake.read(KEY, columns=["day", "id"]).column_names == ["day", "id"]


def test_an_empty_table_keeps_its_columns(lake: LakeTables) -> None:
    schema = pa.schema([("id", pa.int64()), ("key", pa.uuid())])
    assert lake.write(KEY, schema.empty_table()).rows == 0
    assert lake.read(KEY).schema == schema


def test_a_stream_keeps_its_order_and_is_not_held(lake: LakeTables) -> None:
    batches = (pa.record_batch({"n": range(start, start + 1000)}) for start in range(0, 200_000, 1000))
    assert lake.write(KEY, pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches)).rows == 200_000
    assert lake.read(KEY)["n"].to_pylist() == list(range(200_000))
    assert lake.read(KEY, columns=["n"], where=pc.field("n") > 199_997)["n"].to_pylist() == [199_998, 199_999]


def test_partitions_are_written_and_read_by_themselves(lake: LakeTables) -> None:
    for day, value in (("2024-01-01", 1), ("2024-01-02", 2), ("eu/ch|ü=%", 3), ("..", 4)):
        lake.write(KEY, pa.table({"v": [value]}), partition=day)
    assert lake.partitions(KEY) == ["..", "2024-01-01", "2024-01-02", "eu/ch|ü=%"]
    assert lake.read(KEY, partitions=["2024-01-02", "eu/ch|ü=%"])["v"].to_pylist() == [2, 3]
    lake.write(KEY, pa.table({"v": [10, 11]}), partition="2024-01-01")
    assert sorted(lake.read(KEY)["v"].to_pylist()) == [2, 3, 4, 10, 11]
    lake.drop(KEY, partition="2024-01-01")
    assert sorted(lake.read(KEY)["v"].to_pylist()) == [2, 3, 4]
    with pytest.raises(LakeError, match="no partition 2024-01-01"):
        lake.read(KEY, partitions=["2024-01-01", "2024-01-02"])


def test_only_the_asked_partitions_are_opened(lake: LakeTables) -> None:
    for day in ("a", "b"):
        lake.write(KEY, pa.table({"v": [day]}), partition=day)
    files = LakeFiles.at(lake.url)
    broken = lake.current(KEY, "a")
    assert broken is not None
    files.put(files.path("tables", *KEY, "partition=a", broken.name, broken.files[0]), b"not parquet")
    assert lake.read(KEY, partitions=["b"])["v"].to_pylist() == ["b"]
    with pytest.raises(LakeError, match=r"[Pp]arquet"):
        lake.read(KEY)


def test_partitions_of_different_age_are_read_together(lake: LakeTables) -> None:
    lake.write(KEY, pa.table({"id": pa.array([1], pa.int32())}), partition="old")
    lake.write(KEY, pa.table({"id": pa.array([2**40]), "new": ["x"]}), partition="young")
    assert sorted(lake.read(KEY).to_pylist(), key=lambda row: row["id"]) == [{"id": 1, "new": None}, {"id": 2**40, "new": "x"}]
    for other in (["text"], [1.5]):
        lake.write(KEY, pa.table({"id": other}), partition="other")
        with pytest.raises(LakeError, match="do not go together"):
            lake.read(KEY)


def test_readers_always_find_a_complete_generation(lake: LakeTables) -> None:
    rows = 500
    lake.write(KEY, pa.table({"round": [0] * rows}))
    done = threading.Event()

    def poll() -> set[int]:
        seen: set[int] = set()
        while not done.is_set() or not seen:
            rounds = lake.read(KEY)["round"].to_pylist()
            assert len(rounds) == rows and len(set(rounds)) == 1
            seen.add(rounds[0])
        return seen

    with ThreadPoolExecutor(2) as readers:
        polling = [readers.submit(poll) for _ in range(2)]
        try:
            for number in range(1, 60):  # superseded generations go at once: readers must start again, never fail
                lake.write(KEY, pa.table({"round": [number] * rows}), keep_seconds=0)
        finally:
            done.set()
        assert len(set.union(*(task.result() for task in polling))) > 2
    assert len([name for name in _names(lake) if name.startswith("_g")]) == 2


def test_a_writer_that_fails_leaves_the_former_table(lake: LakeTables) -> None:
    lake.write(KEY, pa.table({"v": [1]}))

    def batches():
        yield pa.record_batch({"v": [2] * 100_000})
        raise RuntimeError("the asset's own error")

    with pytest.raises(RuntimeError, match="the asset's own error"):
        lake.write(KEY, pa.RecordBatchReader.from_batches(pa.schema([("v", pa.int64())]), batches()))
    assert lake.read(KEY)["v"].to_pylist() == [1]
    with pytest.raises(LakeError, match="Parquet cannot hold"):
        lake.write(KEY, pa.table({"v": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}))
    assert lake.read(KEY)["v"].to_pylist() == [1]


_KILLED = """
import os, signal, sys
import pyarrow as pa
from platform_core.lake import LakeTables, files

if sys.argv[2] == "files":
    def batches():
        yield pa.record_batch({"v": [2] * 1_000_000})
        os.kill(os.getpid(), signal.SIGKILL)
else:
    def batches():
        yield pa.record_batch({"v": [2]})
    files.Path.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)

LakeTables(sys.argv[1]).write(("sales", "build", "orders"), pa.RecordBatchReader.from_batches(pa.schema([("v", pa.int64())]), batches()))
"""


@pytest.mark.parametrize("moment", ["files", "pointer"])
def test_a_killed_writer_leaves_orphans_that_a_later_write_removes(tmp_path: Path, moment: str) -> None:
    lake = LakeTables(str(tmp_path))
    lake.write(KEY, pa.table({"v": [1]}))
    assert subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), moment], check=False, timeout=60).returncode == -9
    assert lake.read(KEY)["v"].to_pylist() == [1]
    assert len([name for name in _names(lake) if name.startswith("_g")]) == 2
    lake.write(KEY, pa.table({"v": [3]}))  # younger than the time a writer may take: stays
    assert len([name for name in _names(lake) if name.startswith("_g")]) == 3
    lake.write(KEY, pa.table({"v": [4]}), keep_seconds=0)
    kept = lake.current(KEY)
    assert kept is not None
    assert sorted(name for name in _names(lake) if name.startswith("_g")) == [kept.previous, kept.name]


def test_a_table_is_either_whole_or_in_partitions(lake: LakeTables) -> None:
    lake.write(KEY, pa.table({"v": [1]}))
    with pytest.raises(LakeError, match="written without partitions before"):
        lake.write(KEY, pa.table({"v": [1]}), partition="a")
    lake.drop(KEY)
    assert lake.current(KEY) is None
    lake.write(KEY, pa.table({"v": [1]}), partition="a")
    with pytest.raises(LakeError, match="written in partitions before"):
        lake.write(KEY, pa.table({"v": [1]}))


def test_errors_say_what_to_do(lake: LakeTables) -> None:
    with pytest.raises(LakeError, match="does not exist in the lake"):
        lake.read(KEY)
    lake.write(KEY, pa.table({"v": [1]}))
    with pytest.raises(LakeError, match=r"no column w(.|\n)*choose from: v"):
        lake.read(KEY, columns=["w"])
    files = LakeFiles.at(lake.url)
    files.put(files.path("tables", *KEY, "_current"), b'{"half')
    with pytest.raises(LakeError, match="pointer cannot be read"):
        lake.read(KEY)
    with pytest.raises(LakeError, match="cannot open the lake"):
        LakeTables("nonsense://x").read(KEY)


def test_a_read_only_folder_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file where the lake should be")
    with pytest.raises(LakeError, match="check MESH_LAKE_URL"):
        LakeTables(str(tmp_path / "lake")).write(KEY, pa.table({"v": [1]}))


def test_names_cannot_leave_their_folder_or_meet() -> None:
    assert table_path(["a", "..", "_current", "partition=x", "b/c"]) == ["tables", "a", "%2E.", "%5Fcurrent", "partition%3Dx", "b%2Fc"]
    for key in ("2024-01-01", "a/b|c", "%2F", "ü ="):
        assert partition_of(partition_folder(key)) == key
        assert "/" not in partition_folder(key)
    assert partition_of("_g1-a") is None
    assert [age_seconds(name, 0) is None for name in ("_current", "partition=x", "_gx-1", new_generation())] == [True, True, True, False]
    generation = Generation("_g1-a", None, ("part-0.parquet",), 1, 2, "")
    assert Generation.parse(generation.dump()) == generation
    for wrong in (b"", b"[]", b"{}", b'{"format": "mesh-lake-table/1"}', b"\xff"):
        with pytest.raises(ValueError, match=r"mesh-lake-table|Expecting|decode"):
            Generation.parse(wrong)


def test_memory_is_really_another_file_system() -> None:
    assert not LakeFiles.at("memory://x").local
    assert LakeFiles.at("/tmp").local and LakeFiles.at("file:///tmp").local
    assert fsspec.core.url_to_fs("memory://x")[0].protocol == "memory"
