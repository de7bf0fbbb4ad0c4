"""Compatibility: what changed between two states of the mesh's files, what it means, and whom it hits."""

from platform_core.contracts.compatibility.change import Change, Hit, Report
from platform_core.contracts.compatibility.column_use import ColumnTraces, Use
from platform_core.contracts.compatibility.compare import compare
from platform_core.contracts.compatibility.git_state import states
from platform_core.contracts.compatibility.impact import Impact, impact, port_columns, targets
from platform_core.contracts.compatibility.report_text import as_document, column_use, hit_consumers, hit_document, markdown, what, why
from platform_core.contracts.compatibility.ruling import RULINGS, Ruling, rulings_table
from platform_core.contracts.compatibility.state import ComparisonError, State, folder_state
from platform_core.contracts.compatibility.versions import VersionCheck

__all__ = [
    "RULINGS",
    "Change",
    "ColumnTraces",
    "ComparisonError",
    "Hit",
    "Impact",
    "Report",
    "Ruling",
    "State",
    "Use",
    "VersionCheck",
    "as_document",
    "column_use",
    "compare",
    "folder_state",
    "hit_consumers",
    "hit_document",
    "impact",
    "markdown",
    "port_columns",
    "rulings_table",
    "states",
    "targets",
    "what",
    "why",
]
