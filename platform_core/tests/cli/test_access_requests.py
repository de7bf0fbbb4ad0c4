"""``mesh access``: asking, deciding, taking back, looking up; what it writes is what apply grants."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from platform_core.cli import access_requests, port_names
from platform_core.warehouse import Warehouse

Mesh = Any  # the fixture's type; test modules do not import each other

PORT, WHO = "customer.profiles.profiles", "domain:marketing"
FILE = f"domains/customer/access/{PORT}.domain-marketing.yaml"
OWNER = "customer-data@example.com"
PROFILES = "domains/customer/src/customer/defs/profiles/contracts/profiles.odcs.yaml"
SEGMENTS = "domains/marketing/src/marketing/defs/customer_segments/product.odps.yaml"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name comes from the machine of the test."""
    for name in ("MESH_USER", "GIT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(scope="module")
def copied(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the company's files that tests share: they ask for what is refused."""
    root = tmp_path_factory.mktemp("copied")
    for name in ("domains", "airbyte"):
        shutil.copytree(repo / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(repo / "workspace.yaml", root)
    return root


@pytest.fixture
def quick(copied: Path, mesh_command: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mesh:
    """The command in the copy, without a warehouse: for what is refused before one is asked."""
    monkeypatch.setenv("MESH_REPO", str(copied))
    monkeypatch.setenv("MESH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MESH_WAREHOUSE_DSN", raising=False)
    return mesh_command


def _ask(mesh: Mesh, *more: str) -> Any:
    return mesh("access", "request", "customer.profiles", "--for", WHO, "--purpose", "Birthday cards", "--as", "ana@example.com", *more)


def _decide(mesh: Mesh, action: str, *more: str, who: str = OWNER) -> Any:
    return mesh("access", action, PORT, "--for", WHO, "--as", who, *more)


def test_ask_approve_apply_revoke(mesh: Mesh, files: Path, empty_database: Warehouse) -> None:
    """The whole way of the documentation; what Postgres holds is asked of Postgres."""
    mesh("apply")

    def clear() -> bool:
        with empty_database.connect_platform() as admin:
            row = admin.execute("SELECT pg_has_role('marketing_owner', 'customer_profiles_reader_pii', 'MEMBER')").fetchone()
        return row == (True,)

    asked = _ask(mesh, "--pii", "--until", "2099-06-30", "--json").json()
    assert (asked["state"], asked["file"], asked["until"]) == ("pending", f"{FILE}:6", "2099-06-30")
    assert mesh("lint").code == 0
    refused = _decide(mesh, "approve", who="ana@example.com")
    assert refused.code == 1
    assert "ana@example.com is no owner of customer.profiles" in refused.err
    assert f"remedy: have one of them decide: {OWNER}" in refused.err
    assert _decide(mesh, "approve", "--json").json()["approved"]["by"] == OWNER
    assert not clear()
    assert mesh("apply").code == 0
    assert clear()
    assert mesh("apply", "--json").json()["changes"] == []
    assert _decide(mesh, "revoke", "--reason", "Done", who="bo@example.com").code == 0
    assert mesh("apply").code == 0
    assert not clear()
    assert [request["state"] for request in mesh("access", "list", "--for", WHO, "--json").json()["requests"]] == ["revoked"]
    assert [entry["action"] for entry in yaml.safe_load((files / FILE).read_text())["history"]] == ["requested", "approved", "revoked"]


def test_an_approval_by_hand_of_somebody_who_is_no_owner_fails_lint_and_grants_nothing(mesh: Mesh, files: Path) -> None:
    _ask(mesh, "--pii")
    with (files / FILE).open("a") as file:
        file.write("  - action: approved\n    at: 2026-11-21T00:00:00Z\n    by: ana@example.com\n".replace("2026", "2099"))
    found = mesh("lint", "--json")
    assert found.code == 1
    (problem,) = [item for item in found.json()["problems"] if item["rule"] == "access-not-owner"]
    assert (problem["file"], problem["line"]) == (FILE, 11)
    mesh("apply")
    assert mesh("access", "list", "--for", WHO, "--json").json()["requests"] == []


def test_an_input_port_that_nothing_allows_fails_lint_with_the_command_that_asks(mesh: Mesh, files: Path) -> None:
    contract = files / PROFILES
    contract.write_text(contract.read_text().replace("    access: read\n", "", 1))
    problems = [item for item in mesh("lint", "--json").json()["problems"] if item["rule"] == "access-not-granted"]
    assert {item["file"] for item in problems} >= {SEGMENTS}
    remedy = next(item["remedy"] for item in problems if item["file"] == SEGMENTS)
    command = remedy.partition("./mesh ")[2].partition(" --purpose")[0].split()
    assert mesh(*command, "--purpose", "Segments", "--as", "ana@example.com").code == 0, "the remedy is a command that works"
    assert _decide(mesh, "approve").code == 0
    assert not [item for item in mesh("lint", "--json").json()["problems"] if item["rule"] == "access-not-granted"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("request", "customer.profile", "--for", WHO, "--purpose", "x"), "there is no port 'customer.profile'"),
        (("request", PORT, "--for", "domain:marketting", "--purpose", "x"), "did you mean 'marketing'?"),
        (("request", PORT, "--for", "marketing", "--purpose", "x"), "domain:<domain of the mesh>"),
        (("request", PORT, "--for", "domain:customer", "--purpose", "x"), "owns the port"),
        (("request", PORT, "--for", "role:postgres", "--purpose", "x"), "belongs to the platform or to Postgres"),
        (("request", PORT, "--for", WHO, "--purpose", " "), "says nothing"),
        (("request", PORT, "--for", WHO, "--purpose", "x", "--until", "30.6.2027"), "write for example 2027-06-30"),
        (("request", PORT, "--for", WHO, "--purpose", "x", "--until", "2020-01-01"), "lies before the request"),
        (("request", "inventory.items", "--for", WHO, "--purpose", "x", "--pii"), "holds no personal data"),
        (("approve", PORT, "--for", WHO), "domain:marketing has no request for customer.profiles.profiles"),
        (("approve", PORT, "--for", "domain:sale"), "there is no domain 'sale', did you mean 'sales'?"),
        (("approve", PORT, "--for", "domain:sales"), "nothing is open that could be approved"),
        (("list", "--state", "open"), "use one of: pending, active"),
        (("list", "--domain", "custmer"), "did you mean 'customer'?"),
        (("audit", "--at", "yesterday"), "is no month, day or moment"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_remedy(quick: Mesh, copied: Path, arguments: tuple[str, ...], said: str) -> None:
    acts = arguments[0] not in {"list", "audit"}
    result = quick("access", *arguments, *(("--as", OWNER) if acts else ()))
    assert result.code == 1
    assert said in result.err
    assert "remedy:" in result.err
    assert not (copied / FILE).exists()


def test_who_acts_is_said_by_option_variable_or_git(quick: Mesh, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = ("access", "request", PORT, "--for", "role:ana", "--purpose", "x", "--json")
    nobody = quick(*ask)
    assert nobody.code == 1
    assert "nobody knows who you are" in nobody.err
    subprocess.run(["git", "init", "-q", str(copied)], check=True)
    subprocess.run(["git", "-C", str(copied), "config", "user.email", "git@example.com"], check=True)
    assert quick(*ask).json()["requested"]["by"] == "git@example.com"
    monkeypatch.setenv("MESH_USER", OWNER)
    assert quick("access", "approve", PORT, "--for", "role:ana", "--json").json()["approved"]["by"] == OWNER


def test_a_plan_reports_a_role_that_does_not_exist(mesh: Mesh) -> None:
    mesh("apply")
    mesh("access", "request", PORT, "--for", "role:not made yet", "--purpose", "x", "--as", "a@example.com")
    mesh("access", "approve", PORT, "--for", "role:not made yet", "--as", OWNER)
    shown = mesh("plan").out
    assert "role not made yet" in shown
    assert "does not exist" in shown


def test_the_audit_in_its_three_forms(mesh: Mesh) -> None:
    mesh("apply")
    rows = mesh("access", "audit", "--port", "customer.profiles", "--for", "domain:sales", "--column", "email", "--json").json()["readings"]
    declared = next(row for row in rows if row["basis"] == "declared" and row["sees"] == "clear")
    assert declared["column"] == "profiles.email"
    assert declared["from"] == "2025-09-02T14:05:00+00:00"
    assert declared["approved_by"] == OWNER
    assert declared["file"].startswith("domains/customer/access/")
    assert "service desk" in declared["why"]
    lines = list(csv.DictReader(io.StringIO(mesh("access", "audit", "--csv").out)))
    assert {"email", "customer_id"} <= {line["column"].partition(".")[2] for line in lines}
    assert {line["for"] for line in lines} == {"domain:sales", "domain:marketing"}
    assert "not listed" in mesh("access", "audit", "--clear").err
    assert "customer.profiles.profiles, read by domain:sales" in mesh("access", "audit", "--at", "2025-09-03").out
    assert "in clear: email" in mesh("access", "audit", "--column", "email", "--clear").out
    assert mesh("access", "audit", "--for", "role:nobody").out == "nobody\n"
    assert [row for row in mesh("access", "audit", "--at", "2025-09-01", "--json").json()["readings"] if row["approved_by"]] == []
    assert [row for row in mesh("access", "audit", "--at", "2025-09-02", "--json").json()["readings"] if row["approved_by"]] != []
    assert [row for row in mesh("access", "audit", "--at", "2025-08", "--json").json()["readings"] if row["approved_by"]] == []
    assert [row for row in mesh("access", "audit", "--at", "2025-09", "--json").json()["readings"] if row["approved_by"]] != []


def test_every_command_explains_itself(quick: Mesh) -> None:
    for command in access_requests.access.registered_commands:
        shown = quick("access", str(command.name or command.callback.__name__), "--help")  # pyright: ignore[reportOptionalMemberAccess]
        assert "Example" in shown.out
        assert "--json" in shown.out


def test_the_shell_completes_ports_and_those_who_asked(quick: Mesh) -> None:
    assert callable(quick), "it sets the environment"
    assert port_names.complete_port("customer.") == [PORT]
    approving: Any = SimpleNamespace(params={"port": PORT}, command=SimpleNamespace(name="approve"))
    asking: Any = SimpleNamespace(params={"port": PORT}, command=SimpleNamespace(name="request"))
    assert access_requests.complete_principal(approving, "domain:") == ["domain:sales"]
    assert access_requests.complete_principal(asking, "domain:m") == [WHO]


def test_the_owners_of_a_product_review_what_is_decided_about_it(quick: Mesh) -> None:
    lines = quick("access", "codeowners").out.splitlines()
    assert f"/domains/customer/access/customer.profiles.* {OWNER}" in lines
    assert len(lines) == len(quick("access", "codeowners", "--json").json()["codeowners"]) == 5
