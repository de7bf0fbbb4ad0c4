"""SQL of another database that parses as that of Postgres, and fails when it runs: functions that Postgres does not have.

The functions are those of Snowflake, BigQuery, Redshift, Databricks and DuckDB that projects use most; what Postgres has instead is in
https://www.postgresql.org/docs/current/functions.html.
"""

from __future__ import annotations

_INSTEAD = {
    **dict.fromkeys(("dateadd", "date_add", "timestamp_add", "add_months"), "+ interval '1 day'"),
    **dict.fromkeys(("date_sub", "timestamp_sub"), "- interval '1 day'"),
    **dict.fromkeys(("datediff", "date_diff", "timestamp_diff", "months_between"), "b::date - a::date, or {{ datediff() }} of dbt"),
    **dict.fromkeys(("timestamp_trunc", "datetime_trunc"), "date_trunc('month', x)"),
    **dict.fromkeys(("iff", "if", "decode", "nvl2"), "case when ... end"),
    **dict.fromkeys(("nvl", "ifnull", "zeroifnull"), "coalesce(x, y)"),
    **dict.fromkeys(("safe_divide", "div0", "div0null"), "a / nullif(b, 0)"),
    **dict.fromkeys(("safe_cast", "try_cast", "try_to_number", "try_to_date"), "a cast, after a case that tests the text"),
    **dict.fromkeys(("listagg", "group_concat"), "string_agg(x, ',')"),
    **dict.fromkeys(("getdate", "sysdate", "current_datetime"), "now()"),
    **dict.fromkeys(("year", "month", "day", "hour", "dayofweek", "datepart"), "extract(year from x)"),
    **dict.fromkeys(("dayname", "monthname", "to_varchar", "format_date", "strftime"), "to_char(x, 'Day')"),
    **dict.fromkeys(("parse_json", "object_construct", "to_variant"), "x::jsonb, or jsonb_build_object()"),
    **dict.fromkeys(("regexp_contains", "rlike"), "x ~ 'pattern'"),
    "convert_timezone": "x at time zone 'UTC'",
    "last_day": "date_trunc('month', x) + interval '1 month - 1 day'",
    "charindex": "strpos(x, 'text')",
    "len": "length(x)",
    "approx_count_distinct": "count(distinct x)",
    "array_size": "cardinality(x)",
}


def foreign_functions(sql: str) -> dict[str, str]:
    """The functions that a query calls and Postgres does not have, with what it has instead; in the order of their first call.

    Comments and literals are passed over. A function that the database was given by hand under such a name is named too.
    """
    from sqlglot import errors
    from sqlglot.tokens import Tokenizer, TokenType

    try:
        tokens = Tokenizer(dialect="postgres").tokenize(sql)
    except errors.TokenError:
        return {}  # what is not understood at all is said by the lineage
    found: dict[str, str] = {}
    for before, token, after in zip([None, *tokens], tokens, tokens[1:], strict=False):
        name = token.text.lower()
        called = after.token_type is TokenType.L_PAREN and token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER)
        if called and name in _INSTEAD and (before is None or before.token_type is not TokenType.DOT):
            found.setdefault(name, _INSTEAD[name])
    return found
