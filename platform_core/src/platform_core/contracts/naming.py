"""Every derived name of the mesh: asset keys, schemas, relations, roles, catalog URNs. Nothing else in the platform builds one.

Source: shared design, "Names". Postgres cuts identifiers at 63 bytes, so a name is checked before it is used.
"""

from __future__ import annotations

import re

IDENTIFIER_BYTES = 63
DATABASE = "mesh"
PLATFORM_ROLE = "mesh_platform"
PLATFORM_SCHEMA = "mesh"
MASK_PASS = "mask_pass"  # noqa: S105 - the name of a view
"""View of the platform's schema with what hashed columns need; see ``publishing/schema.sql``."""
KEEPER_ROLE = "mesh_keeper"
"""Role (no login) that owns what others read, versions and port views: no domain's role can change it."""
QUERY_ROLE_PREFIX = "mesh_query_"
"""Begin of a login's name, the database's oid follows: where the platform's role is a superuser this one reads, and can do nothing else."""
NAME = re.compile(r"[a-z][a-z0-9_]*")
AIRBYTE_SHARED = ("locks", "manifests")
"""Folders of ``airbyte/`` that are no domain's."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-@")

ColumnName = tuple[str, str, str]
"""Schema, table and column of the warehouse."""
Key = tuple[str, ...]


def raw_schema(domain: str) -> str:
    """Schema of the tables that ingestion loads."""
    return f"{domain}_raw"


def build_schema(domain: str) -> str:
    """Schema in which dbt and Python assets build."""
    return f"{domain}_build"


def port_schema(product_id: str) -> str:
    """Schema of the views that consumers read, for a product id ``<domain>.<product>``."""
    return product_id.replace(".", "_")


def data_schema(product_id: str) -> str:
    """Schema of the immutable published versions, hidden from consumers."""
    return f"{port_schema(product_id)}_data"


def version_table(table: str, publication: str) -> str:
    """Name of one published version of a port table: ``<table>__<publication>``, cut to Postgres' limit from the left part."""
    room = IDENTIFIER_BYTES - len(f"__{publication}".encode())
    return f"{table.encode()[:room].decode(errors='ignore')}__{publication}"


def owner_role(domain: str) -> str:
    """Role (no login) that owns what the domain loads and builds."""
    return f"{domain}_owner"


def job_role(domain: str) -> str:
    """Login role of the domain's runs; a member of the owner role."""
    return f"{domain}_job"


def reader_role(product_id: str) -> str:
    """Role whose members read the product's ports, personal data masked."""
    return f"{port_schema(product_id)}_reader"


def pii_reader_role(product_id: str) -> str:
    """Role whose members read the product's ports with personal data in clear."""
    return f"{reader_role(product_id)}_pii"


def domain_principal(domain: str) -> str:
    """A domain as one who may be given access."""
    return f"domain:{domain}"


def principal_role(principal: str) -> str:
    """The Postgres role of a principal: a domain's owner role, or the role that is named."""
    kind, _, name = principal.partition(":")
    return owner_role(name) if kind == "domain" else name


def access_file(contract_id: str, principal: str) -> str:
    """Name of the file that holds a principal's requests for a port: ``<contract id>.<kind>-<name>.yaml``.

    Characters of a role's name that not every file system tells apart are written as ``%`` and two digits of base 16 a byte.
    """
    kind, _, name = principal.partition(":")
    plain = (chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in name.encode())
    return f"{contract_id}.{kind}-{''.join(plain)}.yaml"


def raw_key(domain: str, stream: str) -> Key:
    """Asset key of a raw stream."""
    return (domain, "raw", stream)


def build_key(domain: str, model: str) -> Key:
    """Asset key of a dbt model or a Python asset that feeds a port."""
    return (domain, "build", model)


def port_key(product_id: str, table: str) -> Key:
    """Asset key of an output port's table."""
    return (*product_id.split("."), table)


def product_of(key: Key) -> str | None:
    """The product whose port an asset key belongs to; None for raw streams and what is built."""
    return None if len(key) != 3 or key[1] in {"raw", "build"} else f"{key[0]}.{key[1]}"


def relation_key(schema: str, table: str, port_schemas: dict[str, str]) -> Key | None:
    """Asset key of a relation, the inverse of the schema names above.

    Args:
        schema: Schema of the relation.
        table: Table or view.
        port_schemas: Port schema to product id, for the whole mesh (see ``Mesh.port_schemas``).

    Returns:
        The key, or None for a relation that the mesh does not own.
    """
    if schema in port_schemas:
        return port_key(port_schemas[schema], table)
    for suffix, key in (("_raw", raw_key), ("_build", build_key)):
        if schema.endswith(suffix):
            return key(schema.removesuffix(suffix), table)
    return None


def dataset_urn(schema: str, table: str, env: str = "PROD") -> str:
    """DataHub URN of a Postgres relation, as DataHub's own Postgres source names it."""
    return f"urn:li:dataset:(urn:li:dataPlatform:postgres,{DATABASE}.{schema}.{table},{env})"


def data_product_urn(product_id: str) -> str:
    """DataHub URN of a data product."""
    return f"urn:li:dataProduct:{product_id}"


def domain_urn(domain: str) -> str:
    """DataHub URN of a business domain."""
    return f"urn:li:domain:{domain}"
