"""What dbt compiles without a database: one project with everything that asks for one, compiled for real."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from small_mesh import write

from platform_core.contracts import load_mesh
from platform_core.settings import Settings
from platform_core.transformation.lineage import Lineage, Ref, column_lineage, compiled

PROJECT = {
    "dbt_project.yml": """\
name: shop_dbt
version: 1.0.0
config-version: 2
profile: shop_dbt
models: {shop_dbt: {+materialized: table, staging: {+materialized: ephemeral}}}
seeds: {shop_dbt: {countries: {+column_types: {code: text}}}}
""",
    "profiles.yml": """\
shop_dbt:
  target: mesh
  outputs:
    mesh: {type: postgres, host: 192.0.2.1, port: 1, dbname: mesh, user: shop_job, password: "", schema: shop_build, threads: 1}
""",
    "macros/loud.sql": "{% macro loud(name) %}upper({{ name }}){% endmacro %}",
    "seeds/countries.csv": "code,label\nNO,Norway\n",
    "models/sources.yml": """\
sources:
  - name: web
    schema: shop_raw
    tables:
      - name: users
        columns:
          - name: mail
            config: {meta: {classification: restricted}, tags: [pii]}
          - name: age
            meta: {classification: confidential}
  - name: club
    schema: club_members
    tables: [{name: members}]
""",
    "models/staging/stg_users.sql": "select id, {{ loud('mail') }} as email, age, town, changed_at from {{ source('web', 'users') }}",
    "models/customers.sql": """\
{{ config(materialized='incremental', unique_key='id') }}
select id, email, age::integer as age, label as city
from {{ ref('stg_users') }}
left join {{ ref('countries') }} on code = town
{% if is_incremental() %}
where changed_at > (select max(id) from {{ this }})
{% endif %}
""",
    "models/asks.sql": "{% if execute %}{% set found = run_query('select 1') %}{% endif %}\nselect email from {{ ref('stg_users') }}",
    "models/star.sql": """\
select {% for column in adapter.get_columns_in_relation(source('club', 'members')) %}{{ column.name }}, {% endfor %}1 as one
from {{ source('club', 'members') }}
""",
    "models/reader.sql": "select s.z, a.email from {{ ref('star') }} as s cross join {{ ref('asks') }} as a",
    "models/hooked.sql": "{{ config(post_hook=\"update {{ this }} set id = 0\") }}\nselect id from {{ ref('stg_users') }}",
    "snapshots/kept.sql": """\
{% snapshot kept %}{{ config(target_schema='shop_build', unique_key='id', strategy='check', check_cols=['mail']) }}
select id, mail from {{ source('web', 'users') }}
{% endsnapshot %}
""",
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mesh")
    write(folder, "      - {name: z, logicalType: string, physicalType: text}")
    for name, text in PROJECT.items():
        path = folder / "dbt_projects" / "shop_dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def lineage_of(root: Path) -> Lineage:
    return column_lineage(load_mesh(root), Settings.load({"MESH_REPO": str(root), "MESH_HOME": str(root / ".mesh")}))


@pytest.fixture(scope="module")
def lineage(root: Path) -> Lineage:
    """Compiled by dbt; the address of its profile answers nobody."""
    return lineage_of(root)


def origins(lineage: Lineage, relation: str, column: str) -> set[str]:
    return {str(ref) for ref in lineage.upstream(Ref(relation, column))[0] if not lineage.edges(ref) and "#" not in ref.relation}


def test_columns_come_through_macros_ephemeral_models_seeds_and_both_builds_of_an_incremental_model(lineage: Lineage) -> None:
    port = "shop_customers.customers"
    assert origins(lineage, port, "email") == {"shop_raw.users.mail"}
    assert origins(lineage, port, "city") == {"shop_build.countries.label"}
    indirect = {str(ref) for ref in lineage.upstream(Ref(port, "city"))[1]}
    assert {"shop_raw.users.town", "shop_build.countries.code", "shop_raw.users.changed_at", "shop_build.customers.id"} <= indirect


def test_the_marks_of_sources_are_read_from_both_places(lineage: Lineage) -> None:
    marks = lineage.marks["shop_raw.users"]
    assert (marks["mail"].classification, marks["mail"].tags, marks["age"].classification) == ("restricted", ("pii",), "confidential")


def test_the_columns_of_another_products_port_are_known_from_its_contract(lineage: Lineage) -> None:
    assert list(lineage.relations["shop_build.star"].columns) == ["z", "one"]
    assert [edge.source for edge in lineage.edges(Ref("shop_build.star", "z"))] == [Ref("club_members.members", "z")]


def test_what_asks_the_database_is_said_and_its_readers_are_traced_all_the_same(lineage: Lineage) -> None:
    told = {problem.location.file.name: problem.message for problem in lineage.problems if problem.rule == "lineage-unknown"}
    assert set(told) == {"asks.sql", "hooked.sql"}
    assert "it runs a query against the database while it compiles" in told["asks.sql"]
    assert "its hook may change the table" in told["hooked.sql"]
    assert not lineage.relations["shop_build.asks"].understood
    assert {str(ref) for ref in lineage.upstream(Ref("shop_build.reader", "email"))[0]} >= {"shop_build.asks.email", "shop_raw.users.*"}


def test_a_snapshot_is_traced(lineage: Lineage) -> None:
    assert origins(lineage, "shop_build.kept", "mail") == {"shop_raw.users.mail"}


def test_dbt_starts_only_when_a_file_changed(root: Path, lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    run = subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        started.append(arguments)
        return run(*arguments, **options)

    monkeypatch.setattr(compiled.subprocess, "run", counted)
    again = lineage_of(root)
    assert started == []
    assert again.relations == lineage.relations
    path = root / "dbt_projects/shop_dbt/models/staging/stg_users.sql"
    before = path.read_text()
    path.write_text(before.replace("'mail'", "'other'"))
    assert origins(lineage_of(root), "shop_customers.customers", "email") == {"shop_raw.users.other"}
    assert len(started) == 1
    path.write_text(before)
    assert lineage_of(root).relations == lineage.relations
    assert len(started) == 1, "the former files are remembered"
