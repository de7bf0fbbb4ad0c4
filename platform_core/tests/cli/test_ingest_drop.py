"""``mesh ingest`` and ``mesh lint`` for files that people drop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from platform_core.warehouse import Warehouse


def test_dropped_files_are_loaded_by_name(mesh: Any, applied: Any, files: Path) -> None:
    said = mesh("ingest", "marketing/budgets")
    assert said.code == 0, said.all
    assert "budgets-2025-h1.csv: 17 rows into marketing_raw.campaign_budgets" in said.out
    again = mesh("ingest", "budgets", "--json")
    assert (again.code, again.json()["loaded"], again.json()["rows"]) == (0, [], 0)
    (files / "domains/marketing/drops/budgets/more.csv").write_text(
        "campaign_id;month;budget_usd;cost_center\nSL-0101;2025-06-01;1000;00420\n"
    )
    (loaded,) = mesh("ingest", "budgets", "--json").json()["loaded"]
    assert (loaded["file"], loaded["rows"], loaded["replaced"]) == ("more.csv", 1, 0)
    refreshed = mesh("ingest", "budgets", "--full-refresh", "--json").json()
    assert refreshed["rows"] == 27


def test_a_broken_file_is_said_alerted_and_the_exit_code(mesh: Any, applied: Any, files: Path, empty_database: Warehouse) -> None:
    folder = files / "domains/marketing/drops/budgets"
    (folder / "bad.csv").write_text("campaign_id;month;budget_usd;cost_center\nSL-0101;2025-06-01;1000\n")
    said = mesh("ingest", "marketing/budgets")
    assert said.code == 1
    assert "bad.csv: in quarantine. Line 2 has 3 values, but line 1 names 4 columns." in said.out
    assert (folder / "quarantine" / "bad.csv.error.txt").is_file()
    with empty_database.connect_platform() as connection:
        assert connection.execute("SELECT domain, title FROM mesh.alerts").fetchall() == [
            ("marketing", "the dropped file bad.csv cannot be read")
        ]


def test_options_of_connections_mean_nothing_for_files(mesh: Any, applied: Any) -> None:
    said = mesh("ingest", "marketing/budgets", "--discover")
    assert said.code != 0
    assert "is a drop of files, which knows no --discover" in said.err


def test_a_table_that_somebody_dropped_comes_back_without_the_files(mesh: Any, applied: Any, files: Path, empty_database: Any) -> None:
    drops = files / "domains/marketing/drops/budgets"
    rows = mesh("ingest", "marketing/budgets", "--json").json()["rows"]
    for path in drops.glob("*.csv"):
        path.unlink()
    with empty_database.connect_domain("marketing") as connection:
        connection.execute("DROP TABLE marketing_raw.campaign_budgets")
    assert [sync["status"] for sync in mesh("ingest", "marketing/budgets", "--syncs", "--json").json()["syncs"]] == ["succeeded"] * 2
    refused = mesh("ingest", "marketing/budgets", "--replay", "latest")
    assert refused.code != 0 and "./mesh ingest marketing/budgets --replay all" in refused.err
    assert mesh("ingest", "marketing/budgets", "--replay", "all", "--full-refresh").code == 2
    said = mesh("ingest", "marketing/budgets", "--replay", "all")
    assert f"marketing_raw.campaign_budgets: {rows:,} rows" in said.out and "2 syncs replayed" in said.out


def test_a_misspelt_drop_is_guessed(mesh: Any, applied: Any) -> None:
    assert "did you mean 'marketing/budgets'?" in mesh("ingest", "marketing/budget").err


def test_lint_reads_drops_too(mesh: Any, files: Path) -> None:
    declaration = files / "airbyte/marketing/drops/budgets.yaml"
    declaration.write_text(declaration.read_text().replace("stream:", "streem:"))
    said = mesh("lint")
    assert said.code == 1
    assert "airbyte/marketing/drops/budgets.yaml:" in said.out
    assert "unknown key 'streem', did you mean 'stream'?" in said.out
