"""``mesh bench mask``: the documented form, from a real run over a small table."""

from __future__ import annotations

import pytest

from platform_core.cli.bench_mask import bench_mask


def test_every_contestant_reads_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    document = bench_mask(1, rows=200, columns=20)
    assert document["bench"] == "mask" and document["machine"]["cores"]
    assert len(document["results"]) == 12
    for result in document["results"]:
        assert result["rows"] == 1000 and result["runs"] == 1 and "cpu_server_s" in result
        assert result["wall_spread"][0] <= result["wall_s"] <= result["wall_spread"][1]
    assert [name for name in document["ratios"] if name.startswith("nothing masked")] != []
    assert "us a row" in document["ratios"]["hash"]
    assert "4 tables of 20 columns and 200 rows" in capsys.readouterr().err
