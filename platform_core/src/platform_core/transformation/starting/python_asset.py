"""The module of a Python asset that feeds a port, as text: a frame of Polars, written to the build schema by the IO manager."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass

from platform_core.contracts import naming
from platform_core.transformation.starting.draft import ProductDraft, TableDraft

FOLDER = "assets"
"""Below ``defs``, where ``dg scaffold defs dagster.asset`` puts them too; beside a product's folder, which its component owns."""

_IMPORTED = frozenset({"dg", "pl", "on_news", "datetime"})
# Types that a column keeps on its way through a frame without being told; the others are named to the IO manager.
_KEPT = re.compile(
    r"bigint|integer|smallint|text|boolean|date|bytea|real|double precision|timestamptz|timestamp( with(out)? time zone)?|time( without time zone)?"
)


@dataclass(frozen=True)
class Upstream:
    """What the asset reads.

    Attributes:
        key: Key of the asset: another product's port, or a raw stream of the domain.
        said: What it is, in words.
    """

    key: Sequence[str]
    said: str


def asset_path(table: str) -> str:
    """Path of the module below the domain's package."""
    return f"defs/{FOLDER}/{table}.py"


def asset_text(draft: ProductDraft, table: TableDraft, reads: Upstream | None) -> str:
    """The module: the columns of what it reads as they are, or three example rows."""
    relation = f"{naming.build_schema(draft.domain)}.{table.model}"
    types = {column.name: column.physical_type for column in table.columns if column.physical_type and not _kept(column.physical_type)}
    lines = [f'"""What feeds {draft.contract_id}: a frame that is written to {relation}, from where the contract\'s audit takes it."""', ""]
    lines += [] if reads else ["from datetime import UTC, datetime", ""]
    lines += ["import dagster as dg", "import polars as pl", "", "from platform_core.orchestration import on_news", ""]
    if reads:
        lines += ["COLUMNS = [", *(f"    {_text(column.name)}," for column in table.columns), "]"]
    if types:
        lines += ["COLUMN_TYPES = {", *(f"    {_text(name)}: {_text(kind)}," for name, kind in types.items()), "}"]
    lines += ["", ""] if reads or types else [""]
    lines += ["@dg.asset(", f"    key={_listed(naming.build_key(draft.domain, table.model))},"]
    name, parameter = _free(table.model), ""
    if reads:
        parameter = reads.key[-1] if reads.key[-1] != name and _free(reads.key[-1]) == reads.key[-1] else "rows"
        lines += ["    ins={", f"        {_text(parameter)}: dg.AssetIn(", f"            key={_listed(reads.key)},"]
        lines += ['            metadata={"columns": COLUMNS},', "        ),", "    },"]
    lines += ['    metadata={"column_types": COLUMN_TYPES},'] if types else []
    lines += [
        f"    group_name={_text(draft.domain)},",
        '    kinds={"polars", "postgres"},',
        '    code_version="1",  # another version runs by itself when it is deployed',
        "    automation_condition=on_news(),",
        ")",
    ]
    contract = f"contracts/{draft.name}.odcs.yaml"
    if reads:
        said = f"{reads.said} as it is. Join, filter and sum up; {contract} must name the columns that come out."
        lines += [f"def {name}({parameter}: pl.DataFrame) -> pl.DataFrame:", f'    """{said}"""', f"    return {parameter}", ""]
    else:
        lines += [
            f"def {name}() -> pl.DataFrame:",
            f'    """Example rows. Write your own, then their columns into {contract}: the two must agree."""',
        ]
        lines += ["    numbers = [1, 2, 3]", "    return pl.DataFrame(", "        {"]
        lines += [f"            {_text(column.name)}: {_EXAMPLES[column.logical_type]}," for column in table.columns]
        lines += ["        }", "    )", ""]
    return "\n".join(lines)


# By the logical type of a column of example rows.
_EXAMPLES = {
    "integer": "numbers",
    "string": '[f"example {number}" for number in numbers]',
    "timestamp": "[datetime(2026, 1, number, 12, tzinfo=UTC) for number in numbers]",
}


def _kept(physical: str) -> bool:
    return _KEPT.fullmatch(re.sub(r"\s+", " ", physical.strip().lower())) is not None


def _free(name: str) -> str:
    """A name for a function or a parameter: not that of something else in the module."""
    taken = not name.isidentifier() or keyword.iskeyword(name) or hasattr(builtins, name) or name in _IMPORTED
    return f"{name}_table" if taken else name


def _text(value: str) -> str:
    """A literal of Python, in double quotes as the formatter writes it."""
    quote = "'" if '"' in value and "'" not in value else '"'
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace(quote, f"\\{quote}")
    return f"{quote}{escaped}{quote}"


def _listed(key: Sequence[str]) -> str:
    return f"[{', '.join(_text(part) for part in key)}]"
