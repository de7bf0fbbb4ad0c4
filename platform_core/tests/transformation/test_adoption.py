"""What an adopted project's manifest becomes: types from SQL, promises from tests, products from exposures and folders; decided on plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from platform_core.contracts import Mesh
from platform_core.transformation.adoption.foreign_sql import foreign_functions
from platform_core.transformation.adoption.inferred_types import infer_types
from platform_core.transformation.adoption.products import plan_products
from platform_core.transformation.adoption.project_edits import edit_project
from platform_core.transformation.adoption.promises import read_promises
from platform_core.transformation.adoption.seed_types import seed_types
from platform_core.transformation.adoption.tables import propose_table
from platform_core.warehouse import Warehouse

EMPTY = Mesh((), {}, {}, ())


def _test(
    name: str, column: str | None = None, namespace: str | None = None, config: dict[str, Any] | None = None, **arguments: Any
) -> dict[str, Any]:
    return {
        "unique_id": f"test.p.{namespace}.{name}.{column}", "name": f"{name}_of_{column}", "column_name": column, "config": config or {},
        "test_metadata": {"name": name, "namespace": namespace, "kwargs": {**arguments, "model": "{{ get_where_subquery(ref('m')) }}"}},
    }  # fmt: skip


WARN = {"severity": "warn"}


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (_test("accepted_values", "s", values=["a", "b"]),
         {"s": [{"metric": "invalidValues", "arguments": {"validValues": ["a", "b"]}, "mustBe": 0, "dimension": "conformity", "severity": "error"}]}),
        (_test("accepted_values", "s", values=[1, 2], quote=False, config=WARN),
         {"s": [{"metric": "invalidValues", "arguments": {"validValues": [1, 2]}, "mustBe": 0, "dimension": "conformity", "severity": "warning"}]}),
        (_test("not_null", "s", config=WARN), {"s": [{"metric": "nullValues", "mustBe": 0, "dimension": "completeness", "severity": "warning"}]}),
        (_test("not_null_proportion", "s", "dbt_utils", at_least=0.95),
         {"s": [{"metric": "nullValues", "unit": "percent", "mustBeLessOrEqualTo": 5.0, "dimension": "completeness", "severity": "error"}]}),
    ],
)  # fmt: skip
def test_a_test_of_a_column_becomes_a_clause_of_the_column(test: dict[str, Any], expected: dict[str, Any]) -> None:
    found = read_promises([test])
    assert (found.column_quality, found.left) == (expected, [])


@pytest.mark.parametrize(
    ("test", "query", "severity"),
    [
        (_test("not_null", "s", config={"where": "a > 0 or b > 0"}), "select count(*) from {object} where (a > 0 or b > 0) and s is null", "error"),
        (_test("expression_is_true", "s", "dbt_utils", expression="> 0"), "select count(*) from {object} where not (s > 0)", "error"),
        (_test("expression_is_true", None, "dbt_utils", expression="a = b", config=WARN), "select count(*) from {object} where not (a = b)", "warning"),
        (_test("not_empty_string", "user", "dbt_utils"), "select count(*) from {object} where trim(\"user\") = ''", "error"),
        (_test("accepted_range", "n", "dbt_utils", min_value=0, max_value=9, config=WARN),
         "select count(*) from {object} where (n < 0 or n > 9)", "warning"),
    ],
)  # fmt: skip
def test_a_condition_becomes_a_rule_in_sql_that_counts_what_breaks_it(test: dict[str, Any], query: str, severity: str) -> None:
    (clause,) = read_promises([test]).table_quality
    assert (clause["query"], clause["severity"], clause["mustBe"]) == (query, severity, 0)


def test_what_every_row_keeps_becomes_a_property_of_the_column() -> None:
    found = read_promises([
        _test("not_null", "id"), _test("unique", "id"),
        _test("accepted_range", "n", "dbt_utils", min_value=0, max_value=1.5, inclusive=False),
        _test("expect_column_value_lengths_to_be_between", "code", "dbt_expectations", min_value=2, max_value=3),
        _test("expect_table_row_count_to_be_between", None, "dbt_expectations", min_value=1),
        _test("unique_combination_of_columns", None, "dbt_utils", combination_of_columns=["a", "b"]),
        _test("relationships", "c_id", to="ref('other_project', 'customers')", field="id"),
    ])  # fmt: skip
    assert (found.required, found.unique) == ({"id"}, {"id"})
    assert found.options == {"n": {"exclusiveMinimum": 0, "exclusiveMaximum": 1.5}, "code": {"minLength": 2, "maxLength": 3}}
    assert {clause["metric"] for clause in found.table_quality} == {"rowCount", "duplicateValues"}
    assert found.references == [("c_id", "customers", "id", "relationships_of_c_id")]
    assert found.left == []


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (_test("unique", "id", config={"where": "not deleted"}), "some rows only"),
        (_test("not_null", "id", config={"error_if": ">10"}), "error_if is '>10'"),
        (_test("accepted_values", "s", values="{{ var('states') }}"), "a template"),
        (_test("relationships", "s", to="source('a', 'b')", field="id"), "a source, not to a model"),
        (_test("relationships", "s", to="ref('b')", field="id", config=WARN), "every row and blocks"),
        (_test("accepted_range", "n", "dbt_utils", min_value="other_column"), "no numbers"),
        (_test("expect_column_values_to_be_in_set", "s", "dbt_expectations", value_set=["a"], row_condition="x"), "row_condition"),
        (_test("recency", None, "dbt_utils", field="at", datepart="day", interval=1), "what dbt_utils.recency tests"),
        (_test("our_own", "s"), "what our_own tests"),
        ({"unique_id": "t", "name": "singular", "config": {}}, "in SQL of its own"),
    ],
)
def test_what_no_clause_says_exactly_stays_a_dbt_test_and_is_named(test: dict[str, Any], reason: str) -> None:
    found = read_promises([test])
    ((_, said),) = found.left
    assert reason in said
    assert not (found.required or found.unique or found.options or found.column_quality or found.table_quality or found.references)


def _model(identity: str, sql: str, *parents: str) -> dict[str, Any]:
    return {"id": identity, "schema": "d_build", "alias": identity, "failed": None, "parents": list(parents), "sql": [sql]}


@pytest.mark.parametrize("known", [{}, {"d_raw.other": {"a": "integer"}}])
def test_types_that_the_sql_says_are_handed_on_and_others_stay_unknown(known: dict[str, dict[str, str]]) -> None:
    models = [
        _model("balance", 'with x as (select * from "mesh"."d_build"."stg") select id, sum(cents) c, sum(small) s, max(name) m, count(*) n,'
               ' max(amount) a, sum(amount) t, amount * 2 as twice, coalesce(amount, 0) z, min(at) at from x group by 1', "stg"),
        _model("stg", "select id::bigint as id, cents::bigint cents, small::int as small, name::varchar(20) as name, amount::numeric(12, 2) amount,"
               ' cast(at as timestamp with time zone) at, payload from "mesh"."d_raw"."events"'),
        _model("both", 'select id, name from "mesh"."d_build"."stg" union all select id, \'x\'::text from "mesh"."d_build"."stg"', "stg"),
        _model("wrong", "select from where"),
    ]  # fmt: skip
    found = infer_types(models, known)
    assert found["stg"] == {
        "id": "bigint", "cents": "bigint", "small": "integer", "name": "character varying(20)", "amount": "numeric(12,2)", "at": "timestamptz",
    }  # fmt: skip
    assert found["balance"] == {
        "id": "bigint", "c": "numeric", "s": "bigint", "m": "text", "n": "bigint", "a": "numeric", "t": "numeric", "twice": "numeric",
        "z": "numeric", "at": "timestamptz",
    }  # fmt: skip
    assert found["both"] == {"id": "bigint"} and found["wrong"] == {}


EXPRESSIONS = """
i + 1|i * b|b / 2|n + b|f * n|i % 2|-n|abs(i)|1.5|9999999999|d - d|d + 1|d + interval '1 day'|ts - ts|tz - interval '1 hour'|tz - tz
case when i > 0 then i else 0 end|case when o then v else 'none' end|case when o then 'a' else 'b' end|case when o then n end
case when o then i else b end|case when o then n else 0 end|coalesce(n, 0)|coalesce(n, n)|coalesce(v, 'x')|coalesce(i, 0.0)|greatest(d, d)|least(b, i)
sum(i) over ()|sum(b) over ()|sum(case when o then n else 0 end) over ()|avg(i) over ()|avg(f) over ()|count(*) over ()|max(v) over ()|min(ts) over ()
count(*) filter (where o) over ()|row_number() over ()|rank() over (order by i)|lag(n) over (order by i)|first_value(v) over (order by i)
date_trunc('month', d)|date_trunc('day', ts)|date_trunc('day', tz)|extract(year from d)|date_part('year', d)|current_date|current_timestamp|now()|round(n, 1)|round(i, 1)
lower(v)|upper(t)|trim(t)|concat(t, v)|concat(t, i)|concat_ws('-', t, v)|substring(t from 1 for 2)|md5(t)|string_agg(t, ',') over ()|initcap(t)
split_part(t, '-', 1)|replace(t, 'a', 'b')|left(t, 2)|right(t, 2)|length(t)|char_length(t)|j ->> 'a'|to_char(d, 'Day')|to_date(t, 'YYYY')
date(ts)|to_timestamp(t, 'YYYY')|dense_rank() over (order by i)
i > 1|o and not o|i is null|t like 'a%'|i in (1, 2)|'literal'|d = d|(d)::timestamp|t::varchar(12)|n::int|gen_random_uuid()|n|v|now() - tz
"""


def test_the_type_of_an_expression_is_the_one_that_postgres_gives_it(empty_database: Warehouse) -> None:
    expressions = [expression for line in EXPRESSIONS.strip().splitlines() for expression in line.split("|") if expression.strip()]
    types = {
        "i": "integer",
        "b": "bigint",
        "n": "numeric(12,2)",
        "f": "double precision",
        "v": "character varying(20)",
        "t": "text",
        "d": "date",
    }
    types |= {"ts": "timestamp without time zone", "tz": "timestamp with time zone", "o": "boolean", "j": "jsonb"}
    listed = ", ".join(f"({expression}) AS c{number}" for number, expression in enumerate(expressions))
    query = f"SELECT {listed} FROM d_raw.x"
    with empty_database.connect_platform() as connection:
        connection.execute("CREATE SCHEMA d_raw")
        connection.execute(f"CREATE TABLE d_raw.x ({', '.join(f'{name} {kind}' for name, kind in types.items())})".encode())
        connection.execute(f"CREATE TABLE d_raw.made AS {query}".encode())
        rows = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'd_raw.made'::regclass AND attnum > 0"
        ).fetchall()
    real = {name: kind.replace(" without time zone", "").replace("timestamp with time zone", "timestamptz") for name, kind in rows}
    found = infer_types(
        [{"id": "m", "schema": "d_build", "alias": "m", "failed": None, "parents": [], "sql": [query]}], {"d_raw.x": types}
    )["m"]
    plain = {
        name: kind.replace(" without time zone", "").replace("timestamp with time zone", "timestamptz") for name, kind in found.items()
    }
    wrong = {expressions[int(name[1:])]: (plain.get(name), kind) for name, kind in real.items() if plain.get(name) != kind}
    assert wrong == {}


def test_a_seed_has_the_types_that_dbt_finds_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("ID,price,at,day,name,flag,empty,code\n1,1.5,2026-01-31 10:00:00,2026-01-31,x,true,,007\n2,,,,,,,8\n")
    assert seed_types(path, {"column_types": {"code": "varchar(3)"}}) == {
        "id": "integer", "price": "double precision", "at": "timestamp without time zone", "day": "date", "name": "text", "flag": "boolean",
        "empty": "integer", "code": "varchar(3)",
    }  # fmt: skip
    path.write_text("Key;n\na;1\n")
    assert seed_types(path, {"delimiter": ";", "quote_columns": True}) == {"Key": "text", "n": "integer"}
    assert seed_types(tmp_path / "gone.csv", {}) == {}


def test_a_table_takes_what_is_known_of_its_columns() -> None:
    node = {
        "unique_id": "model.p.m", "name": "m", "alias": "m", "description": " Rows. ", "tags": ["Weekly Report"], "primary_key": ["ID"],
        "config": {"materialized": "table"}, "original_file_path": "models/m.sql",
        "columns": {
            "ID": {"description": "Number."}, "mail": {"meta": {"contains_pii": True}, "data_type": "text"}, "gone": {},
            "secret": {"config": {"meta": {"classification": "Confidential"}, "tags": ["PII"]}}, "open": {"meta": {"classification": "public"}},
        },
    }  # fmt: skip
    types = {"id": "bigint", "mail": "", "secret": "text", "open": "boolean", "more": "geometry(Point,4326)"}
    tests = [
        _test("accepted_values", "open", values=["true"]),
        _test("accepted_values", "id", values=["1", "2"]),
        _test("not_null", "gone"),
    ]
    table, promises, decisions = propose_table(node, tests, types, "m", known=True, viewed=True)
    columns = {column.name: column for column in table.columns}
    assert [(name, column.physical_type, column.logical_type) for name, column in columns.items()] == [
        ("id", "bigint", "integer"), ("mail", "text", "string"), ("secret", "text", "string"), ("open", "boolean", "boolean"),
        ("more", "geometry(Point,4326)", ""),
    ]  # fmt: skip
    assert (columns["id"].key_position, columns["id"].required, columns["id"].unique) == (1, True, False)
    assert [(columns[name].classification, columns[name].tags, columns[name].personal) for name in ("mail", "secret", "open")] == [
        ("restricted", ("pii",), True), ("confidential", ("pii",), True), ("public", (), False),
    ]  # fmt: skip
    assert columns["open"].quality[0]["arguments"] == {"validValues": [True]} and columns["id"].quality[0]["arguments"] == {
        "validValues": [1, 2]
    }
    assert table.tags == ("weekly_report",) and table.description == "Rows." and table.incremental, (
        "a view reads it: its rows stay in place"
    )
    said = {(decision.kind, decision.subject, decision.blocks) for decision in decisions}
    assert {("column-type", "m.more", True), ("columns-unknown", "m", False), ("test", "tests of m.gone", False)} <= said
    assert promises.left


def _node(name: str, *folders: str, **more: Any) -> dict[str, Any]:
    return {
        "unique_id": f"model.p.{name}", "name": name, "alias": name, "resource_type": "model", "package_name": "p", "fqn": ["p", *folders, name],
        "original_file_path": "/".join(["models", *folders, f"{name}.sql"]), "config": {"materialized": "table"}, **more,
    }  # fmt: skip


def _manifest(
    nodes: list[dict[str, Any]], exposures: list[dict[str, Any]] | None = None, children: dict[str, list[str]] | None = None
) -> dict[str, Any]:
    return {
        "metadata": {"project_name": "p"}, "nodes": {node["unique_id"]: node for node in nodes}, "child_map": children or {}, "groups": {},
        "exposures": {item["name"]: {"package_name": "p", "original_file_path": "e.yml", **item} for item in exposures or []},
    }  # fmt: skip


def test_public_models_are_served_with_their_versions_and_the_latest_answers_a_reference() -> None:
    versioned = {"access": "public", "latest_version": 2, "config": {"materialized": "table", "access": "public", "group": "Money"}}
    old = _node("ledger", "staging", **versioned, version=1) | {"unique_id": "model.p.ledger.v1", "alias": "ledger_v1"}
    old["deprecation_date"] = "2027-06-01T00:00:00"
    new = _node("ledger", "staging", **versioned, version=2) | {"unique_id": "model.p.ledger.v2"}
    plans, decisions = plan_products("d", _manifest([new, old], children={"model.p.ledger.v1": ["model.p.x"]}), EMPTY)
    assert {plan.name: sorted(plan.models.values()) for plan in plans} == {"money": ["ledger", "ledger_v1"]}
    ((subject, message),) = [(item.subject, item.message) for item in decisions if item.kind == "version"]
    assert subject == "ledger.v1" and "whose latest is 2, served until 2027-06-01" in message


def test_sql_of_another_database_is_named_with_what_postgres_has_instead() -> None:
    sql = "select dateadd(day, 1, d), x.year(y), 'iff(1)', \"year\" (1), extract(year from d), iff(a, b, c) -- nvl(a, b)\nfrom t where year in (1)"
    assert list(foreign_functions(sql)) == ["dateadd", "iff"]
    assert foreign_functions("select coalesce(a, date_trunc('year', b)) from t where left(a, 1) = 'x'") == {}


def test_what_the_project_says_of_personal_data_is_kept_and_what_it_does_not_say_is_asked() -> None:
    columns = {
        "first_name": {"description": "Customer's first name. PII."},
        "note": {"description": "Free text; contains no PII."},
        "mail_count": {},
    }
    node = {"unique_id": "model.p.m", "name": "m", "config": {}, "columns": columns, "original_file_path": "m.sql"}
    types = {"first_name": "text", "note": "text", "mail_count": "bigint", "customer_email": "text"}
    table, _, decisions = propose_table(node, [], types, "m", known=True)
    assert {column.name: (column.classification, column.tags) for column in table.columns if column.personal} == {
        "first_name": ("restricted", ("pii",))
    }
    asked = {item.subject: item.message for item in decisions if item.kind == "personal-data"}
    assert set(asked) == {"m.first_name", "m"} and asked["m"].startswith("customer_email: personal data by the name")


def test_products_are_exposures_then_folders_of_marts_then_what_nobody_reads() -> None:
    nodes = [
        _node("orders", "marts", "finance"), _node("costs", "marts", "finance"), _node("people", "marts"), _node("stg_x", "staging"),
        _node("deep", "ops", "late"), _node("read_by_others", "ops"), _node("Root-Model"), _node("hidden", "marts", access="private"),
        _node("inline", "marts", config={"materialized": "ephemeral"}),
    ]  # fmt: skip
    exposures = [
        {
            "name": "weekly",
            "label": "Weekly",
            "depends_on": {"nodes": ["model.p.orders"]},
            "owner": {"email": ["a@x.example", "b@x.example"]},
        },
        {"name": "zzz_again", "depends_on": {"nodes": ["model.p.orders"]}, "owner": {"name": "Nobody"}},
    ]
    plans, decisions = plan_products("d", _manifest(nodes, exposures, {"model.p.read_by_others": ["model.p.deep"]}), EMPTY)
    assert {plan.name: dict(plan.models) for plan in plans} == {
        "weekly": {"model.p.orders": "orders"}, "finance": {"model.p.costs": "costs"}, "marts": {"model.p.people": "people"},
        "ops": {"model.p.deep": "deep"}, "core": {"model.p.Root-Model": "root_model"},
    }  # fmt: skip
    assert next(plan.owner for plan in plans if plan.name == "weekly") == "a@x.example"
    assert {(decision.kind, decision.subject) for decision in decisions} == {
        ("served-elsewhere", "zzz_again"), ("name", "Root-Model"),
        *(("not-served", name) for name in ("stg_x", "read_by_others", "hidden", "inline")),
    }  # fmt: skip


def test_reserved_and_taken_product_names_give_way() -> None:
    taken = Mesh(("d",), {}, {}, (), frozenset({"d.finance"}))
    nodes = [_node("a", "marts", "raw"), _node("b", "marts", "Finance"), _node("c", "marts", "orders_data")]
    plans, decisions = plan_products("d", _manifest(nodes), taken)
    assert sorted(plan.name for plan in plans) == ["finance_product", "orders_data_product", "raw_product"]
    assert {decision.subject for decision in decisions if decision.kind == "name"} == {"raw", "finance", "orders_data"}


def test_sources_move_to_the_raw_schema_and_the_rest_of_the_file_stays() -> None:
    text = """\
# our sources
sources:
  - name: bank  # core
    schema: "{{ var('raw') }}"
    database: raw
    tables: [{name: accounts}]
  - name: crm
    tables:
      - name: people  # all of them
  - {name: flow, schema: x, tables: [{name: y}]}
models:
  - name: kept
"""
    edited = edit_project("d", {"dbt_project.yml": b"name: p\n", "models/s.yml": text.encode()}, {})
    made = edited.files["models/s.yml"].decode()
    document = yaml.safe_load(made)
    assert [(source["name"], source["schema"], source.get("database")) for source in document["sources"]] == [
        ("bank", "d_raw", None), ("crm", "d_raw", None), ("flow", "d_raw", None),
    ]  # fmt: skip
    assert document["models"] == [{"name": "kept"}]
    plain = text.replace("  - {name: flow, schema: x, tables: [{name: y}]}\n", "")
    kept = edit_project("d", {"dbt_project.yml": b"name: p\n", "models/s.yml": plain.encode()}, {}).files["models/s.yml"].decode()
    assert "# our sources" in kept and "# core" in kept and "# all of them" in kept and "# database: raw" in kept


def test_a_source_that_the_projects_own_seed_loads_is_read_by_reference() -> None:
    sources = """\
sources:
  - name: ecom
    schema: raw
    tables:
      - name: raw_orders # from the shop
        columns: [{name: id, data_tests: [unique]}]
      - name: raw_people
"""
    sql = "select * from {{ source('ecom', 'raw_orders') }} join {{ source( \"ecom\", 'raw_people' ) }} using (id)"
    files = {"dbt_project.yml": b"name: p\nseed-paths: [data/x]\n", "models/s.yml": sources.encode(), "models/m.sql": sql.encode(),
             "data/x/raw_orders.csv": b"id\n1\n", "elsewhere/raw_people.csv": b""}  # fmt: skip
    edited = edit_project("d", files, {})
    assert edited.files["models/m.sql"].decode() == sql.replace("source('ecom', 'raw_orders')", "ref('raw_orders')")
    text = edited.files["models/s.yml"].decode()
    (source,) = yaml.safe_load(text)["sources"]
    assert "# from the shop" in text and source["schema"] == "d_raw"
    assert [table.get("config") for table in source["tables"]] == [{"enabled": False}, None]
    assert [(decision.kind, decision.subject) for decision in edited.decisions] == [("source", "ecom.raw_orders")]


def test_macros_that_choose_schemas_step_aside_and_code_that_asks_for_the_target_is_named() -> None:
    macro = "{%- macro postgres__generate_schema_name(a, b) -%}x{%- endmacro %}\n{% macro mine() %}{{ target.name }}{{ env_var('REGION') }}{% endmacro %}"
    project = b'name: p\nprofile: old\nmacro-paths: [code]\non-run-end: ["grant x"]\n'
    edited = edit_project(
        "d", {"dbt_project.yml": project, "code/m.sql": macro.encode(), "profiles.yml": b"password: hunter2"}, {"model.p.a": "b_a"}
    )
    assert b"macro adopted_postgres__generate_schema_name(" in edited.files["code/m.sql"]
    assert b"'model.p.a': 'b_a'" in edited.files["code/mesh_schemas.sql"] and b"target.schema" in edited.files["code/mesh_schemas.sql"]
    assert b"hunter2" not in edited.files["profiles.yml"] and edited.files["profiles.yml"].count(b"\nold:\n") == 1
    assert {(decision.kind, decision.subject) for decision in edited.decisions} == {
        ("macro", "code/m.sql"), ("target", "code/m.sql"), ("environment", "REGION"), ("grant", "on-run-end"),
    }  # fmt: skip
