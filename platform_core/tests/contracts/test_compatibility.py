"""The gate's table: what every kind of change of the real contracts and products means for those who read them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_core.contracts import load_yaml
from platform_core.contracts.compatibility import RULINGS, rulings_table
from platform_core.contracts.compatibility.judge import judged

DEFS = "domains/{0}/src/{0}/defs/{1}"
FILES = {
    "profiles": f"{DEFS.format('customer', 'profiles')}/contracts/profiles.odcs.yaml",
    "orders": f"{DEFS.format('sales', 'orders')}/contracts/orders.odcs.yaml",
    "items": f"{DEFS.format('inventory', 'items')}/contracts/items.odcs.yaml",
    "product": f"{DEFS.format('sales', 'orders')}/product.odps.yaml",
}
Document = dict[str, Any]
Mutation = Callable[[Document], object]


def table(document: Document, name: str | None = None) -> Any:
    return next(item for item in document["schema"] if name in {None, item["name"]})


def column(document: Document, name: str) -> Any:
    return next(item for item in table(document)["properties"] if item["name"] == name)


def rule(document: Document, name: str) -> Any:
    return next(item for item in table(document)["quality"] if item.get("name") == name)


def level(document: Document, name: str) -> Any:
    return next(item for item in document["slaProperties"] if item["property"] == name)


def objective(document: Document) -> Any:
    return next(item for item in document["customProperties"] if item["property"] == "objectives")["value"]


def put_objective(ratio: float) -> Mutation:
    return put(lambda document: level(document, "freshness"), customProperties=[custom("objective", {"ratio": ratio, "window": "5d"})])


def put(find: Callable[[Document], Any], /, **values: Any) -> Mutation:
    """Sets keys; ``...`` deletes one."""

    def mutate(document: Document) -> None:
        target = find(document)
        for key, value in values.items():
            if value is ...:
                del target[key]
            else:
                target[key] = value

    return mutate


def top(**values: Any) -> Mutation:
    return put(lambda document: document, **values)


def of(name: str, /, **values: Any) -> Mutation:
    return put(lambda document: column(document, name), **values)


def options(name: str, /, **values: Any) -> Mutation:
    return put(lambda document: column(document, name).setdefault("logicalTypeOptions", {}), **values)


def add(find: Callable[[Document], Any], item: Any) -> Mutation:
    return lambda document: find(document).append(item)


def drop(find: Callable[[Document], Any], index: int) -> Mutation:
    return lambda document: find(document).pop(index)


def both(*mutations: Mutation) -> Mutation:
    return lambda document: [mutate(document) for mutate in mutations]


def columns(document: Document) -> Any:
    return table(document)["properties"]


def rules(document: Document) -> Any:
    return table(document)["quality"]


def values(document: Document) -> Any:
    return column(document, "gender")["quality"][0]["arguments"]["validValues"]


def custom(name: str, value: Any) -> Any:
    return {"property": name, "value": value}


OBJECTIVES = [custom("objectives", {"freshness": {"ratio": 0.8, "window": "20d"}})]
SERVER = {"server": "main", "type": "postgres", "host": "db", "port": 5432, "database": "mesh", "schema": "customer_profiles"}
NOT_NULL = {"metric": "nullValues", "mustBe": 0}
NOT_TWICE = {"metric": "duplicateValues", "mustBe": 0}
VALID = {"metric": "invalidValues", "arguments": {"validValues": ["b", "a"]}, "mustBe": 0}


def quality(name: str, rule: Any) -> Mutation:
    return of(name, quality=[rule])


def as_clause(name: str, **values: Any) -> Mutation:
    return of(name, quality=..., **values)


def relation(to: str) -> Mutation:
    return lambda document: column(document, "customer_id")["relationships"][0].update(to=to)


def kept(value: int, unit: str) -> Mutation:
    levels = [{"property": "retention", "value": value, "unit": unit}]
    return top(slaProperties=levels)


def life(**values: Any) -> Mutation:
    return top(customProperties=[*OBJECTIVES, *(custom(name, value) for name, value in values.items())])


def since(moment: str) -> Mutation:
    return options("registered_at", minimum=moment)


def domains(*names: str) -> Mutation:
    return lambda document: document["roles"][0].update(customProperties=[custom("domains", list(names))])


def before(first: Mutation, then: Mutation) -> tuple[Mutation, Mutation]:
    """A change from a state that the demonstration does not have."""
    return first, then


# What changes | file | the change | the rulings that it must get, no more and no fewer.
TABLE: list[tuple[str, str, Mutation | tuple[Mutation, Mutation], set[str]]] = [
    # structural
    ("column removed", "profiles", drop(columns, -1), {"column-removed"}),
    ("column renamed", "profiles", of("city", name="town"), {"column-renamed"}),
    ("column renamed and altered", "profiles", of("city", name="town", physicalType="varchar(9)"), {"column-removed", "column-added"}),
    ("optional column added", "profiles", add(columns, {"name": "x", "logicalType": "string"}), {"column-added"}),
    ("required column added", "profiles", add(columns, {"name": "x", "logicalType": "string", "required": True}), {"column-added"}),
    ("columns in another order", "profiles", lambda d: columns(d).reverse(), {"order"}),
    ("physical name of a column", "profiles", of("city", physicalName="town"), {"physical-name"}),
    ("physical name written out", "profiles", of("city", physicalName="city"), {"same-meaning"}),
    ("table removed", "orders", lambda d: d["schema"].pop(1), {"table-removed"}),
    ("table added", "profiles", add(lambda d: d["schema"], {"name": "y", "properties": []}), {"table-added"}),
    ("table renamed", "profiles", put(table, name="people", physicalName="people"), {"table-renamed"}),
    ("physical name of a table", "profiles", put(table, physicalName="people"), {"physical-name"}),
    ("table served as a view", "profiles", put(table, physicalType="view"), {"storage"}),
    ("required becomes optional", "profiles", of("email", required=False), {"column-optional"}),
    ("required left out", "profiles", of("email", required=...), {"column-optional"}),
    ("optional becomes required", "profiles", of("phone", required=True), {"column-required"}),
    ("the default written out", "profiles", of("phone", required=False), {"same-meaning"}),
    ("unique dropped", "profiles", of("email", unique=...), {"column-not-unique"}),
    ("unique promised", "profiles", of("phone", unique=True), {"column-unique"}),
    ("primary key dropped", "profiles", of("customer_id", primaryKey=False), {"primary-key"}),
    ("primary key extended", "profiles", of("email", primaryKey=True, primaryKeyPosition=2), {"primary-key"}),
    (
        "primary key in another order",
        "profiles",
        before(of("email", primaryKey=True, primaryKeyPosition=2), both(of("customer_id", primaryKeyPosition=3))),
        {"primary-key"},
    ),
    ("position of a single key", "profiles", of("customer_id", primaryKeyPosition=4), {"same-meaning"}),
    ("another kind of file", "profiles", top(kind="Other"), {"not-a-contract"}),
    ("another domain", "profiles", top(domain="crm"), {"identity"}),
    # semantic
    ("another logical type", "profiles", of("age", logicalType="number"), {"logical-type"}),
    ("a wider type", "profiles", of("age", physicalType="bigint"), {"physical-type"}),
    ("a narrower type", "items", of("list_price_usd", physicalType="numeric(10,2)"), {"physical-type"}),
    ("a type by its other name", "profiles", of("registered_at", physicalType="TIMESTAMP WITH TIME ZONE"), {"same-meaning"}),
    ("a type without a space", "items", of("list_price_usd", physicalType="numeric(12, 2)"), {"same-meaning"}),
    ("another currency in words", "items", of("list_price_usd", description="Price of one piece in euros."), {"unit"}),
    ("other words", "items", of("list_price_usd", description="What one piece costs, in US dollars."), {"documentation"}),
    ("unit as a custom property", "items", of("model_year", customProperties=[custom("unit", "year")]), {"custom-meaning-added"}),
    (
        "another unit",
        "items",
        before(of("model_year", customProperties=[custom("unit", "g")]), of("model_year", customProperties=[custom("unit", "kg")])),
        {"unit"},
    ),
    (
        "another time zone by a custom property",
        "items",
        before(of("listed_at", customProperties=[custom("timezone", "UTC")]), of("listed_at", customProperties=[])),
        {"meaning"},
    ),
    ("the grain", "profiles", put(table, dataGranularityDescription="one registration"), {"granularity"}),
    ("valid value added", "profiles", add(values, "unknown"), {"value-admitted"}),
    ("valid value removed", "profiles", drop(values, 0), {"values-narrowed"}),
    ("valid values in another order", "profiles", lambda d: values(d).reverse(), {"order"}),
    ("enum introduced", "profiles", of("city", enum=[{"value": "Porto"}]), {"values-narrowed"}),
    (
        "enum value added",
        "profiles",
        before(of("city", enum=[{"value": "a"}]), of("city", enum=[{"value": "a"}, {"value": "b"}])),
        {"value-admitted"},
    ),
    ("enum dropped", "profiles", before(of("city", enum=[{"value": "a"}]), of("city", enum=...)), {"values-unlimited"}),
    (
        "words about an enum value",
        "profiles",
        before(of("city", enum=[{"value": "a"}]), of("city", enum=[{"value": "a", "label": "A"}])),
        {"documentation"},
    ),
    ("enum in another order", "profiles", before(of("city", enum=["a", "b"]), of("city", enum=["b", "a"])), {"order"}),
    ("enum values with words", "profiles", before(of("city", enum=["a"]), of("city", enum=[{"value": "a"}])), {"same-meaning"}),
    (
        "a number becomes a text",
        "profiles",
        before(of("age", enum=[1, 2]), of("age", enum=["1", 2])),
        {"value-admitted", "values-narrowed"},
    ),
    (
        "the same instant in another zone",
        "profiles",
        before(since("2020-01-01T00:00:00Z"), since("2020-01-01T01:00:00+01:00")),
        {"same-meaning"},
    ),
    (
        "another instant of the same reading",
        "profiles",
        before(since("2020-01-01T00:00:00Z"), since("2020-01-01T00:00:00+05:00")),
        {"range-widened"},
    ),
    ("a step between values", "items", options("list_price_usd", multipleOf=0.01), {"option-added"}),
    ("another step between values", "items", before(options("model_year", multipleOf=1), options("model_year", multipleOf=2)), {"option"}),
    ("maximum raised", "profiles", options("age", maximum=150), {"range-widened"}),
    ("maximum dropped", "profiles", options("age", maximum=...), {"range-widened"}),
    ("minimum raised", "profiles", options("age", minimum=18), {"range-narrowed"}),
    ("bound as a decimal", "profiles", options("age", minimum=16.0), {"same-meaning"}),
    ("a bound made inclusive", "items", options("list_price_usd", exclusiveMinimum=..., minimum=0), {"range-widened"}),
    ("longer texts", "profiles", options("given_name", maxLength=200), {"range-widened"}),
    ("shorter texts", "profiles", options("given_name", maxLength=50), {"range-narrowed"}),
    ("another pattern", "profiles", options("postal_code", pattern="^[0-9]{4,5}$"), {"pattern"}),
    ("pattern dropped", "profiles", of("postal_code", logicalTypeOptions=...), {"pattern"}),
    ("pattern promised", "profiles", options("city", pattern="^[A-Z]"), {"option-added"}),
    ("another format", "profiles", before(options("updated_at", format="a"), options("updated_at", format="b")), {"option"}),
    ("time zone dropped", "profiles", options("updated_at", timezone=True), {"option"}),
    ("time zone written out", "profiles", options("updated_at", defaultTimezone="Etc/UTC"), {"same-meaning"}),
    ("semantic type", "profiles", before(of("city", semanticType="city"), of("city", semanticType="region")), {"semantic-type"}),
    # quality
    ("rule removed", "profiles", drop(rules, 1), {"rule-removed"}),
    ("rule of a column removed", "profiles", of("gender", quality=...), {"rule-removed"}),
    ("rule added", "profiles", add(rules, {"metric": "rowCount", "mustBeGreaterThan": 10}), {"rule-added"}),
    ("rule renamed", "profiles", lambda d: rule(d, "has customers").update(name="not empty"), {"documentation"}),
    ("bound loosened", "profiles", lambda d: column(d, "phone")["quality"][0].update(mustBeLessThan=20), {"rule-loosened"}),
    ("bound tightened", "profiles", lambda d: column(d, "phone")["quality"][0].update(mustBeLessThan=5), {"rule-tightened"}),
    (
        "another operator that admits the same and more",
        "profiles",
        put(lambda d: rule(d, "has customers"), mustBeGreaterThan=..., mustBeGreaterOrEqualTo=0),
        {"rule-loosened"},
    ),
    ("rows become percent", "profiles", lambda d: rules(d)[1].update(unit="percent"), {"unit"}),
    ("severity lowered", "profiles", lambda d: rules(d)[0].update(severity="warning"), {"severity-lowered"}),
    ("severity raised", "profiles", lambda d: rules(d)[-1].update(severity="error"), {"severity-raised"}),
    ("severity left out", "profiles", lambda d: rules(d)[0].pop("severity"), {"same-meaning"}),
    ("another query", "profiles", lambda d: rules(d)[1].update(query="select 0"), {"rule-changed"}),
    ("blanks in a query", "profiles", lambda d: rules(d)[1].update(query=rules(d)[1]["query"].replace(" ", "  ")), {"same-meaning"}),
    ("another metric", "profiles", lambda d: rules(d)[0].update(metric="duplicateValues"), {"rule-changed"}),
    ("metric in the words of v3.0", "profiles", lambda d: rules(d)[0].update(rule=rules(d)[0].pop("metric")), {"same-meaning"}),
    ("unique over fewer columns", "items", lambda d: rules(d)[1]["arguments"]["properties"].pop(), {"rule-tightened"}),
    ("unique over more columns", "items", lambda d: rules(d)[1]["arguments"]["properties"].append("price_band"), {"rule-loosened"}),
    ("words of a rule", "profiles", lambda d: rules(d)[0].update(description="x"), {"documentation"}),
    ("relationship removed", "orders", of("customer_id", relationships=...), {"relationship-removed"}),
    ("relationship added", "orders", of("order_id", relationships=[{"to": "a.b.c.d"}]), {"relationship-added"}),
    (
        "no nulls, as a clause and no more as a rule",
        "profiles",
        before(quality("phone", NOT_NULL), as_clause("phone", required=True)),
        {"same-meaning"},
    ),
    (
        "no nulls, as a rule and no more as a clause",
        "profiles",
        both(of("email", required=...), quality("email", NOT_NULL)),
        {"same-meaning"},
    ),
    (
        "no nulls, as a warning only",
        "profiles",
        both(of("email", required=...), quality("email", {**NOT_NULL, "severity": "warning"})),
        {
            "column-optional",
            "rule-added",
        },
    ),
    (
        "unique, as a clause and no more as a rule",
        "profiles",
        before(quality("phone", NOT_TWICE), as_clause("phone", unique=True)),
        {"same-meaning"},
    ),
    (
        "valid values, as a clause and no more as a rule",
        "profiles",
        before(quality("city", VALID), as_clause("city", enum=["a", "b"])),
        {"same-meaning"},
    ),
    (
        "fewer valid values, in another clause",
        "profiles",
        before(quality("city", VALID), as_clause("city", enum=["a"])),
        {"rule-removed", "values-narrowed"},
    ),
    (
        "fewer than one null",
        "profiles",
        before(quality("phone", NOT_NULL), quality("phone", {"metric": "nullValues", "mustBeLessThan": 1})),
        {"same-meaning"},
    ),
    (
        "fewer than two nulls",
        "profiles",
        before(quality("phone", NOT_NULL), quality("phone", {"metric": "nullValues", "mustBeLessThan": 2})),
        {"rule-loosened"},
    ),
    (
        "one row or more, in place of more than none",
        "profiles",
        put(lambda d: rule(d, "has customers"), mustBeGreaterThan=..., mustBeGreaterOrEqualTo=1),
        {"same-meaning"},
    ),
    ("more than one percent, in place of more than none", "profiles", lambda d: rule(d, "has customers").update(unit="percent"), {"unit"}),
    ("a comment in a query", "profiles", lambda d: rules(d)[1].update(query=f"{rules(d)[1]['query']} -- of all"), {"same-meaning"}),
    (
        "a rule of another engine",
        "profiles",
        lambda d: rules(d)[1].update(type="custom", engine="soda", implementation="x"),
        {"rule-changed"},
    ),
    ("a rule in words only", "profiles", lambda d: rules(d)[1].update(type="text"), {"rule-changed"}),
    ("a relationship in the other notation", "orders", relation("customer.profiles.profiles.customer_id"), {"same-meaning"}),
    (
        "a relationship to another column",
        "orders",
        relation("customer.profiles.profiles.email"),
        {"relationship-removed", "relationship-added"},
    ),
    # service levels, retention, status, price
    ("24 h -> 1 d", "profiles", lambda d: level(d, "freshness").update(value=1, unit="d"), {"same-meaning"}),
    ("24 h -> '24' hours", "profiles", lambda d: level(d, "freshness").update(value="24", unit="hours"), {"same-meaning"}),
    ("a unit left out", "profiles", lambda d: level(d, "freshness").pop("unit"), {"level-changed"}),
    ("percent -> ratio", "profiles", lambda d: level(d, "availability").update(value=0.995, unit="ratio"), {"same-meaning"}),
    ("a year of retention in days", "profiles", before(kept(1, "y"), kept(365, "d")), {"same-meaning"}),
    ("a year of retention in months", "profiles", before(kept(12, "months"), kept(1, "y")), {"same-meaning"}),
    ("a year of retention in fewer days", "profiles", before(kept(1, "y"), kept(364, "d")), {"retention-shortened"}),
    ("two years of retention in days", "profiles", before(kept(730, "d"), kept(2, "y")), {"same-meaning"}),
    ("measured at other times", "profiles", lambda d: level(d, "freshness").update(schedule="0 0 * * *"), {"documentation"}),
    ("freshness of a day", "profiles", lambda d: level(d, "freshness").update(value=1440, unit="m"), {"same-meaning"}),
    (
        "freshness 1 h -> 24 h",
        "profiles",
        before(lambda d: level(d, "freshness").update(value=1), lambda d: level(d, "freshness").update(value=24)),
        {"level-loosened"},
    ),
    ("freshness halved", "profiles", lambda d: level(d, "freshness").update(value=12), {"level-tightened"}),
    ("freshness by unit only", "profiles", lambda d: level(d, "freshness").update(unit="d"), {"level-loosened"}),
    ("availability 99.5 -> 90", "profiles", lambda d: level(d, "availability").update(value=90), {"level-loosened"}),
    ("availability raised", "profiles", lambda d: level(d, "availability").update(value=99.9), {"level-tightened"}),
    ("service level removed", "profiles", drop(lambda d: d["slaProperties"], 1), {"level-removed"}),
    (
        "service level added",
        "profiles",
        add(lambda d: d["slaProperties"], {"property": "latency", "value": 4, "unit": "s"}),
        {"level-added"},
    ),
    (
        "measured elsewhere",
        "profiles",
        lambda d: level(d, "freshness").update(element="profiles.registered_at"),
        {"level-added", "level-removed"},
    ),
    (
        "a level that nothing knows",
        "profiles",
        before(add(lambda d: d["slaProperties"], {"property": "zeal", "value": 1}), lambda d: level(d, "zeal").update(value=2)),
        {"level-changed"},
    ),
    ("objective removed", "profiles", top(customProperties=...), {"level-removed"}),
    ("objective added", "profiles", before(top(customProperties=...), top(customProperties=OBJECTIVES)), {"level-added"}),
    ("objective of another level", "profiles", lambda d: objective(d).update(availability={"ratio": 1, "window": "30d"}), {"level-added"}),
    ("objective of a level itself lowered", "profiles", before(*(put_objective(ratio) for ratio in (0.8, 0.5))), {"level-loosened"}),
    (
        "objective moved into its level",
        "profiles",
        both(
            put_objective(0.8),
            lambda d: (level(d, "freshness")["customProperties"][0]["value"].update(window="20d"), d.pop("customProperties")),
        ),
        {"same-meaning"},
    ),
    ("objective moved into its level and lowered", "profiles", both(put_objective(0.5), top(customProperties=...)), {"level-changed"}),
    ("a note at a level", "profiles", lambda d: level(d, "freshness").update(customProperties=[custom("note", "x")]), {"unknown"}),
    ("objective lowered", "profiles", lambda d: objective(d)["freshness"].update(ratio=0.5), {"level-loosened"}),
    ("objective raised", "profiles", lambda d: objective(d)["freshness"].update(ratio=0.9), {"level-tightened"}),
    ("objective over another window", "profiles", lambda d: objective(d)["freshness"].update(window="5d"), {"level-changed"}),
    (
        "retention removed",
        "profiles",
        before(
            add(lambda d: d["slaProperties"], {"property": "retention", "value": 3, "unit": "y"}), drop(lambda d: d["slaProperties"], -1)
        ),
        {"retention-shortened"},
    ),
    (
        "retention shortened",
        "profiles",
        before(
            add(lambda d: d["slaProperties"], {"property": "retention", "value": 3, "unit": "y"}),
            lambda d: level(d, "retention").update(value=300, unit="d"),
        ),
        {"retention-shortened"},
    ),
    (
        "retention extended",
        "profiles",
        before(
            add(lambda d: d["slaProperties"], {"property": "retention", "value": 3, "unit": "y"}),
            lambda d: level(d, "retention").update(value=5),
        ),
        {"retention-extended"},
    ),
    ("active -> deprecated", "profiles", top(status="deprecated"), {"deprecated"}),
    ("active -> retired", "profiles", top(status="retired"), {"retired"}),
    ("deprecated -> retired", "profiles", before(top(status="deprecated"), top(status="retired")), {"retired"}),
    ("deprecated -> active", "profiles", before(top(status="deprecated"), top(status="active")), {"status-forward"}),
    ("an end of support", "profiles", life(endOfSupport="2027-06-30"), {"deprecated"}),
    ("an earlier end of support", "profiles", before(life(endOfSupport="2027-06-30"), life(endOfSupport="2027-01-31")), {"level-loosened"}),
    ("a later end of support", "profiles", before(life(endOfSupport="2027-06-30"), life(endOfSupport="2027-12-31")), {"level-tightened"}),
    ("a successor named", "profiles", life(successor="customer.profiles.profiles_v2"), {"documentation"}),
    ("fewer publications kept", "profiles", before(life(keepPublications=9), life(keepPublications=2)), {"storage"}),
    ("active -> draft", "profiles", top(status="draft"), {"status-withdrawn"}),
    ("draft -> active", "profiles", before(top(status="draft"), top(status="active")), {"status-forward"}),
    ("column deprecated", "profiles", of("city", deprecated=True), {"deprecated"}),
    ("price introduced", "profiles", top(price={"priceAmount": 5}), {"price-raised"}),
    ("price raised", "profiles", before(top(price={"priceAmount": 5}), top(price={"priceAmount": 6})), {"price-raised"}),
    ("price lowered", "profiles", before(top(price={"priceAmount": 5}), top(price={"priceAmount": 4})), {"price-lowered"}),
    # who may see what
    ("PII classification lowered", "profiles", of("email", classification="internal"), {"classification-lowered"}),
    ("classification left out", "profiles", of("city", classification=...), {"classification-lowered"}),
    ("classification raised to masked", "profiles", of("city", classification="restricted"), {"classification-masks"}),
    ("classification raised, still open", "items", of("model", classification="internal"), {"classification-raised"}),
    ("a class that nothing ranks", "profiles", of("city", classification="tier-3"), {"classification-unknown"}),
    ("pii tag removed", "profiles", of("given_name", tags=[]), {"personal-tag-removed"}),
    ("pii tag left out", "profiles", of("given_name", tags=...), {"personal-tag-removed"}),
    ("pii tag added", "profiles", of("city", tags=["pii"]), {"classification-masks"}),
    ("another tag removed", "profiles", top(tags=["crm"]), {"tag-removed"}),
    ("another tag added", "profiles", top(tags=["retail", "crm", "b2c"]), {"tag-added"}),
    ("role removed", "profiles", drop(lambda d: d["roles"], 1), {"role-removed"}),
    ("role added", "profiles", add(lambda d: d["roles"], {"role": "auditor"}), {"role-added"}),
    ("role that writes", "profiles", lambda d: d["roles"][0].update(access="write"), {"role-access"}),
    ("roles in another order", "profiles", lambda d: d["roles"].reverse(), {"order"}),
    ("a domain more may read", "profiles", before(domains("a"), domains("a", "b")), {"role-added"}),
    ("a domain less may read", "profiles", before(domains("a", "b"), domains("a")), {"role-access"}),
    ("only some domains may read", "profiles", domains("a"), {"role-access"}),
    ("a mask of its own", "profiles", of("language", customProperties=[custom("mask", None)]), {"own-mask"}),
    (
        "columns with swapped names",
        "profiles",
        lambda d: (of("city", name="x")(d), of("email", name="city")(d), of("x", name="email")(d)),
        {
            "classification-lowered",
            "classification-masks",
            "column-not-unique",
            "column-optional",
            "column-required",
            "column-unique",
            "documentation",
            "option-added",
            "order",
            "pattern",
            "personal-tag-removed",
            "protection",
            "tag-added",
            "tag-removed",
        },
    ),
    ("other approvers", "profiles", lambda d: d["roles"][0].update(firstLevelApprovers="x"), {"role-approvers"}),
    (
        "retention as a custom property",
        "profiles",
        before(
            top(customProperties=[*OBJECTIVES, custom("retention", "30d")]), top(customProperties=[*OBJECTIVES, custom("retention", "60d")])
        ),
        {"retention-extended"},
    ),
    ("row filter", "profiles", put(table, customProperties=[custom("rowFilter", "country = 'PT'")]), {"protection"}),
    # place, people, words
    ("server introduced", "profiles", top(servers=[SERVER]), {"server-added"}),
    ("server schema changed", "profiles", before(top(servers=[SERVER]), top(servers=[{**SERVER, "schema": "crm"}])), {"location"}),
    ("server removed", "profiles", before(top(servers=[SERVER]), top(servers=[])), {"server-removed"}),
    ("partitioned", "profiles", of("city", partitioned=True), {"storage"}),
    ("filled by another model", "profiles", put(table, customProperties=[custom("model", "people")]), {"model-source"}),
    ("an unknown custom property", "profiles", top(customProperties=[*OBJECTIVES, custom("cost centre", 7)]), {"unknown"}),
    ("a key of a later standard", "profiles", top(lineageOf=["a"]), {"unknown"}),
    ("purpose", "profiles", lambda d: d["description"].update(purpose="x"), {"documentation"}),
    ("another owner", "profiles", lambda d: d["team"]["members"][0].update(username="x@example.com"), {"ownership"}),
    ("support elsewhere", "profiles", lambda d: d["support"][0].update(url="https://example.com/new"), {"ownership"}),
    ("version only", "profiles", top(version="1.0.1"), {"version"}),
    ("standard's version", "profiles", top(apiVersion="v3.0.2"), {"documentation"}),
    # nested columns count as columns
    (
        "field of an object column removed",
        "profiles",
        before(
            add(columns, {"name": "o", "logicalType": "object", "properties": [{"name": "a", "logicalType": "string"}, {"name": "b"}]}),
            lambda d: columns(d)[-1]["properties"].pop(),
        ),
        {"column-removed"},
    ),
    # products
    ("port removed", "product", lambda d: d["outputPorts"].pop(), {"port-removed"}),
    (
        "port added",
        "product",
        add(lambda d: d["outputPorts"], {"name": "x", "version": "1.0.0", "contractId": "sales.orders.x"}),
        {"port-added"},
    ),
    ("port with another contract", "product", lambda d: d["outputPorts"][0].update(contractId="sales.orders.x"), {"port-contract"}),
    ("port as files", "product", lambda d: d["outputPorts"][0].update(type="files"), {"location"}),
    ("input removed", "product", lambda d: d["inputPorts"].pop(), {"lineage"}),
    ("input in clear", "product", lambda d: d["inputPorts"][2].update(customProperties=[custom("personalData", True)]), {"personal-input"}),
    ("product retired", "product", top(status="retired"), {"retired"}),
    ("product's purpose", "product", lambda d: d["description"].update(purpose="x"), {"documentation"}),
    ("owner left", "product", lambda d: d["team"]["members"][0].update(username="y@example.com"), {"ownership"}),
]
OF_WHOLE_FILES = {
    *("product-added", "product-removed", "contract-added", "contract-removed", "retired-removed"),
    *("model-added", "model-changed", "model-removed", "model-unused-removed", "project-changed"),
}
OF_POLICIES = {  # see test_compare_policies
    *("mask-removed", "mask-weakened", "mask-stricter", "policy-unseen", "column-shown", "column-hidden", "rows-hidden", "rows-shown"),
    *("access-ended", "access-narrowed", "access-given", "access-widened", "access-asked", "team-changed"),
}


@pytest.fixture(scope="module")
def originals(repo: Path) -> dict[str, Document]:
    return {name: load_yaml(repo / path).data for name, path in FILES.items()}


def _nothing(_: Document) -> None:
    """The demonstration as it is."""


@pytest.mark.parametrize(("file", "change", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_change_gets_its_ruling(
    originals: dict[str, Document], file: str, change: Mutation | tuple[Mutation, Mutation], expected: set[str]
) -> None:
    old = copy.deepcopy(originals[file])
    steps = change if isinstance(change, tuple) else (_nothing, change)
    steps[0](old)
    new = copy.deepcopy(old)
    steps[1](new)
    assert {found.ruling.name for found in judged(old, new)} == expected
    assert list(judged(old, old)) == [] == list(judged(new, new))


def test_the_table_is_large_and_reaches_every_ruling() -> None:
    assert len(TABLE) >= 100
    reached = {name for row in TABLE for name in row[3]}
    assert reached | OF_WHOLE_FILES | OF_POLICIES == set(RULINGS)


@pytest.mark.parametrize(
    "row",
    [
        "PII classification lowered",
        "pii tag removed",
        "role removed",
        "availability 99.5 -> 90",
        "retention removed",
        "server schema changed",
        "active -> retired",
    ],
)
def test_what_other_tools_grade_as_information_is_breaking(row: str) -> None:
    """datacontract-cli 1.2.8 reports each of these as mere information."""
    (expected,) = [rulings for name, _, _, rulings in TABLE if name == row]
    assert {RULINGS[name].verdict for name in expected} == {"breaking"}


def test_every_verdict_has_a_reason_and_a_step() -> None:
    for ruling in RULINGS.values():
        assert ruling.reason.endswith(".") and ruling.reason.count(". ") == 0
        assert ruling.step == "none" or ruling.step == {"breaking": "major", "additive": "minor", "cosmetic": "patch"}[ruling.verdict]


def test_the_documentation_shows_the_catalogue(repo: Path) -> None:
    assert rulings_table() in (repo / "docs" / "gate.md").read_text(), "write the table of rulings_table() into it"


NASTY: list[Any] = ["", "NO", "2026-01-31", "1e999", "\x00", "é" * 70, "1.0.0", 10**400, float("nan"), float("inf"), -0.0, "99 %", "pii"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(NASTY) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["property", "value", "name", "role", "priceAmount", "metric", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in [(*above, key), *paths(inner, (*above, key))]]


def mutated(data: st.DataObject, document: Document) -> Document:
    document = copy.deepcopy(document)
    place = data.draw(st.sampled_from(paths(document)))
    parent: Any = document
    for step in place[:-1]:
        parent = parent[step]
    how = data.draw(st.sampled_from(["set", "delete", "double", "add"]))
    if how == "delete":
        del parent[place[-1]]
    elif how == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[place[-1]]))
    elif how == "add" and isinstance(parent, dict):
        known = sorted({str(path[-1]) for path in paths(document) if isinstance(path[-1], str)})
        parent[data.draw(st.sampled_from(known) | st.text(max_size=5))] = data.draw(JSON)
    else:
        parent[place[-1]] = data.draw(JSON)
    return document


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_change_of_any_clause_is_reported_and_none_is_a_traceback(originals: dict[str, Document], data: st.DataObject) -> None:
    old = originals[data.draw(st.sampled_from(sorted(originals)))]
    if data.draw(st.booleans()):
        old = mutated(data, old)
    new = mutated(data, old)
    found, back = list(judged(old, new)), list(judged(new, old))
    assert bool(found) == bool(back) == (repr(old) != repr(new) and not _equal(old, new))
    assert all(one.ruling.name in RULINGS and one.difference.path for one in [*found, *back])
    assert list(judged(new, copy.deepcopy(new))) == []


def _equal(left: Any, right: Any) -> bool:
    """Equality of plain data as text tells it: the order of a mapping's keys means nothing."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return repr(left) == repr(right)
