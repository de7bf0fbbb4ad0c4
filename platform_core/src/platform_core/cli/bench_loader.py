"""One run of our loader for ``mesh bench ingest``, as a process of its own: ``python -m platform_core.cli.bench_loader JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from platform_core.cli.start import importing


def main(argument: str) -> None:
    """Syncs a recording into the benchmark's Postgres, as ``mesh ingest`` would, raw copy included."""
    with importing():
        from platform_core.ingestion import ConnectorCommand, load_connection, run_sync
        from platform_core.settings import Settings
        from platform_core.warehouse import EmbeddedPostgres, Warehouse

    given = json.loads(argument)
    folder = Path(given["folder"])
    server = EmbeddedPostgres(folder / "postgres")
    warehouse = Warehouse({**server.conninfo(), "dbname": given["database"]}, server=server)
    settings = Settings.load({"MESH_REPO": str(folder), "MESH_HOME": str(folder / "home")})
    connection = load_connection(Path(given["connection"]))
    result = run_sync(
        connection,
        warehouse=warehouse,
        settings=settings,
        connector=ConnectorCommand((given["source"],), "recorded-faker", "1"),
    )
    sys.stdout.write(json.dumps({name: stream.rows for name, stream in result.streams.items()}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
