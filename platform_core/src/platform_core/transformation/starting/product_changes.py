"""Everything that changes in the repository when a product is added: its files, and what its test needs of the domain."""

from __future__ import annotations

from pathlib import Path

from platform_core.transformation.starting.candidates import check_candidate
from platform_core.transformation.starting.domain_tests import domain_conftest
from platform_core.transformation.starting.files import FileChanges, new_files
from platform_core.transformation.starting.product_files import ProductStart, product_files


def product_changes(repo: Path, start: ProductStart) -> FileChanges:
    """What adding a product changes.

    Args:
        repo: The repository's root.
        start: The product; the fixtures of its domain's tests are kept when they are there.

    Raises:
        TransformationError: One of its files is there, or something else builds its table already.
    """
    check_candidate(repo, start)
    changes = new_files(repo, product_files(start))
    if start.examples is None:
        return changes
    shared = {f"domains/{start.draft.domain}/tests/conftest.py": domain_conftest(start.draft.domain)}
    return changes.and_(new_files(repo, shared, keep=True))
