"""The capability registry: Dagster components that a domain may use."""

from platform_core.components.airbyte_connection import AirbyteConnection
from platform_core.components.data_product import DataProduct
from platform_core.components.dbt_project import DbtProject

__all__ = ["AirbyteConnection", "DataProduct", "DbtProject"]
