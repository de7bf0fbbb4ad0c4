"""Column lineage: where each column of a port comes from, through models and across domains, and whether personal data stays protected."""

from platform_core.transformation.lineage.graph import ALL, ROWS, Edge, Ref, Relation
from platform_core.transformation.lineage.mesh_lineage import Lineage, Mark, column_lineage
from platform_core.transformation.lineage.personal import origins_of, path_text, personal_problems, shown

__all__ = [
    "ALL",
    "ROWS",
    "Edge",
    "Lineage",
    "Mark",
    "Ref",
    "Relation",
    "column_lineage",
    "origins_of",
    "path_text",
    "personal_problems",
    "shown",
]
