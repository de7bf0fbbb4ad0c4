"""Ways to change a contract or product of the demonstration: the words in which the gate's table speaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
