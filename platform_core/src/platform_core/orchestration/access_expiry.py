"""Access that ends by itself: taken back within a minute, announced a week before, on a sensor of the platform's own location."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from platform_core.contracts import AccessRequest, Mesh
from platform_core.orchestration.alerts import Alert, send
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse, revoke_ended

NOTICE = timedelta(days=7)
"""How long before its end an access is announced to those whom it concerns."""


def expire_access(settings: Settings, warehouse: Warehouse, mesh: Mesh, now: datetime) -> list[str]:
    """Takes back what has ended, and alerts on what ends soon and on what expired.

    Args:
        settings: Where alerts go.
        warehouse: Reached as the platform's role.
        mesh: The files.
        now: The moment, with a timezone.

    Returns:
        What was taken back, what was found otherwise than it was recorded, and what became of the alerts, a line each.
    """
    done = revoke_ended(warehouse, mesh, now)
    taken = [f"took back {item}" for item in done.taken]
    found = [f"{event.principal} {event.event} reading {event.contract_id}" for event in done.recorded]
    alerts = _unsaid(warehouse, [*notices(mesh, now), *_endings(mesh, now)])
    return [*taken, *found, *(send(alert, settings, warehouse) for alert in alerts)]


def notices(mesh: Mesh, now: datetime) -> Iterator[Alert]:
    """Announcements of accesses that end within ``NOTICE`` and that nobody has asked to renew."""
    for request in mesh.access:
        end = request.expires_at
        if end is None or not request.in_force(now) or end != request.ends_at or end - now > NOTICE or _renewed(mesh, request):
            continue
        renew = f"./mesh access request {request.contract_id} --for {request.principal}{' --pii' if request.personal_data else ''} ..."
        detail = f"It was approved for: {request.purpose}\nTo keep it, ask anew: {renew}"
        yield from _alerts(request, f"access of {request.principal} to {request.contract_id} ends after {request.until}", detail)


def _endings(mesh: Mesh, now: datetime) -> Iterator[Alert]:
    """That an access has expired; said while it is news."""
    for request in mesh.access:
        end = request.expires_at
        if end is not None and request.state(now) == "expired" and now - end < NOTICE:
            detail = f"It was approved for: {request.purpose}\nWhat it gave and nothing else allows is taken back."
            yield from _alerts(request, f"access of {request.principal} to {request.contract_id} expired on {request.until}", detail)


def _renewed(mesh: Mesh, request: AccessRequest) -> bool:
    return any(
        (other.contract_id, other.principal) == (request.contract_id, request.principal)
        and other.number > request.number
        and other.denied is None
        for other in mesh.access
    )


def _alerts(request: AccessRequest, title: str, detail: str) -> Iterator[Alert]:
    """To the domain that owns the port, and to the one that reads it."""
    kind, _, name = request.principal.partition(":")
    for domain in (request.contract_id.partition(".")[0], *([name] if kind == "domain" else [])):
        yield Alert(domain, title, detail, None)


def _unsaid(warehouse: Warehouse, alerts: list[Alert]) -> list[Alert]:
    """Those that were not raised before: their titles name the access and its last day."""
    if not alerts:
        return []
    with warehouse.connect_platform(autocommit=True) as connection:
        rows = connection.execute("SELECT domain, title FROM mesh.alerts WHERE title = ANY(%s)", ([alert.title for alert in alerts],))
        said = {(str(domain), str(title)) for domain, title in rows}
    return [alert for alert in alerts if (alert.domain, alert.title) not in said]
