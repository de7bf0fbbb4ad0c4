"""The publishing plane: seal, audit, switch; versions and rollback."""

from platform_core.publishing.candidate import audit_candidate, rules_of
from platform_core.publishing.errors import PublishingError
from platform_core.publishing.history import FailedCheck, Publication, failed_checks, publications, rejected, served
from platform_core.publishing.publish import Outcome, publish
from platform_core.publishing.rollback import rollback

__all__ = [
    "FailedCheck",
    "Outcome",
    "Publication",
    "PublishingError",
    "audit_candidate",
    "failed_checks",
    "publications",
    "publish",
    "rejected",
    "rollback",
    "rules_of",
    "served",
]
