"""Random rows and random rules: Great Expectations' verdict is that of plain Python over the same rows."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_core.quality.errors import QualityError
from platform_core.quality.pattern import to_postgres

COLUMNS = {"id": "bigint", "code": "text", "amount": "numeric(12,2)", "flag": "boolean"}
NAMES = list(COLUMNS)
PARENTS = [1, 2, 2**53 + 1]
IDS = st.sampled_from([1, 2, 3, 2**53, 2**53 + 1, -5])
CODES = st.text(alphabet="aA1_ é😀\n-'%:\\{\"", max_size=3)
AMOUNTS = st.decimals(-2, 2, places=1)
ROWS = st.lists(st.tuples(*(st.none() | values for values in (IDS, CODES, AMOUNTS, st.booleans()))), max_size=8)
REGEXES = st.sampled_from(
    ["^a", r"\d+$", r"\bA\b", ".", "^.{2}$", r"\s", r"^\W", "é|😀", r"(?=a)a1", r"[^a\d]", r"(a)\1", r"\x41", "^[-a]+$", "%"]
)
NUMBERS = st.integers(-1, 9) | st.sampled_from([0.5, 12.5, 33.3])
BOUNDS = st.one_of(
    st.builds(
        lambda name, value: {name: value},
        st.sampled_from(["must_be", "must_not_be", "greater_than", "greater_or_equal", "less_than", "less_or_equal"]),
        NUMBERS,
    ),
    st.builds(lambda name, low, width: {name: [low, low + width]}, st.sampled_from(["between", "not_between"]), NUMBERS, st.integers(0, 4)),
)
UNITS = st.sampled_from([{}, {"unit": "rows"}, {"unit": "percent"}])
VALUES = {
    "id": st.lists(IDS, max_size=3),
    "code": st.lists(CODES, max_size=3),
    "amount": st.lists(st.integers(-2, 2) | st.sampled_from([0.1, -1.5]), max_size=3),
    "flag": st.lists(st.booleans(), max_size=2),
}


@st.composite
def rules(draw: st.DrawFn) -> list[tuple[str, str | None, dict[str, Any]]]:
    """One rule of every kind."""
    column = draw(st.sampled_from(NAMES))
    pair = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    ends = st.fixed_dictionaries({}, optional={key: draw(st.sampled_from([IDS, st.integers(-2, 2), st.just(0.1)])) for key in _ENDS})
    counted = st.builds(lambda bounds, unit: {**bounds, **unit}, BOUNDS, UNITS)
    return [
        ("not_null", column, {}),
        ("unique", None, {"columns": pair}),
        ("primary_key", None, {"columns": pair}),
        ("accepted_values", column, {"values": draw(VALUES[column])}),
        ("range", draw(st.sampled_from(["id", "amount"])), draw(ends.filter(bool))),
        ("length", "code", draw(st.sampled_from([{"minimum": 1}, {"maximum": 1}, {"minimum": 1, "maximum": 2}]))),
        ("pattern", "code", {"regex": draw(REGEXES)}),
        ("row_count", None, draw(BOUNDS)),
        ("null_count", "code", {**draw(st.sampled_from([{}, {"missing_values": ["", "a", None]}])), **draw(counted)}),
        ("invalid_count", column, {"values": draw(VALUES[column]), **draw(counted)}),
        ("invalid_count", "code", {"regex": draw(REGEXES), **draw(counted)}),
        ("duplicate_count", None, {"columns": pair, **draw(counted)}),
        ("foreign_key", "id", {"columns": ["id"], "to_schema": "sales_build", "to_table": "parents", "to_columns": ["id"]}),
        ("sql", None, {"query": "select count(*) from {object} where amount < 0 or code like '%a%'", **draw(BOUNDS)}),
    ]


_ENDS = ("minimum", "maximum", "exclusive_minimum", "exclusive_maximum")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=ROWS, chosen=rules())
def test_verdicts_and_counts(bench: Any, rows: list[tuple[Any, ...]], chosen: list[tuple[str, str | None, dict[str, Any]]]) -> None:
    if not bench.ask("select 1 from pg_tables where tablename = 'parents'"):
        bench.load("parents", {"id": "bigint"}, [(value,) for value in PARENTS])
    results = bench.judge(COLUMNS, rows, *(bench.rule(kind, column, **arguments) for kind, column, arguments in chosen))
    for result, (kind, column, arguments) in zip(results, chosen, strict=True):
        broken = count(kind, column, arguments, rows)
        expected = kept(kind, arguments, broken, len(rows))
        assert (result.error, result.passed) == (None, expected), (kind, column, arguments, result)
        if kind not in {"row_count", "sql"}:
            assert result.unexpected_count == broken, (kind, column, arguments)
            blamed = 0 if result.passed else min(5, broken)
            assert len(result.sample_rows) >= blamed, (kind, column, arguments)


def count(kind: str, column: str | None, arguments: dict[str, Any], rows: Sequence[tuple[Any, ...]]) -> int:
    """Rows that break the rule, or what it counts."""
    values = [row[NAMES.index(column)] for row in rows] if column else []
    filled = [value for value in values if value is not None]
    picked = [tuple(row[NAMES.index(name)] for name in arguments.get("columns", ())) for row in rows]
    whole = [item for item in picked if None not in item]
    match kind:
        case "not_null":
            return len(values) - len(filled)
        case "null_count":
            missing = arguments.get("missing_values", [])
            return sum(value is None or value in missing for value in values)
        case "unique" | "duplicate_count":
            return sum(Counter(whole).values()) - len(Counter(whole))
        case "primary_key":
            return len(picked) - len(set(whole))
        case "accepted_values" | "invalid_count" if "values" in arguments:
            accepted = [Decimal(str(value)) if column == "amount" else value for value in arguments["values"]]
            return sum(value not in accepted for value in filled)
        case "pattern" | "invalid_count":
            expression = re.compile(arguments["regex"].replace("$", r"\Z"), re.ASCII)
            return sum(expression.search(value) is None for value in filled)
        case "range":
            return sum(not within(Fraction(value), arguments) for value in filled)
        case "length":
            return sum(not arguments.get("minimum", 0) <= len(value) <= arguments.get("maximum", 99) for value in filled)
        case "foreign_key":
            return sum(value not in PARENTS for value in filled)
        case "sql":
            return sum((row[2] is not None and row[2] < 0) or "a" in (row[1] or "") for row in rows)
        case _:
            return len(rows)


def within(value: Fraction, arguments: dict[str, Any]) -> bool:
    ends = {key: Fraction(str(end)) for key, end in arguments.items()}
    return (
        ends.get("minimum", value) <= value <= ends.get("maximum", value)
        and value > ends.get("exclusive_minimum", value - 1)
        and value < ends.get("exclusive_maximum", value + 1)
    )


def kept(kind: str, arguments: dict[str, Any], found: int, rows: int) -> bool:
    tests = {
        "must_be": lambda value, limit: value == limit,
        "must_not_be": lambda value, limit: value != limit,
        "greater_than": lambda value, limit: value > limit,
        "greater_or_equal": lambda value, limit: value >= limit,
        "less_than": lambda value, limit: value < limit,
        "less_or_equal": lambda value, limit: value <= limit,
    }
    value = Fraction(found * 100, rows) if arguments.get("unit") == "percent" and rows else Fraction(found)
    exact = {
        key: [Fraction(str(item)) for item in (limit if isinstance(limit, list) else [limit])]
        for key, limit in arguments.items()
        if key in {*tests, "between", "not_between"}
    }
    if not exact:
        return found == 0
    ((name, limits),) = exact.items()
    if name in tests:
        return tests[name](value, limits[0])
    return (limits[0] <= value <= limits[1]) is (name == "between")


ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "1",
        ".",
        r"\d",
        r"\w",
        r"\s",
        r"\S",
        r"\b",
        r"\B",
        "[ab]",
        "[^a1]",
        r"[\w-]",
        r"[a\]]",
        r"[\s\d]",
        r"\.",
        r"\-",
        "é",
        "😀",
        r"\x61",
        r"\u00e9",
        "[[]",
        "-",
        "_",
        " ",
        "(?=a)",
        "(?!b)",
        "(?<=a)",
        "(?<!1)",
        "^",
        "$",
        r"\n",
        "}",
        "]",
    ]
)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> str:
    def piece() -> str:
        if depth and draw(st.integers(0, 3)) == 0:
            inner = draw(expressions(depth=depth - 1))
            return draw(st.sampled_from(["({})", "(?:{})", "({}|a)"])).replace("{}", inner)
        return draw(ATOMS)

    parts: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        atom = piece()
        repeatable = atom not in {"^", "$", r"\b", r"\B"} and not atom.startswith(("(?=", "(?!", "(?<"))
        parts.append(atom + (draw(st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "*?", "+?"])) if repeatable else ""))
    return "".join(parts)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(regex=expressions(), values=st.lists(st.text(alphabet="ab1é😀 -_.]\n", max_size=6), min_size=1, max_size=12))
def test_patterns_mean_in_postgres_what_they_mean_in_the_standard(asking: Any, regex: str, values: list[str]) -> None:
    expression = python(regex)
    found = asking.execute("SELECT v ~ %s FROM unnest(%s::text[]) WITH ORDINALITY AS u(v, n) ORDER BY n", (to_postgres(regex), values))
    assert [row[0] for row in found] == [expression.search(value) is not None for value in values]


def python(regex: str) -> re.Pattern[str]:
    """The standard's expression for Python, whose ``$`` also stops before a last line break, and whose ``\\B`` refuses empty text."""
    inside = r"(?:(?<=\w)(?=\w)|(?<!\w)(?!\w))"
    text = re.sub(r"(?<!\\)\$", lambda _: r"\Z", regex.replace(r"\B", inside))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # "[[" may come to mean something in Python
        return re.compile(text, re.ASCII)


@pytest.fixture(scope="module")
def asking(bench: Any) -> Any:
    with bench.warehouse.connect_domain("sales", autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("regex", "value", "matches"),
    [
        ("(?i)abc", "xABCx", True),
        ("(?<year>2024)", "in 2024", True),
        (r"^\u{1F600}$", "😀", True),
        (r"a\/b", "a/b", True),
        (r"[\b]", "\b", True),
        ("^a.c$", "a\u2028c", False),
        (r"^\d$", "٣", False),
        (r"\s", "\u00a0", True),
        ("a{,2}", "a{,2}", True),
        ("", "", True),
        (r"\x411", "A1", True),
    ],
)
def test_constructs_that_python_reads_differently(asking: Any, regex: str, value: str, matches: bool) -> None:
    assert asking.execute("SELECT %s ~ %s", (value, to_postgres(regex))).fetchone() == (matches,)


@pytest.mark.parametrize(
    "regex",
    [r"\p{L}", r"\Aabc", r"abc\Z", "(?P<n>a)", "(?#note)", "a{1,300}", "[]", "[^]a]", r"[\D]", "[a", r"\0", r"\u0000", r"\ud800", "\\"],
)
def test_constructs_without_a_counterpart_are_errors(regex: str) -> None:
    with pytest.raises(QualityError):
        to_postgres(regex)
