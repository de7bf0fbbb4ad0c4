"""The quality plane: a contract's rules as a Great Expectations suite, run inside the warehouse."""

from platform_core.quality.audit import audit
from platform_core.quality.errors import QualityError
from platform_core.quality.plan import KINDS, Relation
from platform_core.quality.report import AuditReport, RuleResult
from platform_core.quality.shape import ShapeProblem, check_shape
from platform_core.quality.suite import compile_suite

__all__ = [
    "KINDS",
    "AuditReport",
    "QualityError",
    "Relation",
    "RuleResult",
    "ShapeProblem",
    "audit",
    "check_shape",
    "compile_suite",
]
