"""What an audit must not do: tell personal data, write files, use the network, make noise, scan more than it needs."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

COLUMNS = {"id": "int", "email": "text", "born": "date", "code": "text"}
ROWS = [
    (1, "jane@example.org", "1970-01-02", "a"),
    (1, "jane@example.org", None, "b"),
    (None, "john@example.org", "1970-01-02", "c"),
    (4, None, "1980-05-06", "a"),
]
SECRETS = ("jane", "john", "1970-01-02", "1980-05-06")


def test_personal_data_is_never_reported(bench: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    bench.load("orders", COLUMNS, ROWS)
    bench.load("parents", {"email": "text"}, [])
    count = "select count(*) from {object} "
    rules = [
        bench.rule("not_null", "email"),
        bench.rule("unique", "email", columns=["email"]),
        bench.rule("primary_key", None, columns=["id", "email"]),
        bench.rule("accepted_values", "email", values=["x"]),
        bench.rule("pattern", "email", regex="^x"),
        bench.rule("length", "email", maximum=1),
        bench.rule("range", "born", minimum="2000-01-01"),
        bench.rule("null_count", "email", must_be=0),
        bench.rule("invalid_count", "email", values=["x"], must_be=0),
        bench.rule("duplicate_count", None, columns=["email", "born"], must_be=9),
        bench.rule("foreign_key", "email", columns=["email"], to_schema="sales_build", to_table="parents", to_columns=["email"]),
        bench.rule("sql", None, query=count + "where email is not null", must_be=0),
        bench.rule("sql", None, query=count + "o where exists (select from {object} i where i.email = o.email)", must_be=0),
        bench.rule("sql", None, query=count + "where code = 'a' -- email", must_be=0),
        bench.rule("sql", None, query=count + "where true union all select max(length(email)) from {object}", must_be=0),
        bench.rule("sql", None, query="select max(email) from {object}", must_be=0),
        bench.rule("sql", None, query="select max(born) from {object}", must_be=0),
        bench.rule("sql", None, query="select to_jsonb(o) from {object} o limit 1", must_be=0),
        bench.rule("sql", None, query="select max(email::int) from {object}", must_be=0),
        bench.rule("sql", None, query="select max(('{' || email)::jsonb::text) from {object}", must_be=0),
    ]
    report = bench.run(bench.table("orders", COLUMNS, rules, keys=["id"], personal=["email", "born"]))
    assert not any(result.passed for result in report.results)
    told = repr(list(report.results)) + repr(report) + "".join(map(str, report.results))
    told += caplog.text + "".join(capfd.readouterr())
    assert not [secret for secret in SECRETS if secret in told]
    assert report.results[0].sample_rows == ({"id": "4", "email": "***"},)
    assert report.results[11].sample_rows[0] == {"id": "1", "email": "***"}
    assert [len(result.sample_rows) for result in report.results[11:14]] == [3, 3, 2]
    assert all(result.sample_query for result in report.results)
    assert sum("may quote data" in str(result.error) for result in report.results) == 2


def test_no_file_no_network_no_noise(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("an audit uses no socket of Python's")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    results = bench.judge(
        COLUMNS, ROWS, bench.rule("not_null", "id"), bench.rule("pattern", "id", regex="a"), bench.rule("row_count", None, must_be=4)
    )
    assert [result.passed for result in results] == [False, False, True]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)


def test_importing_the_plane_imports_nothing_heavy() -> None:
    script = (
        "import sys, platform_core.quality; print(sorted({'great_expectations', 'pandas', 'sqlalchemy', 'dagster'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_sound_table_costs_two_scans_and_one_for_each_foreign_key_and_sql_rule(bench: Any) -> None:
    bench.load("orders", COLUMNS, [(at, f"m{at}@x.org", "1970-01-02", "a") for at in range(1, 50)])
    rules = [
        bench.rule("primary_key", None, columns=["id"]),
        *(bench.rule("not_null", name) for name in COLUMNS),
        *(bench.rule("unique", name, columns=[name]) for name in ("id", "email")),
        bench.rule("accepted_values", "code", values=["a", "b"]),
        bench.rule("invalid_count", "code", values=["a"], less_than=5, unit="percent"),
        bench.rule("range", "id", minimum=1),
        bench.rule("range", "born", minimum="1900-01-01"),
        bench.rule("length", "email", minimum=3),
        bench.rule("pattern", "email", regex="@"),
        bench.rule("row_count", None, greater_than=0),
        bench.rule("row_count", None, must_not_be=0),
        bench.rule("null_count", "email", must_be=0),
        bench.rule("duplicate_count", None, columns=["id", "code"], must_be=0),
    ]
    own = [
        bench.rule("foreign_key", "id", columns=["id"], to_schema="sales_build", to_table="orders", to_columns=["id"]),
        bench.rule("sql", None, query="select count(*) from {object} where id < 0", must_be=0),
    ]
    assert _scans(bench, bench.table("orders", COLUMNS, rules)) == 2
    assert _scans(bench, bench.table("orders", COLUMNS, [*rules, *own])) == 4


def _scans(bench: Any, table: Any) -> int:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        report = bench.run(table)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert not report.failures
    return sum('"sales_build"."orders"' in statement for statement in statements)


def test_one_wrong_rule_costs_no_further_scan(bench: Any) -> None:
    bench.load("orders", COLUMNS, [(1, "a@x.org", "1970-01-02", "a")])
    sound = [bench.rule("not_null", name) for name in COLUMNS]
    wrong = [bench.rule("pattern", "id", regex="a"), bench.rule("sql", None, query="select nope from {object}", must_be=0)]
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        report = bench.run(bench.table("orders", COLUMNS, [*sound, *wrong]))
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert [result.error is None for result in report.results] == [True] * 4 + [False] * 2
    assert sum('"sales_build"."orders"' in statement for statement in statements) == 3
