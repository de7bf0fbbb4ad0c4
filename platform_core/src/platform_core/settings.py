"""Every environment variable of the platform, in one place. A domain's files never change between a laptop and a cluster.

| variable | meaning | default |
|---|---|---|
| ``MESH_REPO`` | root of the monorepo | found upwards from the working folder |
| ``MESH_HOME`` | local state (embedded Postgres, environments, lake, logs) | ``<repo>/.mesh`` |
| ``MESH_WAREHOUSE_DSN`` | Postgres to use, without user and password | unset: the embedded server |
| ``MESH_WAREHOUSE_ADMIN`` | login role that applies schemas, roles and grants | ``mesh_platform`` |
| ``PGPASSWORD`` / ``PGPASSFILE`` | password of the role in use, by libpq's own rules | embedded: a generated pass file |
| ``MESH_MASK_KEY`` | key of hashed columns, 16 bytes or more, taken over by ``mesh up`` and ``apply`` | unset: a random one, kept in the warehouse |
| ``MESH_LAKE_URL`` | folder or object-store URL of the lake | ``<home>/lake`` |
| ``MESH_DATAHUB_URL`` / ``MESH_DATAHUB_TOKEN`` | DataHub server (GMS) and its token | unset: proposals are written to a file |
| ``MESH_ALERT_WEBHOOK`` | Slack-compatible webhook for alerts | unset: alerts are stored and printed |
| ``MESH_USER`` | who decides about access, as teams list their members (``mesh access``) | git's ``user.email`` |
| ``MESH_DEMO_USERS`` | size of the demonstration company, in users | 10000 |
| ``MESH_AIRBYTE_URL`` | root of an Airbyte server, as the browser shows it: connections sync there | unset: connectors run embedded |
| ``MESH_AIRBYTE_WORKSPACE`` | id of its workspace | required with the URL |
| ``MESH_AIRBYTE_CLIENT_ID`` / ``MESH_AIRBYTE_CLIENT_SECRET`` | an application's credentials | required, or user and password |
| ``MESH_AIRBYTE_USER`` / ``MESH_AIRBYTE_PASSWORD`` | basic authentication, for servers that are set up so | unset |
| ``MESH_AIRBYTE_WAREHOUSE`` | Postgres address as the Airbyte server reaches it, without user and password | ``MESH_WAREHOUSE_DSN`` |
| ``MESH_AIRBYTE_WAREHOUSE_PASSWORD_<DOMAIN>`` | password of ``<domain>_job``, needed by ``mesh plan`` and ``apply`` only | required there |
| ``MESH_AIRBYTE_PARALLEL`` | most streams of one connection that the server syncs at once | 4 |
| ``MESH_AIRBYTE_POLL`` | longest pause between two looks at a sync, in seconds | 15 |
| ``MESH_AIRBYTE_TIMEOUT`` | longest sync in seconds, where a connection file says none (``timeouts.total``) | 86400 |
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
class AirbyteSettings:
    """An Airbyte server. Secrets never show in ``repr``.

    Attributes:
        url: Root of the server, without a trailing slash.
        workspace: Id of the workspace.
        client_id: Application's id, None with basic authentication.
        client_secret: Its secret.
        username: User of basic authentication, None with an application.
        password: Its password.
        warehouse: Postgres address as the server reaches it, None when it is not said.
        parallel: Most streams of a connection that sync at once.
        poll: Longest pause between two looks at a sync, in seconds.
        timeout: Longest sync in seconds, where the connection file says none.
    """

    url: str
    workspace: str
    client_id: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    warehouse: str | None = field(default=None, repr=False)
    parallel: int = 4
    poll: float = 15.0
    timeout: float = 86_400.0

    @property
    def public_api(self) -> str:
        """Root of the public API."""
        return f"{self.url}/api/public/v1"

    @property
    def configuration_api(self) -> str:
        """Root of the configuration API."""
        return f"{self.url}/api/v1"

    @classmethod
    def load(cls, env: Mapping[str, str]) -> AirbyteSettings | None:
        """The server that the environment selects, None without ``MESH_AIRBYTE_URL``.

        Raises:
            SettingsError: A variable is missing or wrong.
        """
        url = (env.get("MESH_AIRBYTE_URL") or "").rstrip("/")
        if not url:
            return None
        for ending in ("/api/public/v1", "/api/public", "/api/v1", "/api"):
            url = url.removesuffix(ending)
        if not url.startswith(("http://", "https://")):
            raise SettingsError("MESH_AIRBYTE_URL is no address", remedy="write the server's root: https://airbyte.example.com")
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise SettingsError("MESH_AIRBYTE_URL carries a login", remedy="use MESH_AIRBYTE_CLIENT_ID and MESH_AIRBYTE_CLIENT_SECRET")
        if not env.get("MESH_AIRBYTE_WORKSPACE"):
            remedy = "set it to the id that the browser shows: <server>/workspaces/<id>"
            raise SettingsError("MESH_AIRBYTE_WORKSPACE is not set, but MESH_AIRBYTE_URL is", remedy=remedy)
        application = bool(env.get("MESH_AIRBYTE_CLIENT_ID")), bool(env.get("MESH_AIRBYTE_CLIENT_SECRET"))
        basic = bool(env.get("MESH_AIRBYTE_USER")), bool(env.get("MESH_AIRBYTE_PASSWORD"))
        if (all(application), all(basic)) not in {(True, False), (False, True)} or any(application) == any(basic):
            raise SettingsError(
                "MESH_AIRBYTE_URL is set without one complete login",
                remedy="set MESH_AIRBYTE_CLIENT_ID and MESH_AIRBYTE_CLIENT_SECRET, or MESH_AIRBYTE_USER and MESH_AIRBYTE_PASSWORD",
            )
        return cls(
            url=url,
            workspace=env["MESH_AIRBYTE_WORKSPACE"],
            client_id=env.get("MESH_AIRBYTE_CLIENT_ID") or None,
            client_secret=env.get("MESH_AIRBYTE_CLIENT_SECRET") or None,
            username=env.get("MESH_AIRBYTE_USER") or None,
            password=env.get("MESH_AIRBYTE_PASSWORD") or None,
            warehouse=env.get("MESH_AIRBYTE_WAREHOUSE") or env.get("MESH_WAREHOUSE_DSN") or None,
            parallel=_positive(env.get("MESH_AIRBYTE_PARALLEL") or "4", "MESH_AIRBYTE_PARALLEL"),
            poll=_seconds(env.get("MESH_AIRBYTE_POLL") or "15", "MESH_AIRBYTE_POLL"),
            timeout=_seconds(env.get("MESH_AIRBYTE_TIMEOUT") or "86400", "MESH_AIRBYTE_TIMEOUT"),
        )


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
    airbyte: AirbyteSettings | None = None
    mask_key: str | None = field(default=None, repr=False)

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
            airbyte=AirbyteSettings.load(env),
            mask_key=env.get("MESH_MASK_KEY") or None,
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


def _seconds(text: str, name: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise SettingsError(f"{name} is {text!r}, not a number of seconds", remedy=f"set {name} to a number, for example 900")
    return seconds
