"""The rule ``personal-data-lost``: what is derived from personal data stays protected, or somebody says why it need not be."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_mesh import Bench, column, model, source

PORT = "from shop_customers.customers"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_the_path_is_printed_column_by_column_at_the_columns_line(bench: Bench) -> None:
    found = bench.lint(
        f"{column('id')}\n{column('domain')}",
        model("club", "stg_customers", f"select id, email {PORT}"),
        model(
            "club", "members", "with s as (select * from club_build.stg_customers) select id, split_part(s.email, '@', 2) as domain from s"
        ),
    )
    (problem,) = found
    assert (problem.rule, problem.severity) == ("personal-data-lost", "error")
    assert problem.message == (
        "members.domain is declared internal, but is derived from shop.customers.customers.email, which is restricted and tagged pii: "
        "shop.customers.customers.email -> stg_customers.email -> members.domain [SPLIT_PART(s.email, '@', 2)] -> club.members.members.domain"
    )
    lines = problem.location.file.read_text().splitlines()
    assert lines[problem.location.line - 1].strip() == "- name: domain"
    assert "classify it at least as restricted with tags: [pii]" in problem.remedy
    assert "declassified" in problem.remedy


@pytest.mark.parametrize(
    ("expression", "tail", "found"),
    [
        ("email", "", True),
        ("email::varchar(10)", "", True),
        ("case when email like '%.de' then 'de' end", "", True),
        ("md5(email)", "", True),
        ("encode(sha256(email::bytea), 'hex')", "", True),
        ("encode(hmac(email, 'k', 'sha256'), 'hex')", "", False),
        ("mesh.keyed_hash(email, 'k')", "", False),
        ("count(email)", "group by city", True),
        ("count(email)", "group by city having count(*) >= 4", True),
        ("count(email)", "group by city having count(*) >= 5", False),
        ("count(distinct email)", "group by city having count(distinct id) > 4 and max(id) > 0", False),
        ("avg(age)", "group by city having count(*) >= 20", False),
        ("sum(case when id = 7 then age end)", "group by city having count(*) >= 20", True),
        ("sum(age) filter (where id = 7)", "group by city having count(*) >= 20", True),
        ("max(email)", "group by city having count(*) >= 20", True),
        ("string_agg(email, ',')", "group by city having count(*) >= 20", True),
        ("sum(age) over (partition by city)", "", True),
        ("count(*)", "group by city", False),
        ("id", "where email is not null", False),
        ("to_jsonb(customers)::text", "", True),
        ("(select max(c.email) from shop_customers.customers as c)", "", True),
        ("city", "", False),
    ],
)
def test_what_takes_the_person_out_of_a_value(bench: Bench, expression: str, tail: str, found: bool) -> None:
    problems = bench.lint(column("z"), model("club", "members", f"select {expression} as z {PORT} {tail}"))
    assert [problem.rule for problem in problems] == (["personal-data-lost"] if found else [])


@pytest.mark.parametrize(
    ("origin", "declared", "found"),
    [
        ("email", "restricted", False),
        ("email", "secret", False),
        ("email", "confidential", True),
        ("email", "public", True),
        ("email", None, True),
        ("email", "our-own-word", True),
        ("age", "confidential", False),
        ("age", "restricted", False),
        ("age", "internal", True),
    ],
)
def test_a_column_must_be_declared_at_least_as_sensitive(bench: Bench, origin: str, declared: str | None, found: bool) -> None:
    problems = bench.lint(column("z", declared), model("club", "members", f"select {origin} as z {PORT}"))
    assert bool(problems) == found


def test_the_tag_protects_as_much_as_the_class(bench: Bench) -> None:
    assert bench.lint(column("z", None, "tags: [pii]"), model("club", "members", f"select email as z {PORT}")) == []


def test_the_remedy_fits_what_was_tried(bench: Bench) -> None:
    (hashed,) = bench.lint(column("z"), model("club", "members", f"select md5(email) as z {PORT}"))
    assert "hash it with a key (hmac)" in hashed.remedy
    (counted,) = bench.lint(column("z"), model("club", "members", f"select count(email) as z {PORT} group by city"))
    assert "HAVING count(*) >= 5" in counted.remedy


def declassified(*lines: str) -> str:
    return column("z", "internal", "customProperties:", "  - property: declassified", "    value:", *(f"      {line}" for line in lines))


def test_a_declared_breaker_needs_a_reason_and_an_owner_that_is_known(bench: Bench) -> None:
    members = model("club", "members", f"select left(email, 1) as z {PORT}")
    assert bench.lint(declassified("reason: one letter", "owner: club@example.com"), members) == []
    assert bench.lint(declassified("reason: one letter", "owner: shop-data"), members) == []
    for lines, said in (
        (("reason: one letter",), "has no owner"),
        (("owner: club@example.com",), "has no reason"),
        (("reason: ''", "owner: club@example.com"), "has no reason"),
        (("reason: one letter", "owner: clob@example.com"), "is no team and no owner in the mesh, did you mean 'club@example.com'"),
        (("reason: one letter", "owner: club@example.com", "until: 2030"), "the unknown key 'until'"),
    ):
        (problem,) = bench.lint(declassified(*lines), members)
        assert (problem.rule, problem.severity) == ("declassified", "error")
        assert said in problem.message


def test_a_breaker_that_breaks_nothing_is_a_warning(bench: Bench) -> None:
    (problem,) = bench.lint(declassified("reason: one letter", "owner: shop-data"), model("club", "members", f"select city as z {PORT}"))
    assert (problem.rule, problem.severity) == ("declassified", "warning")
    assert "nothing that it is derived from is more sensitive" in problem.message


def test_a_contract_that_keeps_groups_large_protects_what_is_summed_over_them(bench: Bench) -> None:
    """Every publication is audited for it, so a smaller group is never seen."""
    members = model("club", "members", f"select count(*) as people, avg(age) as z {PORT} group by city")
    people = column("people", "internal", "logicalTypeOptions: {minimum: 5}").replace("string", "integer").replace("text", "bigint")
    assert bench.lint(f"{people}\n{column('z')}", members) == []
    few = people.replace("minimum: 5", "minimum: 4")
    assert [problem.rule for problem in bench.lint(f"{few}\n{column('z')}", members)] == ["personal-data-lost"]


def test_raw_columns_are_marked_by_the_dbt_source(bench: Bench) -> None:
    assert bench.lint(column("z"), model("club", "members", "select 1 as z")) == []
    marks = bench.lineage.marks["shop_raw.users"]
    assert {name: mark.classification for name, mark in marks.items()} == {"mail": "restricted", "age": "confidential"}
    raw = (source("club_raw", "guests", {"mail": "restricted", "name": None}),)
    sql = "with g as (select * from club_raw.guests) select {} as z from g"
    assert len(bench.lint(column("z"), model("club", "members", sql.format("upper(mail)")), sources=raw)) == 1
    assert bench.lint(column("z"), model("club", "members", sql.format("upper(name)")), sources=raw) == []
    whole = (source("club_raw", "guests", {"name": "public"}, whole="restricted"),)
    assert len(bench.lint(column("z"), model("club", "members", sql.format("anything")), sources=whole)) == 1
    assert bench.lint(column("z"), model("club", "members", sql.format("name")), sources=whole) == []


def test_sql_that_is_not_understood_warns_and_fails_safe(bench: Bench) -> None:
    stg = source("shop_customers", "customers", {})
    found = bench.lint(
        f"{column('a')}\n{column('b', 'restricted')}",
        model("club", "members", "select a, b from (pivot shop)", parents=[stg["id"]]),
        sources=(stg,),
    )
    unknown, lost = found
    assert (unknown.rule, unknown.severity, str(unknown.location)) == (
        "lineage-unknown",
        "warning",
        f"{bench.root}/dbt_projects/club_dbt/models/members.sql:1",
    )
    assert lost.rule == "personal-data-lost" and "members.a is declared internal" in lost.message


def test_a_column_that_nothing_has_is_one_error_where_it_is_named(bench: Bench) -> None:
    """As after a renaming in the port that is read: not a warning, and not an error for each column that might be personal."""
    file = bench.root / "dbt_projects/club_dbt/models/members.sql"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"select\n    c.id,\n    c.citi as city\n{PORT} as c\n")
    stg = source("shop_customers", "customers", {})
    found = bench.lint(
        f"{column('id')}\n{column('city')}",
        model("club", "members", f"select c.id, c.citi as city {PORT} as c", parents=[stg["id"]]),
        sources=(stg,),
    )
    (problem,) = found
    assert (problem.rule, problem.severity) == ("no-such-column", "error")
    assert problem.message == "club_build.members cannot be built: no relation that is read has the column 'c.citi', did you mean 'city'?"
    assert (problem.location.file, problem.location.line) == (file, 3)


@pytest.mark.parametrize(
    "sql",
    [
        f"select date_trunc as z from (select date_trunc('day', now()), id {PORT}) as q",
        "select value as z from jsonb_each_text('{}'), shop_customers.customers",
        "select row_number::text as z from (select row_number() over () from shop_customers.customers) as q",
    ],
)
def test_a_column_that_postgres_names_by_itself_is_no_error(bench: Bench, sql: str) -> None:
    found = bench.lint(column("z"), model("club", "members", sql))
    assert [(problem.rule, problem.severity) for problem in found] == [("lineage-unknown", "warning")]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"failed": "it runs a query against the database while it compiles"}, "it runs a query"),
        ({"language": "python"}, "it is written in python"),
        ({"hooks": ["update {{ this }} set z = 1"]}, "its hook may change the table"),
    ],
)
def test_models_that_cannot_be_traced_say_why(bench: Bench, others: dict[str, object], said: str) -> None:
    (problem,) = bench.lint(column("z"), model("club", "members", "select 1 as z", **others))
    assert problem.rule == "lineage-unknown" and said in problem.message


def test_a_project_that_dbt_rejects_is_an_error(bench: Bench) -> None:
    (problem,) = bench.lint(column("z"), error="Env var required")
    assert (problem.rule, problem.severity) == ("lineage-project", "error")
    assert str(problem.location).endswith("dbt_projects/club_dbt/dbt_project.yml:1") and "Env var required" in problem.message


def test_an_incremental_model_is_traced_through_both_of_its_builds(bench: Bench) -> None:
    sql = (f"select id, city as z {PORT}", f"select id, email as z {PORT} where id > (select max(id) from club_build.members)")
    (problem,) = bench.lint(f"{column('id')}\n{column('z')}", model("club", "members", *sql))
    assert "members.z is declared internal" in problem.message


def test_a_snapshot_keeps_what_it_copies(bench: Bench) -> None:
    members = model("club", "members", f"select email as z {PORT}", type="snapshot")
    names = [problem.message.split()[0] for problem in bench.lint(f"{column('z')}\n{column('dbt_valid_from')}", members)]
    assert names == ["members.z", "members.dbt_valid_from"]


def test_python_declares_its_sources_or_is_taken_to_read_everything(bench: Bench) -> None:
    """No SQL builds ``members``."""
    (problem,) = bench.lint(f"{column('a')}\n{column('b')}")
    assert problem.rule == "personal-data-lost" and problem.message.endswith("personal data included: a, b")
    assert "transformSourceObjects" in problem.remedy
    declared = column("a", "internal", "transformSourceObjects: [shop.customers.customers.city]")
    assert bench.lint(f"{declared}\n{column('b', 'internal', 'transformSourceObjects: []')}") == []
    (lost,) = bench.lint(column("a", "internal", "transformSourceObjects: [shop.customers.customers.email]"))
    assert "shop.customers.customers.email -> members.a [Python, as declared] -> club.members.members.a" in lost.message


@pytest.mark.parametrize("text", ["shop.customers.customers.emial", "nothing.here", "a.b.c.d.e", "shop_customers.customers.mail"])
def test_a_declared_source_that_does_not_exist_is_an_error(bench: Bench, text: str) -> None:
    (problem,) = bench.lint(column("a", "restricted", f"transformSourceObjects: [{text}]"))
    assert (problem.rule, problem.severity) == ("lineage-source", "error")
    assert text in problem.message


def test_a_declared_source_may_be_a_model_or_a_whole_table(bench: Bench) -> None:
    stg = model("club", "stg", f"select email, city {PORT}")
    assert bench.lint(column("a", "internal", "transformSourceObjects: [stg.city]"), stg) == []
    assert len(bench.lint(column("a", "internal", "transformSourceObjects: [stg.email]"), stg)) == 1
    assert len(bench.lint(column("a", "internal", "transformSourceObjects: [shop.customers.customers]"), stg)) == 1
