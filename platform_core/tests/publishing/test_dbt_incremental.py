"""A real incremental dbt model behind a port: it goes on adding to its own table, and nobody sees a row that was not audited."""

from __future__ import annotations

from pathlib import Path

import pytest
from port_bench import Port, passes, table

from platform_core.transformation import read_manifest

EVENTS = {"id": "integer", "amount": "integer"}
FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\nmodel-paths: [models]\nflags: {send_anonymous_usage_stats: false}\n",
    "models/sources.yml": "sources:\n  - name: raw\n    schema: sales_raw\n    tables: [{name: events}]\n",
    "models/events.sql": """\
{{ config(materialized='incremental', incremental_strategy='append') }}
select id, amount from {{ source('raw', 'events') }}
{% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}
""",
    "models/totals.sql": "{{ config(materialized='table') }}\nselect count(*)::integer as id, sum(amount)::integer as amount from {{ ref('events') }}\n",
}


@pytest.fixture
def project(tmp_path: Path, port: Port, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dbt project, with a profile that builds as the domain's job."""
    for name, content in FILES.items():
        path = tmp_path / "shop_dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    known = port.warehouse.parameters
    target = (
        f"{{type: postgres, host: {known['host']}, port: {known['port']}, user: sales_job, password: '', "
        f"dbname: {known['dbname']}, schema: sales_build, role: sales_owner, threads: 1}}"
    )
    (tmp_path / "shop_dbt" / "profiles.yml").write_text(f"shop:\n  target: here\n  outputs:\n    here: {target}\n")
    monkeypatch.setenv("PGPASSFILE", known["passfile"])
    return tmp_path / "shop_dbt"


def _dbt(project: Path) -> None:
    from dbt.cli.main import dbtRunner

    result = dbtRunner().invoke(["--quiet", "--no-use-colors", "run", "--project-dir", str(project), "--profiles-dir", str(project)])
    assert result.success, result.exception or [item.message for item in result.result]


def _arrive(port: Port, first: int, last: int) -> None:
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS sales_raw.events (id integer, amount integer)")
        connection.execute("INSERT INTO sales_raw.events SELECT g, 10 FROM generate_series(%s::integer, %s) AS g", (first, last))


def _seen(port: Port) -> tuple[int, int]:
    """How many events the port shows, and how many its totals count."""
    return port.read("SELECT (SELECT count(*) FROM sales_orders.events), (SELECT id FROM sales_orders.totals)")[0]  # type: ignore[return-value]


def test_readers_see_former_rows_until_an_audit_holds_and_the_model_never_starts_anew(port: Port, project: Path) -> None:
    _arrive(port, 1, 100)
    _dbt(project)
    assert read_manifest(project / "target" / "manifest.json").incremental() == {"events"}, "the platform asks the manifest which to copy"
    port.change(table("events", EVENTS, personal=(), incremental=True), table("totals", EVENTS, personal=()))
    file = port.admin("SELECT pg_relation_filenode('sales_build.events')")
    assert port.publish().published
    assert _seen(port) == (100, 100)

    _arrive(port, 101, 150)
    _dbt(project)
    assert _seen(port) == (100, 100), "rows were shown before their audit"
    assert not port.publish(passes(passed=False)).published
    assert _seen(port) == (100, 100), "rows were shown although their audit failed"

    _arrive(port, 151, 160)
    _dbt(project)
    assert _seen(port) == (100, 100)
    outcome = port.publish()
    assert outcome.published
    assert _seen(port) == (160, 160), "what was held back is there too, once"
    assert port.read("SELECT count(*), count(DISTINCT id) FROM sales_orders.events") == [(160, 160)]
    assert port.admin("SELECT pg_relation_filenode('sales_build.events')") == file, "the model was built anew instead of added to"
