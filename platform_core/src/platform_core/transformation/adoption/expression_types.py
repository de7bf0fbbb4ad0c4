"""The type that Postgres gives an expression, as far as it is certain.

Rules (https://www.postgresql.org/docs/current/typeconv.html, /functions-math.html, /functions-aggregate.html): a column keeps its type and
modifier only where it is handed on as it is; operators and functions drop the modifier; branches of CASE, COALESCE, GREATEST and LEAST take
their common type, and the modifier when all have the same (a CASE without ELSE has a null branch, which has none).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

_NAMES = {"decimal": "numeric", "int": "integer", "varchar": "character varying", "char": "character", "double": "double precision"}
_NUMBERS = (
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "double precision",
)  # in the order in which they give way; real has rules of its own
_TIMES = {"timestamp": "timestamp", "timestamp without time zone": "timestamp", "timestamptz": "timestamptz"} | {
    "timestamp with time zone": "timestamptz"
}
_SUMS = {"smallint": "bigint", "integer": "bigint", "bigint": "numeric", "numeric": "numeric", "double precision": "double precision"}
_MEANS = {**dict.fromkeys(_NUMBERS[:4], "numeric"), "double precision": "double precision"}
_LITERAL = "unknown"
"""What Postgres calls a quoted literal until its neighbours say what it is."""
DATE_PART = "mesh_date_part"
"""Stands for ``date_part`` in the SQL: sqlglot takes that for EXTRACT, which is of another type."""
_BY_NAME = {
    **dict.fromkeys(("clock_timestamp", "statement_timestamp", "transaction_timestamp"), "timestamptz"),
    DATE_PART: "double precision",
}

Column = Callable[[Any], str | None]


def type_of(node: Any, column: Column) -> str | None:
    """The type of an expression; None when it is not certain.

    Args:
        node: The expression, as sqlglot parsed it in the dialect of Postgres.
        column: The type of a column that the expression names.
    """
    found = _typed(node, column)
    return "text" if found == _LITERAL else found


def _typed(node: Any, column: Column) -> str | None:
    from sqlglot import exp

    if isinstance(node, exp.Paren | exp.Window | exp.Filter):
        return _typed(node.this, column)
    if isinstance(node, exp.Cast):
        return _printed(node.to.sql("postgres"))
    if isinstance(node, exp.Column):
        return column(node)
    if isinstance(node, exp.Literal):
        return _LITERAL if node.is_string else _number(str(node.this))
    if isinstance(node, exp.Boolean | exp.Predicate | exp.Connector | exp.Not):
        return "boolean"
    if isinstance(node, exp.Case):
        return _common([*(branch.args["true"] for branch in node.args["ifs"]), node.args.get("default")], column)
    if isinstance(node, exp.Coalesce | exp.Greatest | exp.Least):
        return _common([node.this, *node.expressions], column)
    if isinstance(node, exp.Neg | exp.Abs | exp.Lag | exp.Lead | exp.FirstValue | exp.LastValue):
        return _bare(_typed(node.this, column)) if len([value for value in node.args.values() if value]) == 1 else None
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod):
        return _operated(node, _bare(_typed(node.this, column)), _bare(_typed(node.expression, column)))
    if isinstance(node, exp.Max | exp.Min):
        kind = _bare(_typed(node.this, column))
        return "text" if kind == "character varying" else kind
    if isinstance(node, exp.Sum):
        return _SUMS.get(_bare(_typed(node.this, column)) or "")
    if isinstance(node, exp.Avg):
        return _MEANS.get(_bare(_typed(node.this, column)) or "")
    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc):
        return {"date": "timestamptz", **_TIMES}.get(_bare(_typed(node.this, column)) or "")
    if isinstance(node, exp.Round) and node.args.get("decimals"):
        return "numeric"
    return _of_function(node)


def _of_function(node: Any) -> str | None:
    """What a function gives, whatever it is given."""
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return _BY_NAME.get(str(node.this).lower())
    for kinds, result in (
        ((exp.Count, exp.RowNumber, exp.Rank, exp.DenseRank), "bigint"),
        ((exp.CurrentDate, exp.StrToDate, exp.Date), "date"),
        ((exp.CurrentTimestamp, exp.StrToTime), "timestamptz"),
        ((exp.Extract,), "numeric"),
        ((exp.Lower, exp.Upper, exp.Trim, exp.Concat, exp.ConcatWs, exp.DPipe, exp.Substring, exp.MD5, exp.GroupConcat), "text"),
        ((exp.Initcap, exp.SplitPart, exp.RegexpReplace, exp.Replace, exp.Left, exp.Right, exp.TimeToStr, exp.JSONExtractScalar), "text"),
        ((exp.Uuid,), "uuid"),
        ((exp.Length,), "integer"),
        ((exp.Interval,), "interval"),
    ):
        if isinstance(node, kinds):
            return result
    return None


def _number(text: str) -> str:
    if not text.isdigit():
        return "numeric"
    return "integer" if int(text) < 2**31 else "bigint" if int(text) < 2**63 else "numeric"


def _common(nodes: Iterable[Any], column: Column) -> str | None:
    from sqlglot import exp

    branches = list(nodes)
    given = [_typed(node, column) for node in branches if node is not None and not isinstance(node, exp.Null)]
    kinds = [kind for kind in given if kind != _LITERAL]
    if not kinds:
        return _LITERAL if given else None
    if len(set(given)) == 1 and len(given) == len(branches):
        return kinds[0]
    plain = {_bare(kind) for kind in kinds}
    if len(plain) == 1:
        return plain.pop()
    if all(kind in _NUMBERS for kind in plain):
        return max(plain, key=lambda kind: _NUMBERS.index(str(kind)))
    return None


def _operated(node: Any, left: str | None, right: str | None) -> str | None:
    from sqlglot import exp

    if left in _NUMBERS and right in _NUMBERS:
        return max(left, right, key=_NUMBERS.index)
    if isinstance(node, exp.Sub) and left == right == "date":
        return "integer"
    if isinstance(node, exp.Add | exp.Sub) and left == "date" and right in _NUMBERS[:2]:
        return "date"
    if isinstance(node, exp.Add | exp.Sub) and right == "interval":
        return {"date": "timestamp", "interval": "interval", **_TIMES}.get(left or "")
    if isinstance(node, exp.Sub) and left in _TIMES and _TIMES.get(left) == _TIMES.get(right or ""):
        return "interval"
    return None


def _printed(text: str) -> str:
    """A type as Postgres prints it, as far as the names of sqlglot differ."""
    plain = re.sub(r",\s+", ",", text.lower())
    word = re.match(r"[a-z ]+", plain)
    name = word[0].strip() if word else plain
    return plain.replace(name, _NAMES.get(name, name), 1)


def _bare(kind: str | None) -> str | None:
    return re.sub(r"\s*\([^)]*\)", "", kind) if kind else None
