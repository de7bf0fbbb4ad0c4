"""Column lineage: where each column of a port comes from, through models and across domains, and whether personal data stays protected."""

from platform_core.transformation.lineage.column_edges import column_edges
from platform_core.transformation.lineage.graph import ALL, ROWS, Edge, Ref, Relation
from platform_core.transformation.lineage.mesh_lineage import Lineage, Mark, column_lineage, kept_lineage
from platform_core.transformation.lineage.personal import origins_of, path_text, personal_problems, shown
from platform_core.transformation.lineage.tree import Branch, downstream_tree, upstream_tree
from platform_core.transformation.lineage.uses import LineageUses

__all__ = [
    "ALL",
    "ROWS",
    "Branch",
    "Edge",
    "Lineage",
    "LineageUses",
    "Mark",
    "Ref",
    "Relation",
    "column_edges",
    "column_lineage",
    "downstream_tree",
    "kept_lineage",
    "origins_of",
    "path_text",
    "personal_problems",
    "shown",
    "upstream_tree",
]
