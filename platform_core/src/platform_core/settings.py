"""Every environment variable of the platform, in one place. A domain's files never change between a laptop and a cluster.

| variable | meaning | default |
|---|---|---|
| ``MESH_REPO`` | root of the monorepo | found upwards from the working folder |
| ``MESH_HOME`` | local state (embedded Postgres, environments, lake, logs) | ``<repo>/.mesh`` |
| ``MESH_WAREHOUSE_DSN`` | Postgres to use, without user and password | unset: the embedded server |
| ``MESH_WAREHOUSE_ADMIN`` | login role that applies schemas, roles and grants | ``mesh_platform`` |
| ``PGPASSWORD`` / ``PGPASSFILE`` | password of the role in use, by libpq's own rules | embedded: a generated pass file |
| ``MESH_LAKE_URL`` | folder or object-store URL of the lake | ``<home>/lake`` |
| ``MESH_DATAHUB_URL`` / ``MESH_DATAHUB_TOKEN`` | DataHub server (GMS) and its token | unset: proposals are written to a file |
| ``MESH_ALERT_WEBHOOK`` | Slack-compatible webhook for alerts | unset: alerts are stored and printed |
| ``MESH_DEMO_USERS`` | size of the demonstration company, in users | 10000 |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platform_core.errors import MeshError

WORKSPACE_FILE = "workspace.yaml"


class SettingsError(MeshError):
    """An environment variable is missing or has a value that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """The resolved environment. Secrets never show in ``repr``."""

    repo: Path
    home: Path
    lake_url: str
    warehouse_dsn: str | None
    warehouse_admin: str
    datahub_url: str | None
    datahub_token: str | None = field(repr=False)
    alert_webhook: str | None = field(repr=False)
    demo_users: int

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Reads the settings.

        Args:
            environ: Source of the variables, the process environment by default.

        Raises:
            SettingsError: The repository is not found or a number is not one.
        """
        env = os.environ if environ is None else environ
        repo = Path(env["MESH_REPO"]) if env.get("MESH_REPO") else find_repo(Path.cwd())
        home = Path(env["MESH_HOME"]).expanduser() if env.get("MESH_HOME") else repo / ".mesh"
        home = home.absolute()
        return cls(
            repo=repo.absolute(),
            home=home,
            lake_url=env.get("MESH_LAKE_URL") or str(home / "lake"),
            warehouse_dsn=env.get("MESH_WAREHOUSE_DSN") or None,
            warehouse_admin=env.get("MESH_WAREHOUSE_ADMIN") or "mesh_platform",
            datahub_url=(env.get("MESH_DATAHUB_URL") or "").rstrip("/") or None,
            datahub_token=env.get("MESH_DATAHUB_TOKEN") or None,
            alert_webhook=env.get("MESH_ALERT_WEBHOOK") or None,
            demo_users=_positive(env.get("MESH_DEMO_USERS") or "10000", "MESH_DEMO_USERS"),
        )


def find_repo(start: Path) -> Path:
    """The nearest folder at or above ``start`` that holds ``workspace.yaml`` beside ``domains/``.

    Raises:
        SettingsError: There is none.
    """
    for folder in (start, *start.parents):
        if (folder / WORKSPACE_FILE).is_file() and (folder / "domains").is_dir():
            return folder
    raise SettingsError(
        "no mesh repository here or above",
        where=str(start),
        remedy=f"change into the clone (the folder with {WORKSPACE_FILE}) or set MESH_REPO",
    )


def _positive(text: str, name: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise SettingsError(f"{name} is {text!r}, not a positive whole number", remedy=f"set {name} to a number, for example 10000")
    return int(text)
