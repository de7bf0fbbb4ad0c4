"""The capability registry: Dagster components that a domain may use."""

from platform_core.components.airbyte_connection import AirbyteConnection
from platform_core.components.data_product import DataProduct
from platform_core.components.dbt_project import DbtProject
from platform_core.components.file_drop import FileDrop

__all__ = ["AirbyteConnection", "DataProduct", "DbtProject", "FileDrop"]
