"""The matrix of clauses tells the truth: a clause is changed in a sound file, and everything that is compiled from it is looked at.

Enforced: lint, rules, the warehouse, the port view or the schedule say something else. Published: only Dagster or the catalog do.
Documented only: nothing does, and the clause is reported.
"""

from __future__ import annotations

import copy
import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from platform_core.catalog import CatalogProduct
from platform_core.catalog.aspects import compile_product
from platform_core.contracts import Document, access_problems, load_mesh, official
from platform_core.contracts.clause_table import ClauseRow, clause_rows
from platform_core.contracts.team_file import owner_problems
from platform_core.orchestration.port_assets import port_assets
from platform_core.warehouse.access import desired

PRODUCT, CONTRACT = "product.odps.yaml", "contracts/orders.odcs.yaml"
NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
ENFORCING = ("lint", "rules", "shape", "view", "warehouse", "life", "freshness")
PUBLISHING = ("dagster", "catalog")

BASE: dict[str, Any] = {
    "odps": {
        "apiVersion": "v1.1.0", "kind": "DataProduct", "id": "sales.orders", "name": "Orders", "version": "1.0.0", "status": "active",
        "domain": "sales", "tags": ["one"], "type": "source", "description": {"purpose": "p", "usage": "u", "limitations": "l"},
        "inputPorts": [
            {"name": "people", "contractId": "crm.people.people", "version": "1.0.0", "customProperties": [{"property": "personalData", "value": True}]},
        ],
        "outputPorts": [
            {"name": "orders", "contractId": "sales.orders.orders", "version": "1.0.0", "inputContracts": [{"id": "crm.people.people", "version": "1.0.0"}],
             "sbom": [{"url": "https://example.com/sbom"}]},
        ],
        "team": {"name": "sales-data", "members": [{"username": "ann@example.com", "role": "owner", "dateIn": "2020-01-01"}]},
        "managementPorts": [{"name": "m", "content": "dictionary", "url": "https://example.com/m"}], "customProperties": [{"property": "p", "value": "v"}],
        "support": [{"channel": "ask", "url": "https://example.com/ask", "scope": "issues"}],
    },
    "odcs": {
        "apiVersion": "v3.2.0", "kind": "DataContract", "id": "sales.orders.orders", "version": "1.0.0", "status": "active", "domain": "sales",
        "dataProduct": "sales.orders", "tags": ["one"], "description": {"purpose": "p", "limitations": "l"},
        "customProperties": [{"property": "keepPublications", "value": 4}],
        "schema": [{
            "name": "orders", "physicalName": "orders", "description": "d", "dataGranularityDescription": "g", "tags": ["one"],
            "customProperties": [{"property": "model", "value": "fct"}, {"property": "rowFilter", "value": {"column": "email", "readerAttribute": "country"}}],
            "properties": [
                {"name": "email", "physicalName": "email", "logicalType": "string", "physicalType": "text", "description": "d", "businessName": "b",
                 "required": True, "unique": True, "primaryKey": True, "primaryKeyPosition": 1, "classification": "restricted", "tags": ["pii"],
                 "enum": [{"value": "a"}], "logicalTypeOptions": {"minLength": 1, "maxLength": 9, "pattern": "^a"},
                 "customProperties": [{"property": "mask", "value": "null"}],
                 "quality": [{"name": "few", "type": "library", "metric": "nullValues", "mustBe": 0, "severity": "error", "unit": "rows",
                              "dimension": "completeness", "description": "d"}],
                 "relationships": [{"to": "crm.people.people.email"}]},
                {"name": "second", "logicalType": "integer", "primaryKey": True, "primaryKeyPosition": 2,
                 "logicalTypeOptions": {"minimum": 1, "maximum": 9}},
                {"name": "at", "logicalType": "timestamp"},
            ],
            "quality": [{"name": "many", "type": "library", "metric": "rowCount", "mustBe": 1, "severity": "error", "unit": "rows",
                         "dimension": "coverage", "description": "d"}],
            "relationships": [{"from": "orders.email", "to": "crm.people.people.email"}],
        }],
        "roles": [
            {"role": "sales_orders_reader_pii", "access": "read", "customProperties": [{"property": "domains", "value": ["crm"]}]},
            {"role": "sales_orders_reader", "access": "read"},
        ],
        "slaProperties": [{"property": "freshness", "value": 24, "unit": "h", "element": "orders.at",
                           "customProperties": [{"property": "objective", "value": {"ratio": 0.8, "window": "20d"}}]}],
        "support": [{"channel": "ask", "url": "https://example.com/asked"}], "price": {"priceAmount": 1},
        "team": {"name": "sales-data", "members": [{"username": "eve@example.com", "role": "owner", "dateIn": "2020-01-01"}]},
    },
}  # fmt: skip

for where, holder in (
    ("contract", BASE["odcs"]), ("contract/description", BASE["odcs"]["description"]), ("table", BASE["odcs"]["schema"][0]),
    ("column", BASE["odcs"]["schema"][0]["properties"][0]), ("product", BASE["odps"]), ("product/description", BASE["odps"]["description"]),
):  # fmt: skip
    holder["authoritativeDefinitions"] = [{"url": f"https://example.com/{where}", "type": "t"}]

# The clause in another form, where the one that is made from the schema would not be sound or not be another one.
GONE = object()
OTHERS: dict[tuple[str, str], Any] = {
    ("odcs", "apiVersion"): "v9.9.9", ("odps", "apiVersion"): "v0.9.0",
    ("odcs", "kind"): "Other", ("odps", "kind"): "Other", ("odcs", "version"): "2.0.0", ("odps", "version"): "2.0",
    ("odps", "description.purpose"): GONE, ("odps", "team.name"): GONE, ("odcs", "team.name"): GONE,
    ("odcs", "status"): "retired", ("odps", "status"): "weird", ("odps", "type"): "aggregate",
    ("odcs", "schema[].physicalName"): "bookings", ("odcs", "schema[].properties[].physicalName"): "mail",
    ("odcs", "schema[].properties[].logicalType"): "number", ("odcs", "schema[].properties[].physicalType"): "varchar(9)",
    ("odcs", "schema[].properties[].primaryKeyPosition"): 3, ("odcs", "schema[].properties[].classification"): "public",
    ("odcs", "schema[].properties[].tags"): ["two"], ("odcs", "schema[].properties[].enum[].value"): "b",
    ("odcs", "schema[].properties[].logicalTypeOptions.pattern"): "^b",
    ("odcs", "schema[].properties[].customProperties[].value"): "hash", ("odcs", "schema[].customProperties[].value"): "other",
    ("odcs", "customProperties[].value"): 3, ("odcs", "roles[].customProperties[].value"): ["other"], ("odcs", "roles[].access"): "write",
    ("odcs", "slaProperties[].customProperties"): [{"property": "objektive", "value": 1}],
    ("odcs", "schema[].properties[].relationships[].from"): 5,  # a column's own relationship starts at the column
    ("odcs", "slaProperties[].value"): 12, ("odcs", "slaProperties[].unit"): "m", ("odcs", "slaProperties[].element"): "orders.email",
    ("odps", "inputPorts[].customProperties[].value"): False, ("odps", "inputPorts[].customProperties[].property"): "personalDate",
    ("odps", "team.members[].role"): "member", ("odcs", "team.members[].role"): "member", ("odcs", "team.members[].dateOut"): "2020-01-01",
    ("odcs", "team[].dateIn"): "2026-03-01", ("odcs", "team[].dateOut"): "2020-01-01", ("odcs", "team[].role"): "member",
    ("odcs", "team.members[].dateIn"): "2026-03-01", ("odps", "team.members[].dateIn"): "2026-03-01", ("odps", "team.members[].dateOut"): "2020-01-01",
    ("odcs", "schema[].quality[].mustBe"): 2, ("odcs", "schema[].properties[].quality[].mustBe"): 2,
    ("odps", "inputPorts[].version"): "9.0.0", ("odps", "outputPorts[].version"): "9.0.0",
}  # fmt: skip
QUALITY = re.compile(r"schema\[\](?:\.properties\[\])?\.quality\[\]\.(\w+)")
RULES: dict[str, dict[str, Any]] = {
    "metric": {"metric": "missingValues"}, "rule": {"metric": None, "rule": "missingValues"}, "severity": {"severity": "warning"}, "unit": {"unit": "percent"},
    "arguments": {"metric": "duplicateValues", "arguments": {"properties": ["second"]}}, "dimension": {"dimension": "accuracy"},
    "type": {"type": "sql", "metric": None, "query": "select count(*) from {object}"},
    "query": {"type": "sql", "metric": None, "query": "select count(*) from {object} where true"},
    **{key: {"mustBe": None, key: [1, 2] if key.endswith("Between") else 7} for key in (
        "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween")},
}  # fmt: skip


# What a documented clause may hold, tried in this order: the first that the official schema accepts is written.
SAMPLES: tuple[Any, ...] = (
    "sample", 7, True, ["sample"], "2026-01-31", "2026-01-31T12:00:00Z", "team", "en", "cosine", {"instructions": "i"}, {"x": 1},
    {"priceAmount": 1}, [{"property": "p", "value": "v"}], [{"url": "https://example.com", "type": "t"}], [{"synonym": "s"}],
    [{"channel": "c", "url": "https://example.com"}], [{"server": "s", "type": "local", "path": "/x", "format": "csv"}],
    [{"username": "u"}], [{"name": "n", "content": "dictionary"}], [{"url": "https://example.com"}],
    [{"name": "inner", "logicalType": "string"}], {"key": {"logicalType": "string"}, "value": {"logicalType": "string"}}, "i32", "foreignKey", "object", "measure", "float32", 4,
    {"key": {"logicalType": "integer"}, "value": {"logicalType": "string"}},
)  # fmt: skip
Files = dict[str, Any]


def compiled(folder: Path, files: Files) -> dict[str, Any]:
    """Everything that comes out of the files, in words: by plane, without lines and hashes of files."""
    write(folder, files)
    for who, owner in (("zoe", "eve"), ("yan", "ann")):  # one is an owner by the contract, the other by the product
        (folder / f"domains/sales/access/sales.orders.orders.role-{who}.yaml").write_text(ASKED.format(who=who, owner=owner))
    mesh = load_mesh(folder)
    product = mesh.products.get("sales.orders")
    problems = (*mesh.problems, *owner_problems(folder, mesh), *access_problems(folder, mesh, NOW))
    found: dict[str, Any] = {
        "lint": sorted((problem.rule, problem.message) for problem in problems),
        "warehouse": words(desired(mesh, NOW)),
    }
    if product is None:
        return found
    [contract] = [port.contract for port in product.outputs]
    tables = contract.tables
    told = CatalogProduct.of_port(product, contract, "p1", NOW, {table.physical_name: 1 for table in tables})
    assets = port_assets(product, contract)
    specs = [
        (
            spec.key,
            spec.description,
            spec.owners,
            spec.tags,
            spec.kinds,
            spec.deps,
            {k: v for k, v in spec.metadata.items() if "file" not in k},
        )
        for spec in assets.specs
    ]
    checks = [(check.name, check.description, check.blocking, (check.metadata or {})["dimension"]) for check in assets.check_specs]
    return found | {
        "rules": [(rule.kind, rule.column, words(rule.arguments), rule.severity) for table in tables for rule in table.rules],
        "shape": [
            (table.physical_name, table.model, [(c.physical_name, c.logical_type, c.physical_type) for c in table.columns])
            for table in tables
        ],
        "view": [
            (words(table.row_filter and table.row_filter.column), [(c.personal, words(c.mask), words(c.own_mask)) for c in table.columns])
            for table in tables
        ],
        "life": words(contract.lifecycle),
        "freshness": [words(spec.freshness_policy) for spec in assets.specs],
        "dagster": (words(specs), words(checks)),
        "catalog": [(item.entity_urn, item.aspect_name, item.value()) for item in compile_product(told)],
        "documented": {clause for _, clause, _ in mesh.documented_only},
    }


def words(value: Any) -> str:
    """What a value prints as, lines of files left out."""
    return re.sub(r"location=Location\([^)]*\)+|[\w./-]*\.ya?ml(:\d+)?", "", repr(value))


def write(folder: Path, files: Files) -> None:
    own, other = folder / "domains/sales/src/sales/defs/orders", folder / "domains/crm/src/crm/defs/people"
    for domain, at, documents in (("sales", own, files), ("crm", other, PEOPLE), ("crm", other.with_name("lists"), LISTS)):
        (at / "contracts").mkdir(parents=True, exist_ok=True)
        (folder / "domains" / domain / "pyproject.toml").touch()
        (folder / "domains" / domain / "team.yaml").write_text(TEAM)
        (folder / "domains" / domain / "access").mkdir(exist_ok=True)
        (at / PRODUCT).write_text(yaml.safe_dump(documents["odps"]))
        (at / CONTRACT).write_text(yaml.safe_dump(documents["odcs"]))


TEAM = "teams: [{name: sales-data, members: [ann@example.com, eve@example.com]}]"
ASKED = """\
port: sales.orders.orders
principal: role:{who}
history:
  - {{action: requested, at: 2026-01-05T08:00:00Z, by: zoe@example.com, purpose: To see what was sold.}}
  - {{action: approved, at: 2026-01-06T08:00:00Z, by: {owner}@example.com}}
"""


def renamed(value: Any) -> Any:
    """The base as another product, which the first one reads."""
    text = orjson.dumps(value).decode()
    for old, new in (
        ("crm.people.people", "gone"),
        ("sales.orders", "crm.people"),
        ("sales_orders", "crm_people"),
        ("people.orders", "people.people"),
    ):
        text = text.replace(old, new)
    return orjson.loads(
        text.replace('"sales"', '"crm"').replace('"orders"', '"people"').replace("orders.", "people.").replace('["crm"]', '["sales"]')
    )


def people() -> Files:
    files = renamed(BASE)
    files["odps"] |= {"inputPorts": []}
    del files["odps"]["outputPorts"][0]["inputContracts"]
    table = files["odcs"]["schema"][0]
    del table["relationships"], table["properties"][0]["relationships"]
    return files


def lists() -> Files:
    """A product of crm that reads the base."""
    text = (
        orjson.dumps(PEOPLE).decode().replace("crm.people", "crm.lists").replace("crm_people", "crm_lists").replace('"people"', '"lists"')
    )
    files = orjson.loads(text.replace("people.", "lists."))
    ask = {
        "name": "orders",
        "contractId": "sales.orders.orders",
        "version": "1.0.0",
        "customProperties": [{"property": "personalData", "value": True}],
    }
    files["odps"] |= {"inputPorts": [ask]}
    return files


PEOPLE = people()
LISTS = lists()


def place(document: Any, path: str) -> tuple[Any, str]:
    """The mapping that holds the clause, and its key; the first item of each list."""
    *above, key = path.split(".")
    for step in above:
        document = document[step.removesuffix("[]")]
        document = document[0] if step.endswith("[]") else document
    return document, key


def stops(standard: Any) -> Iterator[ClauseRow]:
    """The clauses that a walk through a document meets: those below one that is documented only as a whole come with it."""
    rows = {row.path: row for row in clause_rows(standard)}
    for row in rows.values():
        above = [row.path[: match.start()].removesuffix("[]") for match in re.finditer(r"\.", row.path)]
        if row.where != "by its parts" and not any(rows[path].effect == "documented only" for path in above if path in rows):
            yield row


def columns(logical: str) -> Any:
    """The base with a first column of another type, so that the options of that type can be written."""

    more = {
        "vector": {"logicalTypeOptions": {"dimensions": 3}},
        "map": {"map": {key: {"logicalType": "string"} for key in ("key", "value")}},
    }

    def prepare(document: Any) -> None:
        document["schema"][0]["properties"][0] = {
            "name": "email",
            "logicalType": logical,
            "logicalTypeOptions": {},
            **more.get(logical, {}),
        }
        document["schema"][0]["relationships"] = [{"from": "orders.second", "to": "crm.people.people.second"}]
        document["schema"][0]["customProperties"] = []

    return prepare


def put(path: str, value: Any) -> Any:
    def prepare(document: Any) -> None:
        holder, key = place(document, path)
        holder[key] = value

    return prepare


def drop(path: str) -> Any:
    def prepare(document: Any) -> None:
        holder, key = place(document, path)
        del holder[key]

    return prepare


def public(document: Any) -> None:
    """The first column holds no personal data."""
    for clause in ("classification", "tags"):
        drop(f"{_COLUMN}.{clause}")(document)


_COLUMN, _OPTION = "schema[].properties[]", "schema[].properties[].logicalTypeOptions"
_CUSTOM_RULE = {"type": "custom", "engine": "soda", "implementation": "checks"}
# What must stand in the base before a clause can show its effect.
PREPARED: dict[str, Any] = {
    **{f"{_OPTION}.{name}": columns(kind) for kind, names in {
        "array": ("maxItems", "minItems", "uniqueItems"), "object": ("maxProperties", "minProperties", "required"),
        "vector": ("dimensions", "distanceMetric", "elementType", "embeddingModel", "embeddingModelVersion", "normalized"),
        "integer": ("format", "multipleOf"), "timestamp": ("timezone", "defaultTimezone"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    }.items() for name in names},
    f"{_COLUMN}.properties": columns("object"), f"{_COLUMN}.map": columns("map"),
    "schema[].name": drop("schema[].physicalName"), f"{_COLUMN}.name": drop(f"{_COLUMN}.physicalName"),
    f"{_COLUMN}.examples": public, "customProperties[].description": put("customProperties", [{"property": "p", "value": "v"}]),
    f"{_COLUMN}.classification": drop(f"{_COLUMN}.tags"), f"{_COLUMN}.tags": drop(f"{_COLUMN}.classification"),
    **{f"{place}.quality[].{key}": put(f"{place}.quality", []) for place in ("schema[]", _COLUMN) for key in ("engine", "implementation")},
}  # fmt: skip


def pair(standard: Any, row: ClauseRow) -> tuple[Files, Files]:
    """The base's files as the clause needs them, and the same with the clause in another form, which lint may refuse."""
    before = copy.deepcopy(BASE)
    if standard == "odcs" and row.path in PREPARED:
        PREPARED[row.path](before[standard])
    if row.path.startswith("team[]"):
        before[standard]["team"] = before[standard]["team"]["members"]
    after = copy.deepcopy(before)
    document = after[standard]
    quality = QUALITY.fullmatch(row.path) if standard == "odcs" else None
    whole = bool(quality and quality[1] in ("engine", "implementation"))  # only a rule of type custom has them: it comes as a whole
    holder, key = place(document, row.path.rpartition("[].")[0] if whole else row.path)
    if whole:
        holder[key] = [_CUSTOM_RULE]
    elif quality and quality[1] in RULES:
        holder.update(RULES[quality[1]])
        if holder.get("metric", holder.get("rule")) == "missingValues" and ".properties[]." not in row.path:  # a column's own
            holder["metric" if holder.get("metric") else "rule"] = "duplicateValues"
            holder["arguments"] = {"properties": ["second"]}
        for empty in [name for name, value in holder.items() if value is None]:
            del holder[empty]
    elif (standard, row.path) in OTHERS:
        holder[key] = OTHERS[standard, row.path]
        if holder[key] is GONE:
            del holder[key]
    elif row.effect == "documented only" or holder.get(key) is None:
        for sample in SAMPLES:
            if holder.get(key) != sample:
                document_before = holder.get(key)
                holder[key] = sample
                if official.check(Document(Path("x"), document, {}), standard) == []:
                    break
                holder[key] = document_before
        else:
            raise AssertionError(f"no sample fits {row.path}")
    else:
        value = holder.get(key)
        known = {bool: not value, int: 5, list: ["two"]}
        holder[key] = [] if key in {"customProperties", "authoritativeDefinitions"} else known.get(type(value), "zwei")
    return before, after


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clauses")


@pytest.fixture(scope="module")
def once(folder: Path) -> dict[str, dict[str, Any]]:
    """What was compiled before, by the files."""
    return {}


def test_the_base_is_sound(folder: Path) -> None:
    assert compiled(folder, BASE)["lint"] == []


def looked_at() -> list[ClauseRow]:
    """Every clause that has an effect, and each tenth of those that have none; all with MESH_ALL_CLAUSES set."""
    rows = [row for standard in ("odcs", "odps") for row in stops(standard)]
    idle = [row for row in rows if row.effect == "documented only"]
    left_out = [] if os.environ.get("MESH_ALL_CLAUSES") else [row for number, row in enumerate(idle) if number % 10]
    return [row for row in rows if row not in left_out]


@pytest.mark.parametrize("row", looked_at(), ids=lambda row: f"{row.standard} {row.path}")
def test_a_clause_has_the_effect_that_the_matrix_says(folder: Path, once: dict[str, dict[str, Any]], row: ClauseRow) -> None:
    files = pair(row.standard, row)
    known = orjson.dumps(files[0]).decode()
    before = once[known] if known in once else once.setdefault(known, compiled(folder, files[0]))
    assert before["lint"] == []
    after = compiled(folder, files[1])
    moved = {plane for plane in (*ENFORCING, *PUBLISHING) if after.get(plane) != before[plane]}
    shown = "enforced" if moved & set(ENFORCING) else "published" if moved else "documented only"
    assert shown == row.effect, (moved, after["lint"])
    if row.effect == "documented only":
        key = row.path.rpartition(".")[2].removesuffix("[]")
        assert after["documented"] - before["documented"] or any(key in clause for clause in before["documented"])
