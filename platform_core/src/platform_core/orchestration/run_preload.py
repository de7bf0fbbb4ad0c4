"""What the fork server imports before it forks runs: the heavy libraries that most runs need, nothing of a domain.

A domain's own code is imported by each run, so a changed file takes effect at the next run.
"""

import dagster_dbt  # noqa: F401  # pyright: ignore[reportUnusedImport]
import dagster_postgres  # noqa: F401  # pyright: ignore[reportUnusedImport]
import great_expectations  # pyright: ignore[reportUnusedImport]
import great_expectations.expectations  # noqa: F401  # pyright: ignore[reportUnusedImport]
