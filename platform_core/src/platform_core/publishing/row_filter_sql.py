"""The SQL of row filters: a reader's attributes, looked up once a query with the rights of the view's owner, against a column."""

from __future__ import annotations

from psycopg import sql

from platform_core.contracts import naming
from platform_core.contracts.masking import base_type, family
from platform_core.contracts.row_filter import EVERY, RowFilter

_UUID = "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$"
_WHOLE = r"^-?[0-9]{1,18}$"


def row_condition(wanted: RowFilter, kind: str, domain: str) -> sql.Composed:
    """Whether a row ``v`` is shown to who asks: to the owner, to who has the attribute with every value, and to who has the row's.

    The attributes are those of the roles of which the reader is a member, given by the platform or by the port's own domain.
    A value that is none of the column's type is nobody's.
    """
    mine = sql.SQL(
        """FROM mesh.reader_attributes AS a JOIN pg_catalog.pg_roles AS r ON r.rolname = a.role
           WHERE a.attribute = {attribute} AND a.domain IN ('', {domain}) AND pg_has_role(current_user, r.oid, 'MEMBER')"""
    ).format(attribute=sql.Literal(wanted.attribute), domain=sql.Literal(domain))
    value, array = _typed(kind)
    return sql.SQL(
        """((SELECT pg_has_role(current_user, {owner}, 'MEMBER') OR EXISTS (SELECT {mine} AND a.value = {every}))
            OR v.{column} = ANY ((SELECT array_agg({value}) {mine})::{array}))"""
    ).format(
        owner=sql.Literal(naming.owner_role(domain)),
        mine=mine,
        every=sql.Literal(EVERY),
        column=sql.Identifier(wanted.column),
        value=value,
        array=array,
    )


def _typed(kind: str) -> tuple[sql.Composable, sql.SQL]:
    if family(kind) == "integer":
        return sql.SQL("CASE WHEN a.value ~ {} THEN a.value::bigint END").format(sql.Literal(_WHOLE)), sql.SQL("bigint[]")
    if family(kind) == "uuid":
        return sql.SQL("CASE WHEN a.value ~ {} THEN a.value::uuid END").format(sql.Literal(_UUID)), sql.SQL("uuid[]")
    fixed = base_type(kind)[0] == "character"  # blanks at the end do not count
    return sql.SQL("a.value"), sql.SQL("bpchar[]" if fixed else "text[]")
