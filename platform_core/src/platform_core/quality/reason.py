"""What a database error may say in a report: never a value of the data.

Postgres quotes the offending value in the messages of its data exceptions (``invalid input syntax for type integer:
"jane@example.org"``). Of those only the kind of the error is told.
"""

from __future__ import annotations

import re

import psycopg
from psycopg import errors

_DRIVER_TEXT = re.compile(r"\(psycopg2\.(?:errors\.)?(?P<name>\w+)\)\s*(?P<message>[^\n]*)")
_SECRETIVE = ("22", "23", "P0")  # data exceptions, integrity violations, messages raised by functions
_WITHOUT_DATA = {"OperationalError", "InterfaceError"}  # of the connection, raised by the client library
_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")


def reason_of(error: psycopg.Error | str) -> str:
    """One line about an error of either driver.

    Args:
        error: An error of psycopg, or the text of one of SQLAlchemy's (which names the class of psycopg2).
    """
    if isinstance(error, psycopg.Error):
        state = error.sqlstate or ""
        name, message = type(error).__name__, error.diag.message_primary or str(error).strip().split("\n")[0]
    else:
        found = _DRIVER_TEXT.search(error)
        if found is None:
            return error.strip().split("\n")[0][:300]
        name, message = found["name"], found["message"]
        # Both drivers name their classes after Postgres' own list of conditions.
        state = getattr(errors, name, psycopg.Error).sqlstate or ""
    words = _CAMEL.sub(" ", name).lower()
    unknown = not state and name not in _WITHOUT_DATA
    if unknown or state.startswith(_SECRETIVE):
        return f"{words} (the database's message may quote data; run the query to see it)"
    return f"{words}: {message}"
