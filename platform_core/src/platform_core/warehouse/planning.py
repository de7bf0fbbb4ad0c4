"""The plan: every step from what is there to what the files declare, in the order in which it is to be taken. Nothing is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from platform_core.contracts import naming
from platform_core.contracts.model import Mesh
from platform_core.warehouse import difference
from platform_core.warehouse.change import Change
from platform_core.warehouse.declared import Declared, declare, read_record
from platform_core.warehouse.made import made
from platform_core.warehouse.observed import Observed, observe
from platform_core.warehouse.platform_tables import foreign_tables, platform_changes, platform_files, upgraded
from platform_core.warehouse.reading import READS_ALL
from platform_core.warehouse.removal import removals

Source = Callable[[Connection, Mesh], Iterable[Change]]
"""Steps of another plane, for instance of the views of ports; asked in a constant number of round trips."""


@dataclass(frozen=True)
class Planned:
    """A plan with what it is based on.

    Attributes:
        steps: In order; those of a domain make one transaction.
        declared: What the files say.
        found: What was there.
        state: Hash of what was found and of the steps: a plan that is applied later must meet the same.
    """

    steps: tuple[Change, ...]
    declared: Declared
    found: Observed
    state: str


def make_plan(connection: Connection, mesh: Mesh, sources: Iterable[Source] = (), *, now: datetime | None = None) -> Planned:
    """Compares the files with the warehouse, in a number of round trips that no number of products changes.

    Args:
        connection: As the platform's role.
        mesh: The files.
        sources: Other planes' steps, taken after ours.
        now: The moment at which access that ends is judged; the present by default.

    Raises:
        WarehouseError: Two products would share a schema or role.
    """
    files = platform_files()
    with connection.transaction():
        path = _search_path(connection, "")
        recorded = read_record(connection) if made(connection, "declared") else {}
        declared = declare(mesh, connection.info.dbname, files.shared, recorded, now)
        schemas = {*declared.access.schemas, *(item[1] for item in recorded if item[0] == "schema")}
        owners = {*declared.access.schemas.values(), *(item[1] for item in recorded if item[0] == "role")}
        found = observe(connection, schemas, owners, naming.PLATFORM_SCHEMA)
        anew = upgraded(connection, files, recorded)
        steps = [
            *difference.roles(declared, found),
            *platform_changes(connection, files, found, recorded),
            *difference.memberships(declared, found),
            *difference.schemas(declared, found, upgraded=anew),
            *difference.defaults(declared, found),
            *difference.privileges(declared, found),
            *foreign_tables(files, found, upgraded=anew),
            *removals(connection, mesh, declared, found),
        ]
        _search_path(connection, path)
        for source in sources:
            steps += source(connection, mesh)
    steps.sort(key=lambda step: step.domain)  # in the order of their transactions; within one, as they were found
    return Planned(tuple(steps), declared, found, _state(steps, found, declared.access.versions))


def fingerprint(steps: Iterable[Change]) -> str:
    """Hash of what steps would do."""
    digest = hashlib.sha256()
    for step in steps:
        text = step.statement.as_string(None) if step.statement is not None else ""
        digest.update(repr((step.domain, step.product, str(step), step.kind, step.prune, step.detail, text)).encode())
    return digest.hexdigest()[:32]


def _state(steps: Iterable[Change], found: Observed, versions: frozenset[str]) -> str:
    """Publications come and go while a plan waits: versions are no part of the state, unless a step is about them.

    Nor is a login that was made to look at something, see ``reading``, as long as it is what that makes.
    """
    looking = {name for name, state in found.roles.items() if name.startswith(naming.QUERY_ROLE_PREFIX) and not state.powers}
    access = (
        sorted(each for each in found.memberships if each.member not in looking or each.role != READS_ALL),
        sorted(found.schemas.items()),
        sorted(
            item for item in found.privileges if item.schema not in versions and (item.kind != "database" or item.grantee not in looking)
        ),
        sorted(found.defaults),
        sorted(found.policies),
        sorted((name, state.login, sorted(state.powers)) for name, state in found.roles.items() if name not in looking),
    )
    return hashlib.sha256(f"{fingerprint(steps)}{access!r}".encode()).hexdigest()[:32]


def _search_path(connection: Connection, value: str) -> str:
    """Sets the path for this transaction; names that Postgres prints are complete with an empty one. Returns the former."""
    row = connection.execute("SELECT current_setting('search_path'), set_config('search_path', %s, true)", (value,)).fetchone()
    assert row is not None
    return str(row[0])
