"""The warehouse plane: the embedded server, connections, and who may do what."""

from platform_core.warehouse.access import Access, plan, readers
from platform_core.warehouse.apply import DAGSTER_DATABASE, DAGSTER_ROLE, apply, prepare_databases
from platform_core.warehouse.bulk_conditions import OneOf, Within
from platform_core.warehouse.bulk_read import Relation, read_arrow
from platform_core.warehouse.bulk_write import write_arrow
from platform_core.warehouse.change import Change
from platform_core.warehouse.connection import Warehouse
from platform_core.warehouse.embedded import EmbeddedPostgres
from platform_core.warehouse.errors import WarehouseError

__all__ = [
    "DAGSTER_DATABASE",
    "DAGSTER_ROLE",
    "Access",
    "Change",
    "EmbeddedPostgres",
    "OneOf",
    "Relation",
    "Warehouse",
    "WarehouseError",
    "Within",
    "apply",
    "plan",
    "prepare_databases",
    "read_arrow",
    "readers",
    "write_arrow",
]
