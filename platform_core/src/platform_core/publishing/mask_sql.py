"""The SQL of masks: from a mask and a column's type to the expression that readers without the personal-data role see.

The expression keeps the column's type, says NULL where the value is NULL, and never raises an error, whatever the value: an error
message could name what is hidden, and one odd value must not take a port from its readers. Dates outside of the years 1 to 9999,
numbers that are infinite or NaN, and those whose bucket begins below the type's range become NULL.
"""

from __future__ import annotations

from decimal import Decimal

from psycopg import sql

from platform_core.contracts import naming
from platform_core.contracts.masking import Mask, base_type, family

_LOWEST = {"smallint": -(2**15), "integer": -(2**31), "bigint": -(2**63)}
_BEYOND = "1e30"
"""Larger floating point numbers go to no bucket: what is computed with them could overflow."""


def masked(mask: Mask, name: str, kind: str) -> sql.Composed:
    """What stands in place of the column ``v.<name>``; has the column's type.

    Args:
        mask: One that fits the type (``contracts.masking.misfit``).
        name: The column.
        kind: Its type, as ``format_type`` prints it.
    """
    value = sql.SQL("v.{}").format(sql.Identifier(name))
    if mask.kind == "null":
        made: sql.Composable = sql.SQL("NULL")
    elif mask.kind == "partial":
        made = _partial(mask, value)
    elif mask.kind == "hash":
        made = _hash(value, kind)
    elif mask.kind == "bucket" and mask.width is not None:
        made = _number_bucket(mask.width, value, kind)
    else:
        made = _date_bucket(mask, value, kind)
    return sql.SQL("CAST({} AS {})").format(made, type_name(kind))


def type_name(kind: str) -> sql.SQL:
    """A type's name as Postgres itself printed it."""
    return sql.SQL(kind)  # pyright: ignore[reportArgumentType]


def _partial(mask: Mask, value: sql.Composable) -> sql.Composed:
    """Three characters or more stay hidden, or all of them do; how many they are is not shown."""
    text = sql.SQL("{}::text").format(value)
    parts = {"t": text, "first": sql.Literal(mask.first), "last": sql.Literal(mask.last), "least": sql.Literal(mask.first + mask.last + 3)}
    if not mask.domain:
        return sql.SQL(
            """CASE WHEN {t} IS NULL THEN NULL WHEN char_length({t}) >= {least}
            THEN left({t}, {first}) || '***' || right({t}, {last}) ELSE '***' END"""
        ).format(**parts)
    parts["tail"] = sql.SQL("strpos(reverse({}), '@')").format(text)  # length of what follows the last @, with it
    return sql.SQL(
        """CASE WHEN {t} IS NULL THEN NULL WHEN {tail} = 0 THEN '***' WHEN char_length({t}) - {tail} >= {least}
        THEN left({t}, {first}) || '***' || right(left({t}, -{tail}), {last}) || right({t}, {tail})
        ELSE '***' || right({t}, {tail}) END"""
    ).format(**parts)


def _hash(value: sql.Composable, kind: str) -> sql.Composed:
    """The first bits of HMAC-SHA-256 of the value's text; the pass is read once a query, with the rights of the view's owner."""
    of = family(kind)
    text = sql.SQL("encode({}, 'hex')" if of == "bytes" else "{}::text").format(value)
    digest = sql.SQL("mesh.keyed_hash({}, (SELECT k.pass FROM mesh.mask_pass AS k))").format(text)
    if of == "bytes":
        return digest
    if of == "integer":
        return sql.SQL("('x' || encode(substr({}, 1, 8), 'hex'))::bit(64)::bigint").format(digest)
    half = sql.SQL("encode(substr({}, 1, 16), 'hex')").format(digest)
    return sql.SQL("{}::uuid").format(half) if of == "uuid" else half


def _number_bucket(width: str, value: sql.Composable, kind: str) -> sql.Composed:
    base, numbers = base_type(kind)
    size = sql.SQL(width)  # pyright: ignore[reportArgumentType]  # a decimal number, checked when it was read
    parts: dict[str, sql.Composable] = {"v": value, "w": size}
    if base in _LOWEST:
        parts["least"] = sql.Literal(_LOWEST[base] + int(width))
        return sql.SQL("CASE WHEN {v} >= {least} THEN {v}::bigint - (({v}::bigint % {w}) + {w}) % {w} END").format(**parts)
    if base in {"real", "double precision"}:
        parts["most"] = sql.SQL(_BEYOND)
        return sql.SQL(
            "CASE WHEN abs({v}::float8) < 1e-30 THEN CASE WHEN {v} < 0 THEN -{w} ELSE 0 END WHEN abs({v}::float8) < {most} THEN floor({v}::float8 / {w}) * {w} END"
        ).format(**parts)
    # mod() of numerics is exact, a division is not.
    lowest = Decimal(width) - Decimal(10) ** (numbers[0] - sum(numbers[1:])) if numbers else "-Infinity"
    parts["least"] = sql.Literal(str(lowest))
    return sql.SQL(
        """CASE WHEN {v} < 'Infinity'::numeric AND {v} > {least}::numeric
        THEN {v} - mod({v}, {w}) - CASE WHEN mod({v}, {w}) < 0 THEN {w} ELSE 0 END END"""
    ).format(**parts)


def _date_bucket(mask: Mask, value: sql.Composable, kind: str) -> sql.Composed:
    base = base_type(kind)[0]
    if base == "date":
        day, back, known = "{}", "{}", "{v} BETWEEN date '0001-01-01' AND date '9999-12-31'"
    elif base == "timestamp without time zone":
        day, back, known = "{}::date", "{}::timestamp", "{v} >= timestamp '0001-01-01' AND {v} < timestamp '10000-01-01'"
    else:  # in UTC, whatever the reader's time zone: two readers see the same
        day, back = "({} AT TIME ZONE 'UTC')::date", "({}::timestamp AT TIME ZONE 'UTC')"
        known = "{v} >= timestamptz '0001-01-01 00:00+00' AND {v} < timestamptz '10000-01-01 00:00+00'"
    made = _first_day(mask, sql.SQL(day).format(value))
    return sql.SQL("CASE WHEN {} THEN {} END").format(sql.SQL(known).format(v=value), sql.SQL(back).format(made))


def _first_day(mask: Mask, day: sql.Composable) -> sql.Composed:
    year = sql.SQL("extract(year FROM {})::integer").format(day)
    if mask.kind == "year":
        return sql.SQL("make_date({}, 1, 1)").format(year)
    if mask.years:
        return sql.SQL("make_date(greatest(1, {year} - {year} % {size}), 1, 1)").format(year=year, size=sql.Literal(mask.years))
    if mask.months:
        month = sql.SQL("extract(month FROM {})::integer").format(day)
        return sql.SQL("make_date({year}, ({month} - 1) / {size} * {size} + 1, 1)").format(
            year=year, month=month, size=sql.Literal(mask.months)
        )
    since = sql.SQL("({} - date '2001-01-01')").format(day)  # a Monday: buckets of 7 days are weeks
    return sql.SQL("greatest(date '0001-01-01', {day} - (({since} % {size}) + {size}) % {size})").format(
        day=day, since=since, size=sql.Literal(mask.days)
    )


def unmasked_for(product_id: str, domain: str) -> sql.Composed:
    """Whether who asks sees personal data in clear: a member of the personal-data role, or of the owner. Asked once a query."""
    return sql.SQL("(SELECT pg_has_role(current_user, {pii}, 'MEMBER') OR pg_has_role(current_user, {owner}, 'MEMBER'))").format(
        pii=sql.Literal(naming.pii_reader_role(product_id)), owner=sql.Literal(naming.owner_role(domain))
    )
