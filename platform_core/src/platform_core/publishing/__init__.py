"""The publishing plane: seal, audit, switch; versions and rollback."""

from platform_core.publishing.announcement import announce_rollback
from platform_core.publishing.candidate import audit_candidate, rules_of
from platform_core.publishing.errors import PublishingError
from platform_core.publishing.history import (
    FailedCheck,
    Publication,
    Switch,
    audited,
    failed_checks,
    publications,
    rejected,
    rollbacks,
    served,
    served_checks,
    switches,
)
from platform_core.publishing.publish import Outcome, publish
from platform_core.publishing.retention import pin, prune, unpin
from platform_core.publishing.rollback import RolledBack, rollback

__all__ = [
    "FailedCheck",
    "Outcome",
    "Publication",
    "PublishingError",
    "RolledBack",
    "Switch",
    "announce_rollback",
    "audit_candidate",
    "audited",
    "failed_checks",
    "pin",
    "prune",
    "publications",
    "publish",
    "rejected",
    "rollback",
    "rollbacks",
    "rules_of",
    "served",
    "served_checks",
    "switches",
    "unpin",
]
