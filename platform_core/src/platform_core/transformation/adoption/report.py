"""The report of an adoption: what was made, and what people must decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from platform_core.transformation.adoption.decision import KINDS, Decision
from platform_core.transformation.starting.draft import ProductDraft

_CARRIED = (
    ("nodes", "model", "models"), ("nodes", "seed", "seeds"), ("nodes", "snapshot", "snapshots"), ("nodes", "test", "tests"),
    ("unit_tests", None, "unit tests"), ("nodes", "analysis", "analyses"), ("sources", None, "source tables"), ("macros", None, "macros"),
    ("exposures", None, "exposures"), ("groups", None, "groups"), ("semantic_models", None, "semantic models"), ("metrics", None, "metrics"),
    ("saved_queries", None, "saved queries"),
)  # fmt: skip
"""Part of the manifest, kind of resource in it, and its name for people."""


def carried_over(manifest: Mapping[str, Any]) -> dict[str, int]:
    """How much of each kind the project has in the domain, without its packages: to be held against what it had before."""
    project = manifest["metadata"].get("project_name")
    found = {
        name: sum(
            item.get("package_name") == project and (kind is None or item.get("resource_type") == kind)
            for item in (manifest.get(part) or {}).values()
        )
        for part, kind, name in _CARRIED
    }
    return {name: count for name, count in found.items() if count}


def report_text(
    domain: str, source: str, products: Sequence[ProductDraft], decisions: Sequence[Decision], files: int, carried: Mapping[str, int]
) -> str:
    """``ADOPTION.md``.

    Args:
        domain: The domain.
        source: Name of the project.
        products: What was proposed.
        decisions: What people decide.
        files: How many files were carried over.
        carried: What dbt finds in them, by kind.
    """
    blocking = [item for item in decisions if item.blocks]
    lines = [
        f"# Adoption of {source}",
        "",
        f"{files} files were carried over to `dbt_projects/{domain}_dbt`; the project itself was not touched. "
        + (
            f"{len(blocking)} decisions keep `./mesh lint` from being green; they are marked **open**."
            if blocking
            else "Nothing keeps `./mesh lint` from being green."
        ),
        f"dbt finds in them: {', '.join(f'{count} {name}' for name, count in carried.items()) or 'nothing'}.",
        "Delete this file when everything in it is decided.",
        "",
        "## Products",
        "",
        "| product | port table | model | columns | owner |",
        "|---|---|---|---|---|",
    ]
    for product in products:
        for table in product.tables:
            lines.append(f"| `{product.id}` | `{table.name}` | `{table.model}` | {len(table.columns)} | {product.owner or '**open**'} |")
    if not products:
        lines.append("| none | | | | |")
    for kind, heading in KINDS.items():
        chosen = [item for item in decisions if item.kind == kind]
        if chosen:
            lines += ["", f"## {heading}", ""]
            lines += _lines(chosen)
    return "\n".join(lines) + "\n"


def _lines(decisions: Sequence[Decision]) -> list[str]:
    """A line for all to which the same is said."""
    same: dict[tuple[str, str, bool], list[Decision]] = {}
    for item in decisions:
        same.setdefault((item.message, item.remedy, item.blocks), []).append(item)
    lines: list[str] = []
    for (message, remedy, blocks), items in same.items():
        files = list(dict.fromkeys(item.file for item in items if item.file and item.file != item.subject))
        place = f" ({files[0]})" if len(files) == 1 else f" (in {len(files)} files)" if files else ""
        lines.append(f"- {'**open** ' if blocks else ''}{', '.join(f'`{item.subject}`' for item in items)}: {message}{place}. *{remedy}*")
    return lines


def report_json(products: Sequence[ProductDraft], decisions: Sequence[Decision], carried: Mapping[str, int]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "carried": dict(carried),
        "products": [
            {
                "product": product.id,
                "contract": product.contract_id,
                "owner": product.owner,
                "tables": {table.name: {"model": table.model, "columns": len(table.columns)} for table in product.tables},
            }
            for product in products
        ],
        "decisions": [
            {
                "kind": item.kind,
                "subject": item.subject,
                "message": item.message,
                "remedy": item.remedy,
                "file": item.file or None,
                "blocks": item.blocks,
            }
            for item in decisions
        ],
        "open": sum(item.blocks for item in decisions),
    }
