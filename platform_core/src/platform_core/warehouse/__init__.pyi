from .access import Access, readers
from .access_audit import Reading, readings
from .access_events import AccessEvent, access_events
from .apply import DAGSTER_DATABASE, DAGSTER_ROLE, apply, apply_plan, plan, prepare_databases
from .bulk_conditions import OneOf, Within
from .bulk_read import Relation, read_arrow
from .bulk_write import write_arrow
from .change import Change
from .connection import Warehouse
from .embedded import EmbeddedPostgres
from .errors import StalePlanError, WarehouseError
from .execution import Applied, Failure
from .expiry import revoke_ended
from .made import made
from .planning import Planned, Source, make_plan
from .reading import reading

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
