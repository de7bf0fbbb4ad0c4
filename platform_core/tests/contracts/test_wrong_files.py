# ruff: noqa: E501  (a table: one row is one mistake)
"""Each wrong variant of a product or contract file gets one clear error: rule, file, line, remedy; what it does not touch stays usable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from platform_core.contracts import Problem

Files = Any  # the fixture's type; test modules do not import each other
Edit = Callable[[Files], None]

PRODUCT, CONTRACT = "orders", "orders contract"
CUSTOMERS, CUSTOMERS_CONTRACT = "customers", "customers contract"


@dataclass(frozen=True)
class Wrong:
    """One mistake, and its error: the rule, the file, a piece of the line it stands at, a piece of the message."""

    label: str
    rule: str
    file: str
    at: str
    says: str
    edit: Edit


def change(file: str, old: str, new: str) -> Edit:
    return lambda files: files.replace(file, old, new)


def write(file: str, content: str | bytes) -> Edit:
    return lambda files: files.write(file, content)


def remove(file: str, old: str) -> Edit:
    return change(file, old, "")


def several(*edits: Edit) -> Edit:
    def edit(files: Files) -> None:
        for one in edits:
            one(files)

    return edit


def product(label: str, rule: str, at: str, says: str, old: str, new: str = "") -> Wrong:
    return Wrong(label, rule, PRODUCT, at, says, change(PRODUCT, old, new))


def contract(label: str, rule: str, at: str, says: str, old: str, new: str = "") -> Wrong:
    return Wrong(label, rule, CONTRACT, at, says, change(CONTRACT, old, new))


def whole(label: str, file: str, rule: str, at: str, says: str, content: str | bytes) -> Wrong:
    return Wrong(label, rule, file, at, says, write(file, content))


TEAM = "team:\n  name: sales-data\n  members:\n    - username: sales@example.com\n      role: owner\n"
SUPPORT = "support:\n  - channel: sales-data\n    url: https://example.com/sales\n"
INPUT_CONTRACTS = "    inputContracts:\n      - id: shop.customers.customers\n        version: 1.1.0\n"
OUTPUTS = "outputPorts:\n  - name: orders\n    type: tables\n    version: 1.0.0\n    contractId: sales.orders.orders\n" + INPUT_CONTRACTS
CUSTOMERS_INPUT = "    contractId: shop.customers.customers\n    version: 1.1.0\n"
PAID = "        query: select count(*) from {object} where amount_usd is null\n"


def reading(label: str, rule: str, says: str, new: str) -> Wrong:
    """The input port is written as ``new``, and the output does not repeat it."""
    return Wrong(
        label, rule, PRODUCT, "name: customers", says, several(remove(PRODUCT, INPUT_CONTRACTS), change(PRODUCT, CUSTOMERS_INPUT, new))
    )


NOT_YAML = [
    product("tab as indentation", "yaml", "\tpurpose", "not valid YAML", "  purpose: What", "\tpurpose: What"),
    product("a key twice", "yaml", "status: draft", "'status' stands twice", "status: active", "status: active\nstatus: draft"),
    contract("a key twice, deep", "yaml", "logicalType: number", "'logicalType' stands twice",
             "        physicalType: numeric(12,2)\n", "        physicalType: numeric(12,2)\n        logicalType: number\n"),
    contract("an open bracket", "yaml", "", "not valid YAML", "[customer_id, ordered_at]", "[customer_id, ordered_at"),
    contract("a key that is no text", "yaml", "1: x", "the key 1 is not text", "version: 1.0.0", "version: 1.0.0\n1: x"),
    contract("an unknown YAML tag", "yaml", "!!python", "not valid YAML", "name: Orders", "name: !!python/name:os.system Orders"),
    contract("a tag that does not fit its value", "yaml", "!!bool", "!!bool", "name: Orders", "name: !!bool Orders"),
    whole("not UTF-8", PRODUCT, "yaml", "purpose", "not UTF-8", b"kind: DataProduct\npurpose: \xe9t\xe9\n"),
    whole("nothing in the file", CONTRACT, "yaml", "", "empty", ""),
    whole("two documents", CONTRACT, "yaml", "---", "not valid YAML", "kind: DataContract\n---\nkind: DataContract\n"),
    whole("a list as product", PRODUCT, "odps-schema", "- 1", "not a mapping", "- 1\n"),
    whole("a text as contract", CONTRACT, "odcs-schema", "hello", "not a mapping", "hello\n"),
    whole("a bomb of aliases", CONTRACT, "yaml", "", "more than 200,000 values",
          "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
              f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True))),
]  # fmt: skip

PRODUCTS = [
    product("another kind of file", "odps-kind", "kind", "DataContract", "kind: DataProduct", "kind: DataContract"),
    product("no kind", "odps-kind", "apiVersion", "None", "kind: DataProduct\n"),
    product("a version of the standard that is not read", "odps-version", "apiVersion", "v3.1.0", "v1.1.0", "v3.1.0"),
    product("a misspelt key", "odps-schema", "inputPort:", "did you mean 'inputPorts'?", "inputPorts:", "inputPort:"),
    product("a key of our own invention", "odps-schema", "owner: me", "unknown key 'owner'", "name: Orders", "name: Orders\nowner: me"),
    product("an input without a name", "odps-schema", "- contractId", "lacks name", "  - name: customers\n    contractId", "  - contractId"),
    product("no id", "odps-schema", "apiVersion", "lacks id", "id: sales.orders\n"),
    product("an id in upper case", "product-id", "id:", "'Sales.orders'", "id: sales.orders\n", "id: Sales.orders\n"),
    product("an id without a domain", "product-id", "id:", "'orders' is not <domain>.<product>", "id: sales.orders\n", "id: orders\n"),
    product("the id of another domain", "product-id", "id:", "the folder of the domain 'sales'", "id: sales.orders\n", "id: shop.orders\n"),
    Wrong("a reserved name", "product-id", PRODUCT, "id:", "reserved", several(
        change(PRODUCT, "id: sales.orders\n", "id: sales.raw\n"), change(PRODUCT, "sales.orders.orders", "sales.raw.orders"),
        change(CONTRACT, "id: sales.orders.orders", "id: sales.raw.orders"), change(CONTRACT, "dataProduct: sales.orders", "dataProduct: sales.raw"),
        change(CONTRACT, "sales_orders_reader", "sales_raw_reader"))),
    product("another domain than the id's", "product-id", "domain: shop", "the id says 'sales'", "domain: sales", "domain: shop"),
    product("no version", "version", "apiVersion", "version is None", "version: 1.0.0\nstatus", "status"),
    product("a version of two parts", "version", "version: '1.0'", "'1.0'", "version: 1.0.0\nstatus", "version: '1.0'\nstatus"),
    product("a version that YAML reads as a number", "odps-schema", "version: 1.0", "version: 1.0 is not", "version: 1.0.0\nstatus", "version: 1.0\nstatus"),
    product("an unknown status", "status", "status", "'live'", "status: active", "status: live"),
    product("no team", "team", "apiVersion", "no team with an owner", TEAM),
    product("a team without owner", "team", "team", "no team with an owner", "role: owner", "role: analyst"),
    product("nobody to ask", "support", "apiVersion", "no support channel", SUPPORT),
    product("no purpose", "description", "description", "no purpose", "  purpose: What", "  usage: What"),
    product("no output", "output-port", "apiVersion", "no output port", OUTPUTS),
    product("an output without contract", "output-port", "name: orders", "names no contract", "    contractId: sales.orders.orders\n"),
    product("an output of a contract that no file has", "output-port", "contractId", "did you mean 'sales.orders.orders'?",
            "contractId: sales.orders.orders", "contractId: sales.orders.order"),
    product("an output of another product's contract", "output-port", "contractId: shop", "is not one of 'sales.orders'",
            "contractId: sales.orders.orders", "contractId: shop.customers.customers"),
    product("an output at another version than its contract", "output-port", "version: 1.0.1", "its contract '1.0.0'",
            "version: 1.0.0\n    contractId", "version: 1.0.1\n    contractId"),
    product("an output without version", "version", "name: orders", "version is None", "    version: 1.0.0\n    contractId", "    contractId"),
    product("an input contract of an output that is no input", "output-port", "id: shop.customers.visits", "is no input port",
            "- id: shop.customers.customers", "- id: shop.customers.visits"),
    reading("an input that names nothing", "input-port", "neither a contract nor a connection", ""),
    reading("an input that exists nowhere", "input-port", "did you mean 'shop.customers.customers'?", CUSTOMERS_INPUT.replace("customers\n", "customer\n")),
    product("an input without version", "version", "name: customers", "version is None", CUSTOMERS_INPUT, "    contractId: shop.customers.customers\n"),
    product("an output built against another version than the input says", "output-port", "version: 1.0.9", "says '1.1.0'",
            "customers\n        version: 1.1.0", "customers\n        version: 1.0.9"),
    reading("an input at an earlier major version", "input-version", "is at 1.2.0", CUSTOMERS_INPUT.replace("1.1.0", "0.9.0")),
    reading("an input ahead of its contract", "input-version", "only at 1.2.0", CUSTOMERS_INPUT.replace("1.1.0", "1.3.0")),
    Wrong("a retired input", "input-port", PRODUCT, "name: customers", "retired", several(
        change(CUSTOMERS, "status: active", "status: retired"), change(CUSTOMERS_CONTRACT, "status: active", "status: retired"))),
    product("a connection that no file describes", "input-port", "name: shop", "did you mean 'shop'?", "value: shop\n", "value: shopp\n"),
    product("a connection that leaves its folder", "input-port", "value: ../shop/web", "'../shop/web'", "value: shop\n", "value: ../shop/web\n"),
    product("an unknown custom property of an input", "input-port", "property: conection", "did you mean 'connection'?",
            "property: connection\n        value: shop", "property: conection\n        value: shop\n      - property: connection\n        value: shop"),
    product("personalData that is no truth value", "input-port", "value: 'yes'", "personalData",
            CUSTOMERS_INPUT, CUSTOMERS_INPUT + "    customProperties:\n      - property: personalData\n        value: 'yes'\n"),
]  # fmt: skip

CONTRACTS = [
    contract("no version of the standard", "odcs-version", "kind", "lacks apiVersion", "apiVersion: v3.2.0\n"),
    contract("a version of the standard that is not read", "odcs-version", "apiVersion", "v2.2.2", "v3.2.0", "v2.2.2"),
    contract("another kind of file", "odcs-kind", "kind", "DataProduct", "DataContract", "DataProduct"),
    contract("an id of two parts", "contract-id", "id: sales.orders", "<domain>.<product>.<port>", "id: sales.orders.orders", "id: sales.orders"),
    contract("another domain than the id's", "contract-id", "domain: shop", "the id says 'sales'", "domain: sales", "domain: shop"),
    contract("another product than the id's", "contract-id", "dataProduct", "the id says 'sales.orders'", "dataProduct: sales.orders", "dataProduct: orders"),
    contract("no version", "odcs-schema", "apiVersion", "lacks version", "version: 1.0.0\n"),
    contract("no status", "status", "apiVersion", "the status is None", "status: active\n"),
    contract("no team", "team", "apiVersion", "no team", "team:\n  name: sales-data\n"),
    contract("a misspelt key of a column", "odcs-schema", "requierd", "did you mean 'required'?",
             "        required: true\n", "        requierd: true\n"),
    contract("a misspelt key of a table", "odcs-schema", "descripton", "did you mean 'description'?", "    description: One", "    descripton: One"),
    contract("a key that tools other than ours know", "odcs-schema", "nullable", "unknown key 'nullable'", "physicalType: timestamptz", "physicalType: timestamptz\n        nullable: false"),
    contract("a logical type that does not exist", "odcs-schema", "logicalType: decimal", "'decimal' is not one of", "logicalType: number", "logicalType: decimal"),
    contract("a truth value as text", "odcs-schema", "required: 'true'", "is not of type 'boolean'", "required: true", "required: 'true'"),
    contract("a column without a logical type", "logical-type", "name: ordered_at", "no logicalType", "        logicalType: timestamp\n"),
    contract("a column without a name", "odcs-schema", "- logicalType", "lacks name", "- name: amount_usd\n        logicalType", "- logicalType"),
    contract("an option of another type", "odcs-schema", "pattern: '^a$'", "pattern", "minimum: 0\n", "pattern: '^a$'\n"),
    contract("a minimum as text", "odcs-schema", "minimum: low", "is not of type 'number'", "minimum: 0\n", "minimum: low\n"),
    Wrong("no tables", "schema", CONTRACT, "apiVersion", "no schema", lambda files: files.write(
        CONTRACT, files.read(CONTRACT).split("schema:")[0] + "team:\n  name: sales-data\n")),
    Wrong("a table without columns", "columns", CONTRACT, "name: orders", "no properties", lambda files: files.write(
        CONTRACT, files.read(CONTRACT).split("    properties:")[0] + "team:\n  name: sales-data\n")),
    contract("a column twice", "duplicate-column", "name: amount_usd", "'amount_usd' stands twice", "- name: country", "- name: amount_usd\n        logicalType: number\n      - name: country"),
    contract("a table twice", "duplicate-table", "name: orders", "'orders' stands twice", "roles:\n", "  - name: orders\n    properties:\n      - name: x\n        logicalType: string\nroles:\n"),
    contract("a column name that Postgres cuts", "identifier", f"name: {'x' * 64}", "64 bytes", "- name: country", f"- name: {'x' * 64}"),
    contract("a table name with a blank", "identifier", "physicalName: my orders", "'my orders'", "- name: orders", "- name: orders\n    physicalName: my orders"),
    contract("an unknown custom property of a table", "custom-property", "property: modle", "did you mean 'model'?",
             "    physicalType: table\n", "    physicalType: table\n    customProperties:\n      - property: modle\n        value: x\n"),
    # Rules
    contract("a pattern that is none", "pattern", "pattern", "not a regular expression", "'^[A-Z]{2}$'", "'^[A-Z{2}$'"),
    contract("an empty range", "empty-range", "minimum", "above the maximum", "minimum: 0\n", "minimum: 200\n"),
    contract("a range of not-a-number", "range", "minimum", "nan", "minimum: 0\n", "minimum: .nan\n"),
    contract("an empty range of lengths", "empty-range", "minLength", "above", "minLength: 2", "minLength: 3"),
    contract("a date that is none", "range", "minimum", "'last year'", "physicalType: timestamptz\n", "physicalType: timestamptz\n        logicalTypeOptions:\n          minimum: last year\n"),
    contract("a metric that does not exist", "odcs-schema", "rowCounts", "'rowCounts' is not one of", "metric: rowCount\n", "metric: rowCounts\n"),
    contract("a rule that compares with nothing", "odcs-schema", "metric: rowCount", "mustBe", "        mustBeGreaterThan: 0\n"),
    contract("a rule that compares twice", "odcs-schema", "metric: rowCount", "mustBe", "        mustBeGreaterThan: 0\n", "        mustBeGreaterThan: 0\n        mustBe: 5\n"),
    contract("a bound that is no number", "rule-bound", "mustBe: zero", "'zero'", "        mustBe: 0\n        dimension", "        mustBe: zero\n        dimension"),
    contract("a pair of bounds the wrong way round", "empty-range", "mustBeBetween", "above", "mustBeGreaterThan: 0", "mustBeBetween: [10, 1]"),
    contract("an unknown severity", "severity", "severity: blocker", "'blocker'", "severity: error", "severity: blocker"),
    contract("an unknown dimension", "odcs-schema", "dimension: speed", "'speed' is not one of", "dimension: completeness", "dimension: speed"),
    contract("an unknown unit", "rule-unit", "unit: permille", "'permille'", "mustBeGreaterThan: 0", "mustBeGreaterThan: 0\n        unit: permille"),
    contract("valid values that YAML reads as truth values", "rule-argument", "validValues", "False", "['NO', SE]", "[NO, SE]"),
    contract("valid values that are no list", "rule-argument", "validValues", "'NO, SE'", "['NO', SE]", "NO, SE"),
    contract("invalidValues without arguments", "rule-argument", "metric: invalidValues", "neither validValues nor pattern", "            arguments:\n              validValues: ['NO', SE]\n"),
    contract("duplicateValues without columns", "rule-argument", "metric: duplicateValues", "no columns", "        arguments:\n          properties: [customer_id, ordered_at]\n"),
    contract("duplicateValues of a column that does not exist", "rule-argument", "properties: [customer, ordered_at]", "did you mean 'customer_id'?", "[customer_id, ordered_at]", "[customer, ordered_at]"),
    contract("a rule of a column at the table", "rule-argument", "metric: nullValues", "stands at a table", "- metric: rowCount", "- metric: nullValues"),
    contract("SQL that changes data", "sql-rule", "query: delete", "one SELECT", PAID, "        query: delete from {object}\n"),
    contract("two statements", "sql-rule", "query: select 1", "one SELECT", PAID, "        query: select 1 from {object}; drop table x\n"),
    contract("SQL that reads something else", "sql-rule", "query: select count(*) from sales_orders", "never reads {object}", PAID, "        query: select count(*) from sales_orders.orders\n"),
    contract("a rule of SQL without a query", "odcs-schema", "name: paid", "query", PAID),
    # Relationships, roles, service levels
    contract("a foreign key to nowhere", "relationship", "to: shop.customers.customers.id", "exists nowhere in the mesh", "customers.customer_id", "customers.id"),
    contract("a foreign key of two columns to one", "relationship", "to: [", "joins 1 columns with 2", "to: shop.customers.customers.customer_id", "to: [shop.customers.customers.customer_id, shop.customers.customers.email]"),
    contract("a foreign key from a column that does not exist", "relationship", "from: orders.customer", "did you mean 'customer_id'?",
             "    quality:\n      - metric: rowCount", "    relationships:\n      - from: orders.customer\n        to: shop.customers.customers.customer_id\n    quality:\n      - metric: rowCount"),
    Wrong("a foreign key to a product that is no input", "relationship", CONTRACT, "to: shop", "no input of the product", several(
        remove(PRODUCT, "  - name: customers\n" + CUSTOMERS_INPUT), remove(PRODUCT, INPUT_CONTRACTS))),
    contract("personal data that no role may see", "personal-data", "name: country", "no role may see it", "physicalType: text", "physicalType: text\n        tags: [pii]"),
    contract("a role that the platform does not make", "role", "role: sales_reader", "'sales_reader'", "sales_orders_reader", "sales_reader"),
    contract("a freshness that is no number", "service-level", "value: daily", "'daily'", "value: 24", "value: daily"),
    contract("a freshness of no unit we know", "service-level", "unit: fortnight", "'fortnight'", "unit: h", "unit: fortnight"),
    contract("a freshness of a column that does not exist", "service-level", "element: orders.orderd_at", "did you mean 'ordered_at'?", "orders.ordered_at", "orders.orderd_at"),
    contract("a freshness of a column without time", "service-level", "element: orders.country", "timestamp", "orders.ordered_at", "orders.country"),
    contract("an objective above the whole", "service-level", "ratio: 80", "80", "ratio: 0.8", "ratio: 80"),
    contract("an objective without a window", "service-level", "ratio: 0.8}", "window", ", window: 20d", ""),
    contract("an unknown custom property of a service level", "service-level", "property: objektive", "did you mean 'objective'?", "property: objective", "property: objektive"),
    contract("a service level without value", "odcs-schema", "property: freshness", "lacks value", "    value: 24\n"),
]  # fmt: skip

BETWEEN_FILES = [
    Wrong("a product id twice", "duplicate-product", "domains/sales/src/sales/defs/zzz/product.odps.yaml", "id", "is also that of",
          lambda files: [files.write(f"domains/sales/src/sales/defs/zzz/{to}", files.read(of)) for of, to in
                         ((PRODUCT, "product.odps.yaml"), (CONTRACT, "contracts/orders.odcs.yaml"))] and None),
    Wrong("a contract id in two files", "duplicate-contract", "domains/sales/src/sales/defs/orders/contracts/zzz.odcs.yaml", "id", "stands in two files",
          lambda files: files.write("domains/sales/src/sales/defs/orders/contracts/zzz.odcs.yaml", files.read(CONTRACT))),
    Wrong("a table that two ports promise", "duplicate-table", CONTRACT, "name: orders", "also promised by sales.orders.zzz",
          several(lambda files: files.write("domains/sales/src/sales/defs/orders/contracts/zzz.odcs.yaml", files.read(CONTRACT).replace("id: sales.orders.orders", "id: sales.orders.zzz")),
                  change(PRODUCT, "outputPorts:\n", "outputPorts:\n  - name: zzz\n    version: 1.0.0\n    contractId: sales.orders.zzz\n"))),
    Wrong("two products with one schema", "schema-name", "domains/sales/src/sales/defs/zzz/product.odps.yaml", "id", "would share the schema 'sales_orders_data'",
          lambda files: [files.write(f"domains/sales/src/sales/defs/zzz/{to}", files.read(of).replace("sales.orders", "sales.orders_data").replace("sales_orders", "sales_orders_data")
                                     .replace("sales.orders_data.orders", "sales.orders_data.zzz")) for of, to in
                         ((PRODUCT, "product.odps.yaml"), (CONTRACT, "contracts/orders.odcs.yaml"))] and None),
    Wrong("a product with the raw schema of a domain", "schema-name", "domains/sales/src/sales/defs/zzz/product.odps.yaml", "id", "'sales.eu_raw' and 'sales_eu' would share the schema 'sales_eu_raw'",
          lambda files: [files.write("domains/sales_eu/pyproject.toml", "")]
          + [files.write(f"domains/sales/src/sales/defs/zzz/{to}", files.read(of).replace("sales.orders", "sales.eu_raw").replace("sales_orders", "sales_eu_raw")) for of, to in
             ((PRODUCT, "product.odps.yaml"), (CONTRACT, "contracts/orders.odcs.yaml"))] and None),
]  # fmt: skip

ALL = [*NOT_YAML, *PRODUCTS, *CONTRACTS, *BETWEEN_FILES]


def test_the_small_mesh_is_sound(files: Files) -> None:
    mesh = files.mesh()
    assert mesh.problems == ()
    assert set(mesh.products) == {"shop.customers", "sales.orders"}


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: f"{wrong.file}: {wrong.label}")
def test_one_mistake_is_one_clear_error(files: Files, wrong: Wrong) -> None:
    wrong.edit(files)
    problems = files.mesh().problems
    assert len(problems) == 1, "\n".join(f"{problem.rule} {problem.location}: {problem.message}" for problem in problems)
    problem: Problem = problems[0]
    assert (problem.rule, problem.severity) == (wrong.rule, "error")
    assert problem.location.file == files.path(wrong.file)
    assert wrong.at in files.line(wrong.file, problem.location.line), f"{problem.location}: {problem.message}"
    assert wrong.says in problem.message, problem.message
    shown = str(problem.error())
    assert shown.startswith(f"{problem.location}: ")
    assert problem.remedy.strip() and problem.remedy in shown
    assert len(problem.message) < 400


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: f"{wrong.file}: {wrong.label}")
def test_the_product_that_a_mistake_does_not_touch_stays_usable(files: Files, wrong: Wrong) -> None:
    wrong.edit(files)
    assert "shop.customers" in files.mesh().products


def test_the_table_of_mistakes_is_long_and_says_no_mistake_twice() -> None:
    labels = [(wrong.file, wrong.label) for wrong in ALL]
    assert len(labels) == len(set(labels)) >= 40
