"""The warehouse plane: the embedded server, connections, and who may do what."""

from platform_core.warehouse.access import Access, readers
from platform_core.warehouse.access_audit import Reading, readings
from platform_core.warehouse.access_events import AccessEvent
from platform_core.warehouse.access_events import events as access_events
from platform_core.warehouse.apply import DAGSTER_DATABASE, DAGSTER_ROLE, apply, apply_plan, plan, prepare_databases
from platform_core.warehouse.bulk_conditions import OneOf, Within
from platform_core.warehouse.bulk_read import Relation, read_arrow
from platform_core.warehouse.bulk_write import write_arrow
from platform_core.warehouse.change import Change
from platform_core.warehouse.connection import Warehouse
from platform_core.warehouse.embedded import EmbeddedPostgres
from platform_core.warehouse.errors import StalePlanError, WarehouseError
from platform_core.warehouse.execution import Applied, Failure
from platform_core.warehouse.expiry import revoke_ended
from platform_core.warehouse.made import made
from platform_core.warehouse.planning import Planned, Source, make_plan
from platform_core.warehouse.reading import reading

__all__ = [
    "DAGSTER_DATABASE",
    "DAGSTER_ROLE",
    "Access",
    "AccessEvent",
    "Applied",
    "Change",
    "EmbeddedPostgres",
    "Failure",
    "OneOf",
    "Planned",
    "Reading",
    "Relation",
    "Source",
    "StalePlanError",
    "Warehouse",
    "WarehouseError",
    "Within",
    "access_events",
    "apply",
    "apply_plan",
    "made",
    "make_plan",
    "plan",
    "prepare_databases",
    "read_arrow",
    "readers",
    "reading",
    "readings",
    "revoke_ended",
    "write_arrow",
]
