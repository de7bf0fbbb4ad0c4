"""An existing dbt project becomes a domain: contracts proposed from its manifest, and a report of what people must decide."""

from platform_core.transformation.adoption.adopt import Adoption, adopt
from platform_core.transformation.adoption.decision import KINDS, Decision
from platform_core.transformation.adoption.product_from_model import product_from_model
from platform_core.transformation.adoption.read_project import DbtFolder, read_project
from platform_core.transformation.adoption.report import report_json
from platform_core.transformation.adoption.tables import propose_table

__all__ = ["KINDS", "Adoption", "DbtFolder", "Decision", "adopt", "product_from_model", "propose_table", "read_project", "report_json"]
