"""Whether a domain can build the candidate that a new product starts with: a name is built once, by dbt or by Python."""

from __future__ import annotations

from pathlib import Path

from platform_core.transformation.next_python_asset import copied_asset
from platform_core.transformation.project import TransformationError
from platform_core.transformation.starting.dbt_text import project_name
from platform_core.transformation.starting.product_files import ProductStart

_BUILT = ("models/**/*.sql", "models/**/*.py", "seeds/**/*.csv", "snapshots/**/*.sql")


def has_dbt_project(repo: Path, domain: str) -> bool:
    """Whether SQL has a place to go."""
    return (repo / "dbt_projects" / project_name(domain) / "dbt_project.yml").is_file()


def check_candidate(repo: Path, start: ProductStart) -> None:
    """Raises when the start brings a model or an asset that the domain cannot have.

    Args:
        repo: The repository's root.
        start: What a product starts with; one that a model of the project feeds brings none.

    Raises:
        TransformationError: The domain has no dbt project for its model, or builds something of that name already.
    """
    domain = start.draft.domain
    if start.dbt and not has_dbt_project(repo, domain):
        raise TransformationError(
            "the domain has no dbt project",
            where=str(repo / "dbt_projects" / project_name(domain)),
            remedy=f"in domains/{domain}: ../../mesh exec dg scaffold defs platform_core.DbtProject transformation"
            + ("" if start.modules else "; or add --kind python"),
        )
    if not start.dbt and not start.modules:
        return
    model = start.draft.tables[0].model
    folder = repo / "dbt_projects" / project_name(domain)
    found = next((path for pattern in _BUILT for path in sorted(folder.glob(pattern)) if path.stem == model), None)
    if found is not None:
        raise TransformationError(
            f"the dbt project has a model {model!r} already",
            where=str(found),
            remedy=f"add --table with another name, or --from-model {model}",
        )
    asset = copied_asset(repo / "domains" / domain / "src" / domain, domain, model, model)
    if asset is not None:
        message = f"a Python asset builds {model!r} already"
        raise TransformationError(message, where=str(asset.path), remedy="add --table with another name")
