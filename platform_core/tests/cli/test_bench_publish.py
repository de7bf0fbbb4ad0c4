"""``mesh bench publish``: the documented form, from real publications and rollbacks; the claims about ten million rows are its job."""

from __future__ import annotations

from platform_core.cli.bench_publish import bench_publish


def test_every_contestant_is_published_audited_and_rolled_back() -> None:
    document = bench_publish(1, small=10, large=5_000)
    assert document["bench"] == "publish" and document["machine"]["cores"]
    names = [result["name"] for result in document["results"]]
    assert names == [
        f"{what.format(kind=kind, rows=rows)}"
        for kind in ("table", "incremental")
        for rows in ("10", "5,000")
        for what in ("publish, {kind} model, {rows} rows: seal and switch", "rollback, {kind} model, {rows} rows")
    ]
    for result in document["results"]:
        steps = set(result["steps_s"])
        assert steps == ({"seal", "switch", "statistics", "audit", "retention"} if "publish" in result["name"] else {"switch", "all"})
        assert result["wall_spread"][0] <= result["wall_s"] <= result["wall_spread"][1]
    for kind in ("table", "incremental"):
        assert document["ratios"][f"publish, {kind} model: seal and switch at 5,000 rows against 10"].endswith(" times")
        assert document["ratios"][f"rollback, {kind} model: all of it at 5,000 rows against 10"].endswith(" times")
