"""``mesh diff`` and ``mesh impact`` end to end: out of git and out of folders, with exit codes, Markdown, and whom it hits."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform_core.cli.gate import complete_revision, complete_target

PROFILES = "domains/customer/src/customer/defs/profiles"
CONTRACT = f"{PROFILES}/contracts/profiles.odcs.yaml"
PRODUCT = f"{PROFILES}/product.odps.yaml"
SEGMENTS = "domains/marketing/src/marketing/defs/customer_segments"


@dataclass(frozen=True)
class Clone:
    """A repository with the company's files, one commit, and the command in it."""

    root: Path
    run: Callable[..., tuple[int, str, str]]

    def replace(self, name: str, *changes: tuple[str, str]) -> None:
        path = self.root / name
        text = path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false")
        result = subprocess.run(["git", *identity, *arguments], cwd=self.root, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json")[1])


@pytest.fixture
def clone(repo: Path, tmp_path: Path, kept_lineage: Path, monkeypatch: pytest.MonkeyPatch, mesh_command: Callable[..., Any]) -> Clone:
    root = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "target", "logs")
    for name in ("domains", "dbt_projects", "airbyte"):
        shutil.copytree(repo / name, root / name, ignore=ignored)
    for path in (root / "domains/marketing/src/marketing/defs").glob("*/product.odps.yaml"):
        if path.parent.name != "customer_segments":  # the answers below are about four products
            shutil.rmtree(path.parent)
    shutil.copy(repo / "workspace.yaml", root)
    monkeypatch.setenv("MESH_REPO", str(root))
    monkeypatch.setenv("MESH_HOME", str(kept_lineage))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        said = mesh_command(*arguments)
        return said.code, said.out, said.err

    made = Clone(root, run)
    made.git("init", "-q")
    made.commit("first")
    return made


def line(path: Path, text: str) -> int:
    return next(number for number, found in enumerate(path.read_text().splitlines(), 1) if text in found)


def test_nothing_changed(clone: Clone) -> None:
    code, out, _ = clone.run("diff", "HEAD")
    assert (code, out) == (0, "HEAD -> the working tree: nothing changed\n")


def test_a_removed_column_names_file_line_step_and_every_consumer_with_its_owner(clone: Clone) -> None:
    clone.replace(CONTRACT, ("      - name: country_code\n", "      - name: nation\n"), ("pattern: '^[A-Z]{2}$'", "pattern: '^[A-Z]$'"))
    clone.commit("second")
    before = clone.git("status", "--porcelain"), clone.git("rev-parse", "HEAD"), clone.git("stash", "list")
    code, out, _ = clone.run("diff", "HEAD~1")
    assert code == 1
    assert "breaking customer.profiles.profiles: schema.profiles.properties.country_code removed [structural]" in out
    assert f"{CONTRACT}:{line(clone.root / CONTRACT, 'name: nation')} in HEAD~1: Queries that name the column fail." in out
    assert "the changes demand a major step: write 2.0.0 or higher" in out
    assert "hits marketing.customer_segments, marketing-data <marketing-data@example.com>: reads customer.profiles.profiles 1.0.0" in out
    assert "profiles.country_code: reads (dbt_projects/marketing_dbt/models/customer_orders.sql:4, " in out
    assert "sales.orders, sales-data" not in out, "sales names no country"
    assert (clone.git("status", "--porcelain"), clone.git("rev-parse", "HEAD"), clone.git("stash", "list")) == before


def test_the_step_must_be_taken_by_the_contract_and_by_the_products_output(clone: Clone) -> None:
    clone.replace(CONTRACT, ("physicalType: integer", "physicalType: bigint"), ("version: 1.0.0", "version: 1.5.0"))
    document = clone.json("diff", "HEAD")
    assert [(check["subject"], check["demanded"], check["taken"], check["enough"]) for check in document["versions"]] == [
        ("customer.profiles.profiles", "major", "minor", False),
        ("customer.profiles output profiles", "major", "none", False),
    ]
    clone.replace(CONTRACT, ("version: 1.5.0", "version: 3.0.0"))
    assert clone.run("diff", "HEAD", "--allow-breaking")[0] == 1, "the output still names the former version"
    clone.replace(PRODUCT, ("version: 1.0.0 # equals", "version: 3.0.0 # equals"))
    clone.replace(PRODUCT, ("version: 1.0.0", "version: 1.0.1"))
    assert clone.run("diff", "HEAD")[0] == 1
    assert clone.run("diff", "HEAD", "--allow-breaking")[0] == 0, "a larger step than needed is fine"


def test_additive_and_cosmetic_changes_pass_with_their_step(clone: Clone) -> None:
    clone.replace(
        CONTRACT, ("      - name: city\n", "      - {name: district, logicalType: string, physicalType: text}\n      - name: city\n")
    )
    assert clone.run("diff", "HEAD")[0] == 1
    clone.replace(CONTRACT, ("version: 1.0.0", "version: 1.1.0"))
    clone.replace(PRODUCT, ("version: 1.0.0 # equals", "version: 1.1.0 # equals"))
    code, out, _ = clone.run("diff", "HEAD")
    assert code == 0, out
    assert "additive customer.profiles.profiles: schema.profiles.properties.district added" in out


def test_comments_and_layout_are_no_change(clone: Clone) -> None:
    path = clone.root / CONTRACT
    path.write_text("# another comment\n" + path.read_text().replace("tags: [retail, crm]", "tags:\n  - retail\n  - crm"))
    assert clone.run("diff", "HEAD")[:2] == (0, "HEAD -> the working tree: nothing changed\n")


def test_a_version_that_goes_back_fails(clone: Clone) -> None:
    clone.replace(CONTRACT, ("version: 1.0.0", "version: 0.9.0"))
    code, out, _ = clone.run("diff", "HEAD", "--allow-breaking")
    assert code == 1
    assert "the version goes back from 1.0.0 to 0.9.0" in out


def test_ranges_compare_two_commits_and_what_a_branch_did(clone: Clone) -> None:
    clone.git("checkout", "-q", "-b", "work")
    clone.replace(CONTRACT, ("Age in completed years", "Age in whole years"))
    clone.commit("on the branch")
    clone.git("checkout", "-q", "main")
    clone.replace(CONTRACT, ("physicalType: integer", "physicalType: bigint"))
    clone.commit("meanwhile on main")
    clone.git("checkout", "-q", "work")
    assert clone.json("diff", "main...")["counts"] == {"breaking": 0, "additive": 0, "cosmetic": 1}
    assert clone.json("diff", "main...work")["counts"] == {"breaking": 0, "additive": 0, "cosmetic": 1}
    assert clone.json("diff", "main..work")["counts"] == {"breaking": 1, "additive": 0, "cosmetic": 1}


def test_a_mesh_in_a_folder_of_a_larger_repository(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = clone.root / "data" / "mesh"
    inner.mkdir(parents=True)
    for name in ("domains", "dbt_projects", "workspace.yaml"):
        shutil.move(clone.root / name, inner / name)
    clone.commit("moved")
    monkeypatch.setenv("MESH_REPO", str(inner))
    clone.replace(f"data/mesh/{CONTRACT}", ("minimum: 16", "minimum: 14"))
    (change,) = clone.json("diff", "HEAD")["changes"]
    assert (change["ruling"], change["file"]) == ("range-widened", CONTRACT)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("diff", "nowhere"), "git knows no revision 'nowhere'"),
        (("diff", "--from", "/nowhere"), "is no folder"),
        (("diff",), "two states are needed"),
        (("diff", "HEAD", "--from", "."), "two states are needed"),
        (("diff", "HEAD", "--json", "--markdown"), "exclude each other"),
        (("diff", "HEAD...nowhere"), "git knows no revision 'nowhere'"),
    ],
)
def test_what_cannot_be_compared_ends_with_2_and_a_remedy(clone: Clone, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = clone.run(*arguments)
    assert code == 2
    assert said in err and "remedy: " in err


def test_outside_of_git_it_says_so(clone: Clone) -> None:
    shutil.rmtree(clone.root / ".git")
    code, _, err = clone.run("diff", "HEAD")
    assert code == 2
    assert "this is no git repository" in err and "--from DIR" in err


def test_a_broken_old_file_does_not_hide_the_verdicts_about_the_others(clone: Clone) -> None:
    text = (clone.root / CONTRACT).read_text()
    (clone.root / CONTRACT).write_text("kind: [\n")
    clone.commit("broken")
    (clone.root / CONTRACT).write_text(text)
    document = clone.json("diff", "HEAD")
    assert document["exit_code"] == 2
    assert [(problem["file"], problem["state"]) for problem in document["unreadable"]] == [(CONTRACT, "HEAD")]
    assert document["changes"] == [], "what cannot be read is neither new nor gone"
    clone.replace(f"{SEGMENTS}/contracts/customer_segments.odcs.yaml", ("physicalType: smallint", "physicalType: integer"))
    document = clone.json("diff", "HEAD")
    assert document["exit_code"] == 1
    assert [change["ruling"] for change in document["changes"]] == ["physical-type"]


def test_a_broken_consumer_is_still_hit(clone: Clone) -> None:
    (clone.root / SEGMENTS / "product.odps.yaml").write_text("kind: [\n")
    clone.replace(CONTRACT, ("      - name: country_code\n", "      - name: nation\n"), ("pattern: '^[A-Z]{2}$'", "pattern: '^[A-Z]$'"))
    code, out, _ = clone.run("diff", "HEAD")
    assert code == 1
    assert "hits marketing.customer_segments" in out
    assert f"{SEGMENTS}/product.odps.yaml:" in out


def test_files_with_one_id_are_named(clone: Clone) -> None:
    shutil.copy(clone.root / CONTRACT, clone.root / PROFILES / "contracts/second.odcs.yaml")
    clone.replace(f"{PROFILES}/contracts/second.odcs.yaml", ("minimum: 16", "minimum: 14"))
    clone.replace(CONTRACT, ("minimum: 16", "minimum: 15"))
    document = clone.json("diff", "HEAD")
    assert "is also that of" in document["unreadable"][0]["message"]


def test_whole_products_contracts_and_models(clone: Clone) -> None:
    """Folders compare as commits do; what is retired may go, what is promised may not."""
    new = clone.root.parent / "new"
    shutil.copytree(clone.root, new, ignore=shutil.ignore_patterns(".git"))
    shutil.rmtree(new / SEGMENTS)
    (new / "dbt_projects/customer_dbt/models/profiles.sql").unlink()
    (new / "dbt_projects/inventory_dbt/models/staging/stg_products.sql").unlink()
    (new / "dbt_projects/sales_dbt/models/extra.sql").write_text("select 1 as one\n")
    model = new / "dbt_projects/inventory_dbt/models/items.sql"
    model.write_text(f"-- words\n{model.read_text()}\nwhere true\n")
    document = clone.json("diff", "--from", str(clone.root), "--to", str(new))
    assert {(change["subject"], change["ruling"]) for change in document["changes"]} == {
        ("marketing.customer_segments", "product-removed"),
        ("marketing.customer_segments.customer_segments", "contract-removed"),
        ("customer/profiles", "model-removed"),
        ("inventory/stg_products", "model-unused-removed"),
        ("inventory/items", "model-changed"),
        ("sales/extra", "model-added"),
    }
    assert [(check["subject"], check["demanded"]) for check in document["versions"]] == [
        ("customer.profiles.profiles", "major"),
        ("customer.profiles output profiles", "major"),
    ]
    back = clone.json("diff", "--from", str(new), "--to", str(clone.root))
    assert {"product-added", "contract-added"} <= {change["ruling"] for change in back["changes"]}


def test_a_changed_model_reaches_the_consumers_of_the_ports_behind_it_and_nobody_where_there_is_none(clone: Clone) -> None:
    models = clone.root / "dbt_projects/customer_dbt/models"
    used, unused = models / "staging/stg_users.sql", models / "unused.sql"
    unused.write_text("select count(*) as number from {{ ref('stg_users') }}\n")
    clone.commit("one more model")
    used.write_text(f"{used.read_text()}\nwhere true\n")
    unused.write_text("select count(*) + 1 as number from {{ ref('stg_users') }}\n")
    document = clone.json("diff", "HEAD")
    changes = {Path(change["file"]).name: change for change in document["changes"]}
    assert len(changes) == len(document["changes"]) == 2 and document["exit_code"] == 0
    for change in changes.values():
        assert (change["ruling"], change["verdict"], change["step"]) == ("model-changed", "cosmetic", "none")
    assert {hit["product"] for hit in changes["stg_users.sql"]["consumers"]} == {"sales.orders", "marketing.customer_segments"}
    assert changes["unused.sql"]["consumers"] == []


def test_a_retired_product_may_go(clone: Clone) -> None:
    for name in ("product.odps.yaml", "contracts/customer_segments.odcs.yaml"):
        clone.replace(f"{SEGMENTS}/{name}", ("status: active", "status: retired"))
    clone.commit("retired")
    shutil.rmtree(clone.root / SEGMENTS)
    document = clone.json("diff", "HEAD")
    assert {change["ruling"] for change in document["changes"]} == {"retired-removed"}
    assert document["exit_code"] == 0


def test_markdown_for_a_pull_request(clone: Clone) -> None:
    tail = "\n        tags: [pii]\n        examples: [837"
    clone.replace(CONTRACT, (f"classification: restricted{tail}", f"classification: internal{tail}"))
    clone.replace(CONTRACT, ("value: 99.5", "value: 90"))
    street, available = line(clone.root / CONTRACT, "examples: [837") - 2, line(clone.root / CONTRACT, "value: 90")
    code, out, _ = clone.run("diff", "HEAD", "--markdown")
    assert code == 1
    assert (
        out
        == f"""\
### Contract gate ❌ fails

`HEAD` → `the working tree`: 2 breaking, 0 additive, 0 cosmetic

| | where | change | kind | why |
|---|---|---|---|---|
| 🔴 breaking | **customer.profiles.profiles** `profiles.odcs.yaml:{street}` | `schema.profiles.properties.street.classification: restricted → internal` | classification lowered | Data may be shown to readers from whom it was kept; a security review must agree. |
| 🔴 breaking | **customer.profiles.profiles** `profiles.odcs.yaml:{available}` | `slaProperties.availability.value: 99.5 → 90` | service level loosened | Consumers planned with a better promise. |

**Versions**

- ❌ customer.profiles.profiles: the version is 1.0.0, the changes demand a major step: write 2.0.0 or higher; or leave consumers what they have, and make the change in a new port beside it: ./mesh new version customer.profiles.profiles (`{CONTRACT}:8`)
- ❌ customer.profiles output profiles: the version is 1.0.0, the changes demand a major step: write 2.0.0 or higher (`{PRODUCT}:{line(clone.root / PRODUCT, "# equals the version")}`)

**Consumers hit**

| product | reads | owner | by |
|---|---|---|---|
| **marketing.customer_segments** | customer.profiles.profiles 1.0.0 | marketing-data &lt;marketing-data@example.com&gt; | slaProperties.availability.value: the port as a whole |
| **sales.orders** | customer.profiles.profiles 1.0.0 | sales-data &lt;sales-data@example.com&gt; | slaProperties.availability.value: the port as a whole |
"""  # noqa: E501
    )


def test_annotations_for_github(clone: Clone) -> None:
    clone.replace(CONTRACT, ("value: 99.5", "value: 90"))
    code, out, _ = clone.run("diff", "HEAD", "--github")
    assert code == 1
    number = line(clone.root / CONTRACT, "value: 90")
    assert f"::error file={CONTRACT},line={number},title=breaking%3A service level loosened::customer.profiles.profiles: " in out
    assert f"::error file={CONTRACT},line=8,title=version step::" in out


def test_impact_of_a_port_goes_through_other_products(clone: Clone) -> None:
    document = clone.json("impact", "inventory.items")
    assert [(hit["product"], hit["via"], hit["owners"]) for hit in document["hits"]] == [
        ("sales.orders", [], ["sales-data@example.com"]),
        ("marketing.customer_segments", ["sales.orders"], ["marketing-data@example.com"]),
    ]
    code, out, _ = clone.run("impact", "inventory.items")
    assert code == 0
    assert "marketing.customer_segments, marketing-data <marketing-data@example.com>" in out and "through sales.orders" in out


def test_impact_of_a_column_names_the_code_that_reads_it(clone: Clone) -> None:
    hits = {hit["product"]: hit["column"] for hit in clone.json("impact", "customer.profiles.email")["hits"]}
    assert hits["sales.orders"]["reading"] == "reads"
    assert hits["sales.orders"]["places"] == ["dbt_projects/sales_dbt/models/staging/int_orders.sql:6"]
    assert hits["sales.orders"]["paths"] == [
        "customer.profiles.profiles.email -> int_orders.customer_email -> orders.customer_email -> sales.orders.orders.customer_email"
    ]
    assert hits["marketing.customer_segments"] == {"reading": "does not read", "places": [], "paths": [], "found_by": "lineage"}


def test_impact_follows_a_column_through_models_to_every_port_behind(clone: Clone) -> None:
    code, out, _ = clone.run("impact", "inventory.items.list_price_usd")
    assert code == 0
    assert "inventory.items.items.list_price_usd -> int_orders.amount_usd -> orders.amount_usd -> sales.orders.orders.amount_usd" in out
    segments = out[out.index("marketing.customer_segments, ") :]
    assert "reads through sales.orders" in segments
    assert "-> customer_segments.revenue_usd [Python, as declared] -> marketing.customer_segments.customer_segments.revenue_usd" in segments


def test_a_removed_column_that_a_consumer_still_selects_is_traced(clone: Clone) -> None:
    """The new contract lacks it, the consumer's SQL names it: that is whom the gate is for."""
    text = (clone.root / CONTRACT).read_text()
    start = text.index("      - name: email\n")
    (clone.root / CONTRACT).write_text(text[:start] + text[text.index("      - name: phone\n") :])
    uses = {
        hit["product"]: hit["column"]
        for change in clone.json("diff", "HEAD")["changes"]
        if change["ruling"] == "column-removed"
        for hit in change["consumers"]
    }
    assert (uses["sales.orders"]["reading"], uses["sales.orders"]["found_by"]) == ("reads", "lineage")
    assert uses["marketing.customer_segments"]["reading"] == "does not read"


def test_another_commit_is_not_compiled_and_says_so(clone: Clone) -> None:
    clone.replace(CONTRACT, ("      - name: country_code\n", "      - name: nation\n"))
    clone.commit("renamed")
    assert "profiles.country_code: reads (dbt_projects/marketing_dbt/models/customer_orders.sql:4, " in clone.run("diff", "HEAD~1")[1]
    out = clone.run("diff", "HEAD~1..HEAD")[1]
    assert ", by its name alone" in out


@pytest.mark.parametrize(
    ("model", "reading"),
    [
        ("with p as (select * from {{ source('customer_profiles', 'profiles') }}) select customer_id from p", "may read"),
        ("select p.* from customer_profiles.profiles as p", "may read"),
        ("select {{ dbt_utils.star(source('customer_profiles', 'profiles')) }} from x", "may read"),
        ("select count(*) as number from {{ source('customer_profiles', 'profiles') }} -- email", "does not name it"),
        ("select '--' as dash, email from customer_profiles.profiles", "reads"),
        ('select "email" from "customer_profiles"."profiles"', "reads"),
        ("select email from other", "unknown"),
    ],
)
def test_a_star_or_a_macro_hides_what_is_read_and_a_comment_is_not_code(clone: Clone, model: str, reading: str) -> None:
    shutil.rmtree(clone.root / "dbt_projects/marketing_dbt")
    contract = clone.root / SEGMENTS / "contracts/customer_segments.odcs.yaml"
    contract.write_text(contract.read_text().replace("customer_profiles.profiles", "nothing.here"))
    path = clone.root / "dbt_projects/marketing_dbt/models/one.sql"
    path.parent.mkdir(parents=True)
    path.write_text(model)
    hits = {hit["product"]: hit["column"] for hit in clone.json("impact", "customer.profiles.profiles.email")["hits"]}
    assert hits["marketing.customer_segments"]["reading"] == reading


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("customer.profile", "did you mean 'customer.profiles.profiles'"),
        ("customer.profiles.profiles.emial", "did you mean 'email'"),
        ("", "there is no port ''"),
        ("sales.orders.orders.revenue_usd", "several tables have the column"),
    ],
)
def test_impact_of_what_does_not_exist(clone: Clone, target: str, said: str) -> None:
    code, _, err = clone.run("impact", target)
    assert code == 1
    assert said in err and "remedy: " in err


def test_names_complete(clone: Clone) -> None:
    assert complete_target("customer.") == ["customer.profiles.profiles"]
    assert complete_target("customer.profiles.profiles.profiles.em") == ["customer.profiles.profiles.profiles.email"]
    assert complete_revision("ma") == ["main"]
    shutil.rmtree(clone.root / ".git")
    assert complete_revision("ma") == []
