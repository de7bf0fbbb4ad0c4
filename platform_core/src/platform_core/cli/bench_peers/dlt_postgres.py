"""One run of dlt for ``mesh bench ingest``, in dlt's own environment.

Its fastest path, Arrow tables to Parquet files to ADBC, or its usual one, dictionaries whose types it infers and keeps, to CSV.

Usage: dlt_postgres.py MESSAGES CATALOG (arrow | dicts) (append | merge) SCHEMA; the database's URL is in DESTINATION__POSTGRES__CREDENTIALS.
"""

# Runs in an environment of its own, whose packages pyright does not see here.
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import sys
from pathlib import Path

import dlt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

ROWS = 50_000


def table(rows, instants):
    # Nested values as JSON text: Arrow structs have no counterpart in Postgres.
    nested = {key for row in rows[:100] for key, value in row.items() if isinstance(value, dict | list)}
    for row in rows:
        for key in nested:
            row[key] = orjson.dumps(row.get(key)).decode()
    made = pa.Table.from_pylist(rows)
    for index, field in enumerate(made.schema):
        if field.name in instants:  # the same types as our raw tables have: instants, not texts; without a zone they are UTC
            text = made.column(index).cast(pa.string())
            zoned = pc.if_else(pc.match_substring_regex(text, r"(Z|[+-]\d\d:?\d\d)$"), text, pc.binary_join_element_wise(text, "Z", ""))
            made = made.set_column(index, field.name, zoned.cast(pa.timestamp("us", "UTC")))
    return made


def records(path):
    with Path(path).open("rb") as file:
        for line in file:
            message = orjson.loads(line)
            if message["type"] == "RECORD":
                yield message["record"]["stream"], message["record"]["data"]


def rows(path):
    for name, data in records(path):
        yield dlt.mark.with_table_name(data, name)


def tables(path, catalog):
    streams = orjson.loads(Path(catalog).read_bytes())["catalog"]["streams"]
    instants = {
        stream["name"]: {name for name, schema in stream["json_schema"]["properties"].items() if schema.get("format") == "date-time"}
        for stream in streams
    }
    waiting = {}
    for name, data in records(path):
        found = waiting.setdefault(name, [])
        found.append(data)
        if len(found) == ROWS:
            yield dlt.mark.with_table_name(table(waiting.pop(name), instants[name]), name)
    for name, found in waiting.items():
        yield dlt.mark.with_table_name(table(found, instants[name]), name)


def main():
    path, catalog, form, disposition, schema = sys.argv[1:]
    resource = dlt.resource(
        tables(path, catalog) if form == "arrow" else rows(path),
        name="recorded",
        write_disposition=disposition,
        primary_key="id" if disposition == "merge" else None,
    )
    pipeline = dlt.pipeline("bench", destination="postgres", dataset_name=schema)
    pipeline.run(resource, loader_file_format="parquet" if form == "arrow" else "csv").raise_on_failed_jobs()


if __name__ == "__main__":
    main()
