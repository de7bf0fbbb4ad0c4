"""One run of PyAirbyte for ``mesh bench ingest``, in its own environment: a source into its Postgres cache.

Usage: pyairbyte_postgres.py SOURCE SCHEMA; host, port, user, password and database are in PGHOST and so on.
"""

# Runs in an environment of its own, whose packages pyright does not see here.
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import os
import sys
from pathlib import Path

from airbyte.caches import PostgresCache

from airbyte import get_source


def main():
    program, schema = sys.argv[1:]
    source = get_source("source-faker", local_executable=Path(program), config={}, install_if_missing=False)
    source.select_all_streams()
    cache = PostgresCache(
        host=os.environ["PGHOST"],
        port=int(os.environ["PGPORT"]),
        username=os.environ["PGUSER"],
        password=os.environ["PGPASSWORD"],
        database=os.environ["PGDATABASE"],
        schema_name=schema,
    )
    source.read(cache=cache, force_full_refresh=True)


if __name__ == "__main__":
    main()
