"""An existing dbt project becomes a domain: contracts proposed from its manifest, and a report of what people must decide."""

from platform_core.transformation.adoption.decision import KINDS, Decision
from platform_core.transformation.adoption.tables import propose_table

__all__ = ["KINDS", "Decision", "propose_table"]
