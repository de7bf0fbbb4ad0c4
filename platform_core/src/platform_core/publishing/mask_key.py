"""The key of hashed columns from the environment, for warehouses whose hashes are to be the same, or whose key is kept elsewhere."""

from __future__ import annotations

from platform_core.publishing.errors import PublishingError
from platform_core.warehouse import Warehouse

SHORTEST = 16
"""Bytes that a key has at least."""


def use_mask_key(warehouse: Warehouse, secret: str | None) -> bool:
    """Makes a secret the key; without one the key stays as it is (at first a random one).

    The secret travels as the data of a COPY, which Postgres logs nowhere, neither as a statement nor as a parameter.

    Args:
        warehouse: Reached as the platform's role.
        secret: ``MESH_MASK_KEY``.

    Returns:
        Whether it was another key before: then every hash is another one from now on.

    Raises:
        PublishingError: The secret is too short.
    """
    if secret is None:
        return False
    if len(secret.encode()) < SHORTEST:
        remedy = "make one: openssl rand -base64 32"
        raise PublishingError(f"the key has {len(secret.encode())} bytes, fewer than {SHORTEST}", where="MESH_MASK_KEY", remedy=remedy)
    with warehouse.connect_platform() as connection:
        connection.execute("CREATE TEMPORARY TABLE given_mask_key (secret bytea) ON COMMIT DROP")
        with connection.cursor().copy("COPY given_mask_key FROM STDIN") as copy:
            copy.write_row((secret.encode(),))
        row = connection.execute("SELECT mesh.set_mask_key(secret) FROM given_mask_key").fetchone()
        return bool(row and row[0])
