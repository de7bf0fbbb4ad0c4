"""Whether a domain or a product may bear a name: in Postgres, in Python, in Kubernetes, and beside the names that are there."""

from __future__ import annotations

import keyword
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping

from platform_core.contracts import naming
from platform_core.contracts.model import Mesh
from platform_core.transformation.project import TransformationError

_SHAPE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_DOMAIN_LENGTH = 30  # deploy/chart/values.schema.json: names of Kubernetes objects are made of it
_RESERVED = {
    **dict.fromkeys(("platform", "webserver", "daemon", "unassigned", "workspace", "instance", "environment"), "a part of the deployment"),
    **dict.fromkeys(naming.AIRBYTE_SHARED, "a folder of airbyte/"),
    **dict.fromkeys(("mesh", "public", "postgres", "information_schema"), "a schema or role of the database"),
    **dict.fromkeys(("dagster", "dbt", "datahub", "domains", "tests", "conftest"), "a Python package of the platform"),
}
_RESERVED_PRODUCTS = {"raw": "the schema of ingestion", "build": "the schema of dbt", "data": "the schema of published versions"}
_RESERVED_FOLDERS = {"transformation": "the folder of the domain's dbt project", "assets": "the folder of the domain's Python assets"}
_SUFFIXES = ("_raw", "_build", "_data")


def check_domain_name(name: str, mesh: Mesh, locked: Iterable[str] = ()) -> None:
    """Raises for a name that a new domain cannot have.

    Args:
        name: The wanted name.
        mesh: What is there already; the domain itself may be among it.
        locked: Names of the packages in the lock: two of one name cannot be installed.

    Raises:
        TransformationError: What is wrong with it, and what to write instead.
    """
    _check_shape(name, "domain", "finance")
    if len(name) > _DOMAIN_LENGTH:
        remedy = f"shorten it to {_DOMAIN_LENGTH} characters: names of Kubernetes objects and roles are made of it"
        raise TransformationError(f"the domain name {name!r} is {len(name)} characters long", remedy=remedy)
    if name in _RESERVED or name.startswith("pg_"):
        what = _RESERVED.get(name, "a schema that Postgres keeps for itself")
        raise TransformationError(f"the domain name {name!r} is reserved: it is {what}", remedy="choose another name")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in sys.stdlib_module_names:
        raise TransformationError(
            f"the domain name {name!r} is a word or a module of Python", remedy="choose another name: it is a package"
        )
    if name not in mesh.domains and name.replace("_", "-") in {package.replace("_", "-") for package in locked}:
        raise TransformationError(f"the domain name {name!r} is that of a Python package in uv.lock", remedy="choose another name")
    _check_schemas(schemas_of_domain(name), f"domain {name!r}", {key: value for key, value in _owners(mesh).items() if value != name})


def check_product_name(domain: str, name: str, mesh: Mesh) -> None:
    """Raises for a name that a new product of the domain cannot have; as ``check_domain_name``."""
    _check_shape(name, "product", "invoices")
    product_id = f"{domain}.{name}"
    if name in _RESERVED_PRODUCTS:
        raise TransformationError(f"the product name {name!r} is reserved: it is {_RESERVED_PRODUCTS[name]}", remedy="choose another name")
    if name in _RESERVED_FOLDERS:
        raise TransformationError(f"the product name {name!r} is reserved: it is {_RESERVED_FOLDERS[name]}", remedy="choose another name")
    longest = naming.pii_reader_role(product_id)
    if len(longest) > naming.IDENTIFIER_BYTES:
        over = len(longest) - naming.IDENTIFIER_BYTES
        raise TransformationError(
            f"the role {longest!r} of the product {product_id!r} would be longer than {naming.IDENTIFIER_BYTES} bytes",
            remedy=f"shorten the name by {over} characters",
        )
    if product_id in mesh.products or product_id in mesh.broken:
        raise TransformationError(f"there is a product {product_id!r} already, and nothing is overwritten", remedy="choose another name")
    _check_schemas(schemas_of_product(product_id), f"product {product_id!r}", _owners(mesh))


def check_table_name(name: str) -> str:
    """The name, when a port's table and its model may bear it.

    Raises:
        TransformationError: It is no identifier of the platform.
    """
    if not _SHAPE.fullmatch(name) or len(name) > naming.IDENTIFIER_BYTES:
        remedy = f"use lower-case letters, digits and single underscores, a letter first: {fitting(name, 'orders')[:40]}"
        raise TransformationError(f"{name!r} is not a name of a table", remedy=remedy)
    return name


def schemas_of_domain(domain: str) -> tuple[str, ...]:
    """Schemas that a domain brings by itself."""
    return naming.raw_schema(domain), naming.build_schema(domain)


def schemas_of_product(product_id: str) -> tuple[str, ...]:
    """Schemas that a product brings."""
    return naming.port_schema(product_id), naming.data_schema(product_id)


def locked_packages(lock: str) -> list[str]:
    """Names of the packages in the text of a ``uv.lock``, members of the workspace left out."""
    document = tomllib.loads(lock)
    members = set(document.get("manifest", {}).get("members", ()))
    return [package["name"] for package in document.get("package", ()) if package["name"] not in members]


def fitting(text: str, fallback: str) -> str:
    """The nearest name that is allowed for any text: lower case, everything else an underscore; ``fallback`` when nothing is left."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    if not plain:
        return fallback
    return plain if plain[0].isalpha() else f"{fallback}_{plain}"


def _check_shape(name: str, kind: str, example: str) -> None:
    if not _SHAPE.fullmatch(name):
        nearest = fitting(name, example)
        remedy = f"use lower-case letters, digits and single underscores, a letter first: {nearest}"
        raise TransformationError(f"{name!r} is not a name of a {kind}", remedy=remedy)
    if any(name.endswith(suffix) for suffix in _SUFFIXES):
        remedy = f"choose a name without the ending: {', '.join(_SUFFIXES)} are endings of schemas"
        raise TransformationError(f"the {kind} name {name!r} ends as a schema of the platform", remedy=remedy)


def _owners(mesh: Mesh) -> dict[str, str]:
    """Every schema of the mesh to the domain or product that has it."""
    found = {schema: domain for domain in mesh.domains for schema in schemas_of_domain(domain)}
    for product_id in (*mesh.products, *mesh.broken):
        found |= dict.fromkeys(schemas_of_product(product_id), product_id)
    return found


def _check_schemas(schemas: Iterable[str], what: str, owners: Mapping[str, str]) -> None:
    for schema in schemas:
        if schema in owners:
            message = f"the {what} and {owners[schema]!r} would share the schema {schema!r}"
            raise TransformationError(message, remedy="choose another name")
