"""The orchestration plane: what must know Dagster."""

from platform_core.orchestration.code_location import code_location
from platform_core.orchestration.conditions import on_news, on_schedule
from platform_core.orchestration.dbt_assets import dbt_assets
from platform_core.orchestration.ingestion_assets import ingestion_assets
from platform_core.orchestration.port_assets import port_assets

__all__ = ["code_location", "dbt_assets", "ingestion_assets", "on_news", "on_schedule", "port_assets"]
