"""The report of an adoption: what was made, and what people must decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from platform_core.transformation.adoption.decision import KINDS, Decision
from platform_core.transformation.starting.draft import ProductDraft


def report_text(domain: str, source: str, products: Sequence[ProductDraft], decisions: Sequence[Decision], carried: int) -> str:
    """``ADOPTION.md``."""
    blocking = [item for item in decisions if item.blocks]
    lines = [
        f"# Adoption of {source}",
        "",
        f"{carried} files were carried over to `dbt_projects/{domain}_dbt`; the project itself was not touched. "
        + (
            f"{len(blocking)} decisions keep `./mesh lint` from being green; they are marked **open**."
            if blocking
            else "Nothing keeps `./mesh lint` from being green."
        ),
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
            lines += [
                f"- {'**open** ' if item.blocks else ''}`{item.subject}`: {item.message}"
                + (f" ({item.file})" if item.file and item.file != item.subject else "")
                + f". *{item.remedy}*"
                for item in chosen
            ]
    return "\n".join(lines) + "\n"


def report_json(products: Sequence[ProductDraft], decisions: Sequence[Decision]) -> dict[str, Any]:
    """The same for programs."""
    return {
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
