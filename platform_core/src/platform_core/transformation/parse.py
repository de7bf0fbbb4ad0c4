"""``python -m platform_core.transformation.parse FOLDER TARGET [FOLDER TARGET ...]``: ``dbt parse`` of several projects in one process."""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Parses each project into its target folder; 1 when dbt rejects one."""
    from dbt.cli.main import dbtRunner

    for folder, target in zip(arguments[::2], arguments[1::2], strict=True):
        options = ["--project-dir", folder, "--profiles-dir", folder, "--target-path", target, "--log-path", str(Path(target) / "logs")]
        result = dbtRunner().invoke(["--quiet", "parse", *options])
        if not result.success:
            if result.exception is not None:
                sys.stderr.write(f"{folder}: {result.exception}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
