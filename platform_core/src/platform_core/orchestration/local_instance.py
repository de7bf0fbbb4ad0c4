"""The Dagster instance of a laptop: its ``dagster.yaml``, written from the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from platform_core.settings import Settings
from platform_core.warehouse import DAGSTER_DATABASE, DAGSTER_ROLE, EmbeddedPostgres

MAX_CONCURRENT_RUNS = 3
_CONFIGURATION = "dagster.yaml"


def instance_home(settings: Settings) -> Path:
    """The instance's folder (``DAGSTER_HOME``)."""
    return settings.home / "dagster"


def shell_instance(settings: Settings) -> Path:
    """The instance for programs that a person starts: the platform's while its server runs, else one of its own beside it, in SQLite.

    So ``dagster dev`` and ``dagster definitions validate`` work before the first ``mesh up``, and nothing they leave behind is taken
    for the platform's. Telemetry is off in both.
    """
    home = instance_home(settings)
    if (home / _CONFIGURATION).is_file() and EmbeddedPostgres(settings.home / "postgres").running():
        return home
    return _write(settings.home / "dagster-alone", {"telemetry": {"enabled": False}, "nux": {"enabled": False}})


def write_instance(settings: Settings, server: EmbeddedPostgres) -> Path:
    """Writes the instance's configuration and returns its folder. It holds no password: libpq finds it in the pass file."""
    return _write(instance_home(settings), configuration(settings, server))


def configuration(settings: Settings, server: EmbeddedPostgres) -> dict[str, Any]:
    """The content of ``dagster.yaml``."""
    parameters = server.conninfo()
    passfile = quote(parameters["passfile"], safe="")
    url = f"postgresql://{DAGSTER_ROLE}@{parameters['host']}:{parameters['port']}/{DAGSTER_DATABASE}?passfile={passfile}"
    folder = instance_home(settings)
    return {
        "storage": {"postgres": {"postgres_url": url}},
        "run_launcher": {"module": "platform_core.orchestration.run_launcher", "class": "WarmRunLauncher"},
        "run_coordinator": {
            "module": "platform_core.orchestration.run_queue",
            "class": "WarmRunCoordinator",
            "config": {"max_concurrent_runs": MAX_CONCURRENT_RUNS, "dequeue_interval_seconds": 1},
        },
        # A worker that was killed is noticed within seconds and its run is tried again; a run that failed by itself is not.
        "run_monitoring": {"enabled": True, "poll_interval_seconds": 5, "start_timeout_seconds": 120, "max_resume_run_attempts": 0},
        "run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False},
        "sensors": {"use_threads": True, "num_workers": 4},
        "schedules": {"use_threads": True, "num_workers": 2},
        "local_artifact_storage": {
            "module": "dagster.core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(folder)},
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "code_servers": {"local_startup_timeout": 120},
        "retention": {"sensor": {"purge_after_days": {"skipped": 1, "failure": 30, "success": 30}}},
    }


def _write(folder: Path, configuration: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = "# Written by `mesh`; edits are lost.\n" + yaml.safe_dump(configuration, sort_keys=False)
    target = folder / _CONFIGURATION
    if not target.is_file() or target.read_text() != text:
        temporary = folder / f"{_CONFIGURATION}.{os.getpid()}"
        temporary.write_text(text)
        temporary.replace(target)
    return folder
