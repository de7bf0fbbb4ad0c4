"""The table of products that ``up`` and ``status`` end with, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from platform_core.cli.listing import listing
from platform_core.cli.session import Session
from platform_core.contracts import naming
from platform_core.publishing import Publication, Switch, rejected, rollbacks, served, served_checks


def products(session: Session) -> list[dict[str, Any]]:
    """What every port of the mesh serves, in the documented JSON form."""
    with session.warehouse.connect_platform(autocommit=True) as connection:
        ports, refused, back = served(connection), rejected(connection), rollbacks(connection)
        checks = served_checks(connection)
    return [
        {
            "id": product.id,
            "version": product.version,
            "ports": [
                _port(table.physical_name, port.contract_id, ports.get(port.contract_id), refused.get(port.contract_id), checks)
                | {"rolled_back": _back(back.get(port.contract_id))}
                for port in product.outputs
                for table in port.contract.tables
            ],
        }
        for _, product in sorted(session.mesh.products.items())
    ]


def _port(
    table: str,
    contract_id: str,
    publication: Publication | None,
    refused: Publication | None,
    checks: Mapping[tuple[str, str], tuple[int, int]],
) -> dict[str, Any]:
    passed, failed = checks.get((contract_id, table), (0, 0))
    served_at = publication.decided_at if publication else None
    return {
        "table": table,
        "relation": f"{naming.port_schema(contract_id.rpartition('.')[0])}.{table}",
        "rows": publication.tables[table].get("rows") if publication and table in publication.tables else None,
        "publication": publication.publication if publication else None,
        "published_at": served_at.astimezone(UTC).isoformat() if served_at else None,
        "checks_passed": passed,
        "checks_failed": failed,
        "contract": contract_id,
        "contract_version": publication.contract_version if publication else None,
        "rejected": refused.publication if refused else None,
    }


def _back(change: Switch | None) -> dict[str, str | None] | None:
    return {"from": change.from_publication, "by": change.actor, "reason": change.reason} if change else None


def render(listed: list[dict[str, Any]]) -> Table:
    """The same for people."""
    table = listing("product", "port", "rows", "checks", "version", "age", right=("rows", "checks", "age"))
    for product in listed:
        for port in product["ports"]:
            total = port["checks_passed"] + port["checks_failed"]
            colour = "green" if total and not port["checks_failed"] else "yellow" if total else "dim"
            rows = f"{port['rows']:,}" if port["rows"] is not None else "-"
            checks = f"[{colour}]{port['checks_passed']}/{total}[/]" if total else "[dim]not published[/]"
            version = port["contract_version"] or "-"
            table.add_row(product["id"], port["relation"], rows, checks, version, _age(port["published_at"]))
    return table


def warnings(listed: list[dict[str, Any]]) -> list[str]:
    """What the table does not show: a former version is served, after a candidate that did not keep the promise or a rollback."""
    refused = {port["contract"] for product in listed for port in product["ports"] if port["rejected"]}
    found = [f"{contract}: its latest candidate was rejected; see ./mesh checks {contract}" for contract in sorted(refused)]
    back = {port["contract"]: port["rolled_back"] for product in listed for port in product["ports"] if port["rolled_back"]}
    for contract, change in sorted(back.items()):
        why = f": {change['reason']}" if change["reason"] else ""
        found.append(f"{contract}: rolled back from {change['from']} by {change['by']}{why}")
    return found


def _age(published_at: str | None) -> str:
    if published_at is None:
        return "-"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(published_at)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
