"""Rollback: a port serves a former publication again, at once, without a rebuild."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import Connection, errors

from platform_core import quality
from platform_core.contracts import naming
from platform_core.contracts.model import Contract
from platform_core.publishing import history
from platform_core.publishing.errors import PublishingError
from platform_core.publishing.history import Publication
from platform_core.publishing.seal import keep
from platform_core.publishing.switch import serve, switch
from platform_core.warehouse import Warehouse


@dataclass(frozen=True)
class RolledBack:
    """What a rollback did.

    Attributes:
        contract_id: The port.
        left: The publication that was served before.
        publication: The one that is served now.
        rows: Its rows by table, as counted when it was audited.
        seconds: How long the port's switch took, waiting for readers included.
    """

    contract_id: str
    left: str
    publication: str
    rows: dict[str, int | None]
    seconds: float


Announce = Callable[[Connection, RolledBack], None]


def rollback(
    warehouse: Warehouse,
    contract: Contract,
    readers: tuple[str, ...],
    to: str | None = None,
    *,
    actor: str,
    reason: str | None = None,
    announce: Announce | None = None,
) -> RolledBack:
    """Points the port at a former publication. It waits for no audit: a publication under way goes forward when its audit holds.

    Args:
        warehouse: Reached as the contract's domain.
        contract: The port.
        readers: Roles that may read it.
        to: The publication. By default the newest one before what is served that shows other versions and that no rollback has left.
        actor: Who asks, for the record.
        reason: Why, for the record.
        announce: Called in the transaction that switches the port, to record what follows from it.

    Raises:
        PublishingError: There is no such publication, its data is gone, its shape or major version is not the contract's, the port was
            switched by somebody else meanwhile, or readers hold it.
    """
    with warehouse.connect_domain(contract.domain, autocommit=True) as connection:
        known = [row for row in history.publications(connection, contract.id, limit=None) if row.state == "published"]
        current = next((row for row in known if row.served), None)
        if current is None:
            raise PublishingError("the port serves nothing yet", where=contract.id, remedy="publish it first")
        target = _named(contract, known, to) if to else _before(contract, known, current, history.left(connection, contract.id))
        _fits(connection, contract, target, known)
        versions = {name: str(info["version"]) for name, info in target.tables.items()}
        began = time.monotonic()
        done = RolledBack(
            contract.id, current.publication, target.publication, {name: info.get("rows") for name, info in target.tables.items()}, 0.0
        )

        def record() -> None:
            serve(
                connection,
                contract,
                target.publication,
                action="rollback",
                actor=actor,
                reason=reason,
                instead_of=current.publication,
            )
            if announce is not None:
                announce(connection, done)

        try:
            keep(connection, contract, versions.values())  # sealed by a version of the platform that had no keeper
            switch(connection, contract, readers, versions, record)
        except errors.UndefinedTable as error:  # retention was faster
            raise _gone(contract, target, known) from error
        return RolledBack(done.contract_id, done.left, done.publication, done.rows, time.monotonic() - began)


def _before(contract: Contract, known: list[Publication], current: Publication, left: frozenset[str]) -> Publication:
    older = [row for row in known if row.publication < current.publication and row.versions != current.versions]
    target = next((row for row in older if row.publication not in left and row.kept), None)
    if target is None:
        raise PublishingError("there is no publication before the served one", where=contract.id, remedy=_choice(known))
    return target


def _named(contract: Contract, known: list[Publication], to: str) -> Publication:
    target = next((row for row in known if row.publication == to), None)
    if target is None:
        raise PublishingError(f"there is no publication {to}", where=contract.id, remedy=_choice(known))
    if target.served:
        raise PublishingError(f"the port serves {to} already", where=contract.id, remedy=_choice(known))
    return target


def _choice(known: list[Publication]) -> str:
    standing = [row.publication for row in known if row.kept and not row.served]
    return f"choose one of: {', '.join(standing)}" if standing else "no former publication is kept; correct the model and publish anew"


def _gone(contract: Contract, target: Publication, known: list[Publication]) -> PublishingError:
    others = [row for row in known if row.publication != target.publication]
    return PublishingError(f"the data of {target.publication} is gone: retention has dropped it", where=contract.id, remedy=_choice(others))


def _fits(connection: Connection, contract: Contract, target: Publication, known: list[Publication]) -> None:
    """Raises unless the port's views can show the publication and keep the contract."""
    if not target.kept:
        raise _gone(contract, target, known)
    remedy = f"correct the model and publish anew, or check out the files of version {target.contract_version} and roll back with them"
    if target.contract_version.partition(".")[0] != contract.version.partition(".")[0]:
        raise PublishingError(
            f"{target.publication} was published for version {target.contract_version}, the contract promises {contract.version}",
            where=contract.id,
            remedy=remedy,
        )
    data = naming.data_schema(contract.product_id)
    found: list[str] = []
    for table in contract.tables:
        info = target.tables.get(table.physical_name)
        if info is None:
            found.append(f"it has no table {table.physical_name}")
        else:
            found += [problem.message for problem in quality.check_shape(connection, table, (data, str(info["version"])))]
    if found:
        raise PublishingError(
            f"{target.publication} has another shape than version {contract.version} promises: {'; '.join(found)}",
            where=contract.id,
            remedy=remedy,
        )
