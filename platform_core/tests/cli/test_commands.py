"""The command: what it prints, in words and in JSON, its exit codes, and how it says that something is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from platform_core import publishing
from platform_core.cli import checkup
from platform_core.cli.app import app
from platform_core.warehouse import Warehouse

ITEMS = "domains/inventory/src/inventory/defs/items/contracts/items.odcs.yaml"
PORT = "inventory.items"
Mesh = Any  # the fixtures' types; test modules do not import each other
Applied = Any


def _line(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


# plan, apply


def test_plan_touches_nothing_and_apply_does_it_once(mesh: Mesh, empty_database: Warehouse) -> None:
    planned = mesh("plan", "--json").json()["changes"]
    (schema,) = [change for change in planned if change["object"] == "schema inventory_items"]
    assert (schema["action"], schema["kind"], schema["domain"], schema["product"]) == ("create", "create", "inventory", "inventory.items")
    with empty_database.connect_platform() as connection:
        assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'inventory_items'").fetchone() == (0,)
    applied = mesh("apply", "--json").json()["changes"]
    assert [change for change in planned if change["action"] == "create"] == [change for change in applied if change["action"] == "create"]
    assert mesh("apply").out == "nothing to change\n"
    assert mesh("plan").out.startswith("the warehouse is what the files say\n")


def test_a_plan_groups_by_domain_and_product_and_counts(mesh: Mesh, empty_database: Warehouse) -> None:
    said = mesh("plan")
    lines = said.out.splitlines()
    assert lines.index("platform") < lines.index("inventory") < lines.index("  inventory.items") < lines.index("sales")
    assert "    +  create schema inventory_items" in lines
    (summary,) = [line for line in lines if line.startswith("Plan: ")]
    assert summary.endswith(" to create, 0 to change, 0 to remove, 0 drifted") or "drifted" in summary
    mesh("apply")
    with empty_database.connect_platform(autocommit=True) as connection:
        connection.execute("GRANT USAGE ON SCHEMA inventory_raw TO PUBLIC")
    said = mesh("plan")
    assert "  !  revoke usage on schema inventory_raw from PUBLIC" in said.out.splitlines()
    assert "Plan: 0 to create, 0 to change, 0 to remove, 1 drifted" in said.out


def test_the_exit_code_of_a_plan_tells_ci_whether_there_is_something_to_do(mesh: Mesh) -> None:
    assert (mesh("plan").code, mesh("plan", "--exit-code").code) == (0, 2)
    assert mesh("apply").code == 0
    assert mesh("plan", "--exit-code").code == 0


def test_a_plans_file_is_applied_once_and_refused_when_it_is_stale(mesh: Mesh, files: Path, tmp_path: Path) -> None:
    plan = str(tmp_path / "release.plan")
    assert f"./mesh apply {plan}" in mesh("plan", "--out", plan).out
    path = files / ITEMS
    before = path.read_text()
    path.write_text(f"{before}\n# another line\n")
    said = mesh("apply", plan)
    assert (said.code, "the files were changed since the plan was made" in said.err, "remedy: plan again" in said.err) == (1, True, True)
    path.write_text(before)
    assert mesh("apply", plan).code == 0
    said = mesh("apply", plan)
    assert (said.code, "the warehouse is not what the plan was made for" in said.err) == (1, True)
    assert mesh("apply", str(files / ITEMS)).code == 1, "that is no plan"


def test_what_a_deleted_product_leaves_is_named_and_goes_with_prune(mesh: Mesh, files: Path) -> None:
    mesh("apply")
    shutil.rmtree(files / "domains/marketing/src/marketing/defs/customer_segments")
    said = mesh("apply")
    assert said.code == 0
    assert "left: drop schema marketing_customer_segments_data  (empty; with --prune)" in said.out
    listed = mesh("plan", "--json").json()
    assert listed["summary"]["remove"] == sum(change["prune"] for change in listed["changes"]) > 0
    assert mesh("apply", "--prune").code == 0
    assert mesh("plan", "--exit-code").code == 0


# ports


def test_status_of_what_is_not_published_yet(mesh: Mesh, applied: Applied) -> None:
    said = mesh("status")
    assert said.code == 0
    assert "not published" in said.out
    products = mesh("status", "--json").json()["products"]
    assert {product["id"] for product in products} >= {"inventory.items", "sales.orders"}
    assert {port["rows"] for product in products for port in product["ports"]} == {None}


def test_status_names_a_rejected_candidate_and_what_is_served(mesh: Mesh, applied: Applied) -> None:
    first = applied.publish(1)
    assert "rejected" not in mesh("status").all
    second = applied.publish(2, broken=True)
    said = mesh("status")
    assert "inventory.items.items: its latest candidate was rejected; see ./mesh checks inventory.items.items" in said.err
    (items,) = [product for product in mesh("status", "--json").json()["products"] if product["id"] == PORT]
    assert (items["ports"][0]["publication"], items["ports"][0]["rejected"]) == (first, second)
    applied.publish(3)
    assert "rejected" not in mesh("status").all


def test_alerts_are_listed_newest_first_and_status_counts_them(mesh: Mesh, applied: Applied) -> None:
    assert mesh("alerts").out == "nothing was raised\n"
    with applied.warehouse.connect_platform() as connection:
        for domain, title in (("sales", "run of [a] failed"), ("inventory", "run of [b] failed")):
            connection.execute(
                "INSERT INTO mesh.alerts (domain, title, detail, run_id, state) VALUES (%s, %s, %s, 'r1', 'stored')",
                (domain, title, "x\ny"),
            )
    listed = mesh("alerts").out
    assert listed.index("inventory run of [b] failed\n  x\n  y\n  run r1, stored\n") < listed.index("sales run of [a] failed")
    assert [alert["title"] for alert in mesh("alerts", "--domain", "sales", "--json").json()["alerts"]] == ["run of [a] failed"]
    assert "2 alerts in the last day, the latest of inventory at" in mesh("status").err
    with applied.warehouse.connect_platform() as connection:
        more = "INSERT INTO mesh.alerts (domain, title, detail, state, raised_at) SELECT 'sales', 't', 'd', 'stored', %s FROM generate_series(1, 100)"
        for at in (datetime.now(UTC), datetime.now(UTC) - timedelta(days=2)):
            connection.execute(more, (at,))
    assert mesh("status", "--json").json()["alerts_of_last_day"] == 102, "all of the day, and none of the days before"
    assert "did you mean 'sales'" in mesh("alerts", "--domain", "sals").err


def test_status_versions_checks_and_rollback_of_a_port(mesh: Mesh, applied: Applied) -> None:
    first, second = applied.publish(1), applied.publish(2)
    (items,) = [product for product in mesh("status", "--json").json()["products"] if product["id"] == PORT]
    assert items["version"] == "1.0.0"
    assert items["ports"][0] | {"published_at": ""} == {
        "table": "items", "relation": "inventory_items.items", "rows": 3, "publication": second,
        "published_at": "", "checks_passed": 1, "checks_failed": 0,
        "contract": "inventory.items.items", "contract_version": "1.0.0", "rejected": None, "rolled_back": None,
    }  # fmt: skip
    listed = mesh("versions", PORT, "--json").json()["publications"]
    assert [(row["publication"], row["served"]) for row in listed] == [(second, True), (first, False)]
    said = mesh("rollback", PORT, "--reason", "prices in euros", "--as", "ada").out
    assert said.startswith(f"inventory.items.items serves {first} instead of {second} (")
    assert "sales.orders" in said, "who has built from it is named"
    assert mesh("query", "--as", "sales", "select distinct list_price_usd::int from inventory_items.items", "--json").json()["rows"] == [
        [1]
    ]
    (items,) = [product for product in mesh("status", "--json").json()["products"] if product["id"] == PORT]
    assert items["ports"][0]["rolled_back"] == {"from": second, "by": "ada", "reason": "prices in euros"}
    assert f"inventory.items.items: rolled back from {second} by ada: prices in euros" in mesh("status").all
    again = mesh("rollback", "inventory.items.items", "--to", second, "--json").json()
    assert again.pop("seconds") < 60
    assert again == {"contract": "inventory.items.items", "publication": second, "instead_of": first, "consumers": ["sales.orders"]}
    human = mesh("versions", PORT).out
    assert next(line for line in human.splitlines() if second in line).startswith("*")
    assert f"rolled back from {second} to {first} by ada: prices in euros" in human
    actions = [change["action"] for change in mesh("versions", PORT, "--json").json()["switches"]]
    assert actions == ["rollback", "rollback", "publication", "publication"]


def test_a_pinned_publication_stays(mesh: Mesh, applied: Applied) -> None:
    first = applied.publish(1)
    assert "pinned" in mesh("versions", PORT, "--pin", first, "--reason", "audit").out
    for number in range(2, 9):
        applied.publish(number)
    (row,) = [row for row in mesh("versions", PORT, "--json").json()["publications"] if row["publication"] == first]
    assert (row["pinned"], row["kept"]) == (True, True)
    assert mesh("rollback", PORT, "--to", first).code == 0
    assert mesh("versions", PORT, "--pin", "20250101t000000000_0000").code == 1
    assert mesh("versions", PORT, "--unpin", first).code == 0
    assert "is not pinned" in mesh("versions", PORT, "--unpin", first).err


def test_checks_says_which_rule_of_which_file_failed(mesh: Mesh, applied: Applied, files: Path) -> None:
    assert mesh("checks", PORT).out == "inventory.items.items was not audited yet: nothing of it was built\n"
    assert mesh("versions", PORT).out.startswith("nothing of inventory.items.items was published yet")
    first = applied.publish(1)
    assert mesh("checks", PORT).out == f"every rule of inventory.items.items held at its latest audit, of {first}\n"
    applied.publish(2, broken=True)
    said = mesh("checks", PORT)
    line = _line(files / ITEMS, "names carry no stray blanks")
    assert f"error {ITEMS}:{line}: " in said.out
    assert "3 of 3 rows" in said.out
    assert "  ./mesh query 'SELECT 1 AS sample" in said.out
    (failed,) = mesh("checks", PORT, "--json").json()["failed"]
    assert failed["location"].endswith(f"{ITEMS}:{line}")


@pytest.mark.parametrize("command", ["versions", "rollback", "checks"])
@pytest.mark.parametrize("name", ["inventory.itms", "inventory.items.item", "sale.orders"])
def test_an_unknown_port_is_met_with_a_suggestion(mesh: Mesh, applied: Applied, command: str, name: str) -> None:
    said = mesh(command, name)
    assert said.code == 1
    assert said.out == ""
    assert f"error: there is no port '{name}'" in said.err
    assert "did you mean" in said.err.lower()
    assert "sales.orders.orders" in said.err


def test_rollback_where_there_is_nothing_to_go_back_to(mesh: Mesh, applied: Applied) -> None:
    applied.publish(1)
    said = mesh("rollback", PORT)
    assert said.code == 1
    assert "inventory.items.items: there is no publication before the served one" in said.err
    assert "no former publication is kept; correct the model and publish anew" in said.err


def test_rollback_while_a_reader_holds_the_port(mesh: Mesh, applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform_core.publishing.switch._SWITCH_SECONDS", 0.0)
    applied.publish(1)
    applied.publish(2)
    with applied.warehouse.connect_domain("sales") as reader:
        reader.execute("SELECT * FROM inventory_items.items")
        said = mesh("rollback", PORT)
    assert said.code == 1
    assert "readers have held the port" in said.err


def test_an_error_elsewhere_in_the_files_does_not_stop_a_port(mesh: Mesh, applied: Applied, files: Path) -> None:
    publication = applied.publish(1)
    broken = files / "domains/sales/src/sales/defs/orders/product.odps.yaml"
    broken.write_text("kind: nothing\n")
    assert mesh("versions", PORT, "--json").json()["publications"][0]["publication"] == publication
    said = mesh("versions", "sales.orders")
    assert said.code == 1
    assert "./mesh lint" in said.err


# query


def test_query_in_words_and_in_json(mesh: Mesh, applied: Applied) -> None:
    values = "1 AS a, 12.50::numeric AS b, NULL AS c, 'x [bold]y [/] z' AS d, date '2026-01-02' AS e, '{\"k\": 1}'::jsonb AS f, 'NaN'::float AS g, '\\x01'::bytea AS h"
    said = mesh("query", f"SELECT {values}")
    assert said.code == 0
    assert "12.50" in said.out
    assert "x [bold]y [/] z" in said.out
    document = mesh("query", f"SELECT {values}", "--json").json()
    assert document["columns"] == list("abcdefgh")
    assert document["rows"][0][:6] == [1, "12.50", None, "x [bold]y [/] z", "2026-01-02", {"k": 1}]
    assert document["truncated"] is False


def test_query_says_when_there_is_more(mesh: Mesh, applied: Applied) -> None:
    said = mesh("query", "--limit", "2", "SELECT * FROM generate_series(1, 3) AS g")
    assert "more than 2 rows" in said.err
    document = mesh("query", "--limit", "2", "--json", "SELECT * FROM generate_series(1, 3) AS g").json()
    assert (document["rows"], document["truncated"]) == ([[1], [2]], True)


def test_query_takes_signs_that_mean_something_to_drivers(mesh: Mesh, applied: Applied) -> None:
    assert mesh("query", "--json", "SELECT 'a%' LIKE 'a%%', '%s', ':x', '{}'").json()["rows"] == [[True, "%s", ":x", "{}"]]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.probe (a int)",
        "DELETE FROM mesh.ports",
        "DROP SCHEMA inventory_raw CASCADE",
        "SELECT 1; CREATE TABLE public.probe (a int)",
        "COMMIT; CREATE TABLE public.probe (a int)",
        "COMMIT; BEGIN; CREATE TABLE public.probe (a int); COMMIT",
        "SET TRANSACTION READ WRITE; CREATE TABLE public.probe (a int); COMMIT",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; CREATE TABLE public.probe (a int); END $$",
        "DO $$ BEGIN COMMIT; CREATE TABLE public.probe (a int); END $$",
        "WITH x AS (DELETE FROM mesh.ports RETURNING *) SELECT * FROM x",
        "SELECT setval('mesh.alerts_id_seq', 99)",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
def test_query_only_reads(mesh: Mesh, applied: Applied, statement: str) -> None:
    applied.publish(1)
    for arguments in (("query", statement), ("query", "--as", "inventory", statement)):
        assert mesh(*arguments).code == 1
    with applied.warehouse.connect_platform() as connection:
        assert connection.execute("SELECT to_regclass('public.probe')").fetchone() == (None,)
        assert connection.execute("SELECT count(*) FROM mesh.ports").fetchone() == (1,)
        assert connection.execute("SELECT to_regnamespace('inventory_raw') IS NOT NULL").fetchone() == (True,)


def test_query_as_a_domain_sees_what_the_domain_may_see(mesh: Mesh, applied: Applied) -> None:
    applied.publish(1)
    assert mesh("query", "--as", "sales", "SELECT count(*) FROM inventory_items.items", "--json").json()["rows"] == [[3]]
    said = mesh("query", "--as", "marketing", "SELECT count(*) FROM inventory_items.items")
    assert said.code == 1
    assert "permission denied" in said.err
    said = mesh("query", "--as", "markting", "SELECT 1")
    assert said.code == 1
    assert "marketing" in said.err


@pytest.mark.parametrize("statement", ["SELEC 1", "SELECT * FROM nowhere", "SELECT 1/0", "", "COPY (SELECT 1) TO STDOUT"])
def test_a_wrong_query_is_one_clear_error(mesh: Mesh, applied: Applied, statement: str) -> None:
    said = mesh("query", statement)
    assert said.code in {0, 1}
    assert said.code == 1 or statement == ""
    if said.code:
        assert said.err.startswith("error: ")
        assert "remedy: " in said.err


# what goes wrong around a command


DATABASE_COMMANDS = [["plan"], ["apply"], ["status"], ["versions", PORT], ["rollback", PORT], ["checks", PORT], ["query", "SELECT 1"]]


@pytest.mark.parametrize("arguments", DATABASE_COMMANDS, ids=lambda words: words[0])
def test_without_a_database_the_error_says_where_and_what_to_do(mesh: Mesh, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_WAREHOUSE_DSN", "postgresql://127.0.0.1:1/mesh")
    said = mesh(*arguments)
    assert said.code == 1
    assert said.err.startswith("error: 127.0.0.1:1: cannot connect as ")
    assert "remedy: " in said.err


@pytest.mark.parametrize("arguments", DATABASE_COMMANDS, ids=lambda words: words[0])
def test_before_the_first_up_the_error_says_so(mesh: Mesh, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESH_WAREHOUSE_DSN")
    said = mesh(*arguments)
    assert said.code == 1
    assert "run ./mesh up" in said.err


@pytest.mark.parametrize(
    "arguments", [words for words in DATABASE_COMMANDS if words[0] in {"status", "versions", "checks"}], ids=lambda words: words[0]
)
def test_before_apply_the_error_says_so(mesh: Mesh, arguments: list[str]) -> None:
    said = mesh(*arguments)
    assert said.code == 1
    assert said.err.startswith("error: ")
    assert "./mesh apply" in said.err


def test_outside_of_a_repository(mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESH_REPO")
    monkeypatch.chdir(tmp_path)
    said = mesh("status")
    assert said.code == 1
    assert "no mesh repository here or above" in said.err
    assert "remedy: " in said.err


@pytest.mark.parametrize("connection", ["sales/nothing", "nowhere/shop", "sales", "/", "../../etc/passwd"])
def test_ingest_of_an_unknown_connection(mesh: Mesh, connection: str) -> None:
    said = mesh("ingest", connection)
    assert said.code == 1
    assert said.err.startswith("error: ")
    assert "remedy: " in said.err


def test_wrong_settings_and_arguments(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mesh("nonsense").code == 2
    assert mesh("versions").code == 2
    assert mesh("query", "--limit", "0", "SELECT 1").code == 2
    monkeypatch.setenv("MESH_DEMO_USERS", "many")
    said = mesh("status")
    assert said.code == 1
    assert "MESH_DEMO_USERS is 'many'" in said.err


@pytest.mark.parametrize(
    "name", sorted(str(command.name or command.callback.__name__) for command in app.registered_commands if command.callback)
)
def test_every_command_has_help_with_an_example(mesh: Mesh, name: str) -> None:
    said = mesh(name, "--help")
    assert said.code == 0
    assert f"./mesh {name}" in said.out.replace(f"Usage: ./mesh {name}", ""), "no example"


def test_arguments_are_explained_in_the_help(mesh: Mesh) -> None:
    assert "A port: domain.product.port" in mesh("checks", "--help").out


def test_env_and_doctor_show_no_secret(mesh: Mesh, applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_ALERT_WEBHOOK", "https://hooks.example/s3cr3t")
    monkeypatch.setenv("MESH_DATAHUB_TOKEN", "s3cr3t")
    monkeypatch.setattr(checkup, "_locations", lambda _settings: checkup.Finding("code locations", "ok", "all load"))
    secrets = [line.split(":")[4] for line in Path(applied.warehouse.parameters["passfile"]).read_text().splitlines()]
    for arguments in (["env"], ["doctor"], ["doctor", "--json"]):
        said = mesh(*arguments)
        assert not [secret for secret in [*secrets, "s3cr3t"] if secret in said.all]
    findings = {finding["name"]: finding for finding in mesh("doctor", "--json").json()["findings"]}
    assert findings["database"]["state"] == "ok"
    assert findings["schemas and roles"]["state"] == "ok"
    assert [name for name, finding in findings.items() if finding["state"] != "ok" and not finding["remedy"]] == []


def test_doctor_finds_drift(mesh: Mesh, applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_locations", lambda _settings: checkup.Finding("code locations", "error", "do not load", "look"))
    with applied.warehouse.connect_platform() as connection:
        connection.execute("GRANT USAGE ON SCHEMA sales_raw TO PUBLIC")
    said = mesh("doctor")
    assert said.code == 1, "a finding that is an error must fail a script"
    assert "1 changes pending" in said.out
    assert "remedy: run ./mesh plan, then ./mesh apply" in said.out


# reset


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Local state to remove."""
    home = tmp_path / "home"
    for name in ("lake/raw", "dagster", "logs", "venv/bin", "connectors", "uv"):
        (home / name).mkdir(parents=True)
        (home / name / "file").write_text("kept?")
    (home / "stack.json").write_text("{}")
    return home


class _Terminal:
    """A person at a terminal who answers once."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self, *_: Any) -> str:
        return f"{self._answer}\n"


def test_reset_with_nobody_to_ask_removes_nothing(mesh: Mesh, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115, PTH123
    said = mesh("reset")
    assert said.code == 1
    assert "remedy: add --yes" in said.err
    assert (state / "lake/raw/file").is_file()


@pytest.mark.parametrize("answer", ["n", "", "no"])
def test_reset_asks_and_takes_no_for_an_answer(mesh: Mesh, state: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    said = mesh("reset")
    assert said.code == 1
    assert f"Remove the local state in {state}?" in said.all
    assert (state / "lake/raw/file").is_file()


def test_reset_removes_data_and_keeps_the_environment(mesh: Mesh, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Terminal("y"))
    said = mesh("reset")
    assert said.code == 0
    assert "that database is not touched" in said.err
    assert sorted(path.name for path in state.iterdir()) == ["connectors", "uv", "venv"]


def test_reset_of_everything(mesh: Mesh, state: Path) -> None:
    assert mesh("reset", "--yes", "--environment").code == 0
    assert list(state.iterdir()) == []
    assert mesh("reset", "--yes").code == 0, "nothing to remove is no error"


# the real process


def test_the_real_process(mesh: Mesh, applied: Applied) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "platform_core.cli", *arguments], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
        )

    wrong = run("versions", "nope.nope")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("error: there is no port 'nope.nope'")
    assert "Traceback" not in wrong.stderr
    right = run("query", "--json", "SELECT current_user")
    assert right.returncode == 0
    assert '"pg_read_all_data"' in right.stdout


def test_versions_of_a_database_that_goes_away(mesh: Mesh, applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_arguments: Any, **_options: Any) -> None:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(publishing, "publications", cut)
    said = mesh("versions", PORT)
    assert said.code == 1
    assert said.err.startswith("error: server closed the connection unexpectedly")
    assert "./mesh doctor" in said.err
