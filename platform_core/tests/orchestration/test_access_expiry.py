"""Access ends by itself: the platform's sensor takes it back, and says so a week before and afterwards, once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from platform_core.contracts import Mesh, load_mesh
from platform_core.orchestration.access_expiry import expire_access, notices
from platform_core.orchestration.platform_location import access_expiry, platform_definitions
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse, apply

FILE = "domains/customer/access/customer.profiles.profiles.domain-marketing.yaml"
HISTORY = """\
port: customer.profiles.profiles
principal: domain:marketing
history:
  - action: requested
    at: 2026-01-05T09:00:00Z
    by: marketing-data@example.com
    purpose: Birthday cards.
    personalData: true
    until: 2026-06-30
  - action: approved
    at: 2026-01-06T09:00:00Z
    by: customer-data@example.com
"""
RENEWAL = """\
  - action: requested
    at: 2026-06-20T09:00:00Z
    by: marketing-data@example.com
    purpose: Birthday cards.
    personalData: true
"""
END = datetime(2026, 7, 1, tzinfo=UTC)
SOON = "access of domain:marketing to customer.profiles.profiles ends after 2026-06-30"
OVER = "access of domain:marketing to customer.profiles.profiles expired on 2026-06-30"


@pytest.fixture
def files(repo: Path, tmp_path: Path) -> Path:
    """The company's files with one access that ends."""
    for name in ("domains", "airbyte"):
        shutil.copytree(repo / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(repo / "workspace.yaml", tmp_path)
    (tmp_path / FILE).write_text(HISTORY)
    return tmp_path


@pytest.fixture
def mesh(files: Path) -> Mesh:
    return load_mesh(files)


@pytest.fixture
def settings(files: Path, tmp_path: Path) -> Settings:
    return Settings.load({"MESH_REPO": str(files), "MESH_HOME": str(tmp_path / "home")})


def _alerts(warehouse: Warehouse) -> list[tuple[str, str]]:
    with warehouse.connect_platform() as admin:
        return [(str(domain), str(title)) for domain, title in admin.execute("SELECT domain, title FROM mesh.alerts ORDER BY id")]


def _reads_in_clear(warehouse: Warehouse) -> bool:
    with warehouse.connect_platform() as admin:
        row = admin.execute("SELECT pg_has_role('marketing_owner', 'customer_profiles_reader_pii', 'MEMBER')").fetchone()
    return row == (True,)


def test_an_access_ends_with_its_last_day_and_both_domains_hear_of_it(empty_database: Warehouse, mesh: Mesh, settings: Settings) -> None:
    apply(empty_database, mesh, now=END - timedelta(days=30))

    def tick(moment: datetime) -> list[tuple[str, str]]:
        before = _alerts(empty_database)
        expire_access(settings, empty_database, mesh, moment)
        return _alerts(empty_database)[len(before) :]

    assert tick(END - timedelta(days=7, seconds=1)) == []
    assert tick(END - timedelta(days=7)) == [("customer", SOON), ("marketing", SOON)]
    assert tick(END - timedelta(seconds=1)) == [], "said once"
    assert _reads_in_clear(empty_database)
    assert tick(END) == [("customer", OVER), ("marketing", OVER)]
    assert not _reads_in_clear(empty_database)
    assert tick(END + timedelta(seconds=30)) == []


def test_what_is_asked_to_be_renewed_or_ends_otherwise_is_not_announced(mesh: Mesh, files: Path) -> None:
    soon = END - timedelta(days=2)
    assert [alert.title for alert in notices(mesh, soon)] == [SOON, SOON]
    assert all("--pii" in alert.detail and "Birthday cards." in alert.detail for alert in notices(mesh, soon))
    (files / FILE).write_text(HISTORY + RENEWAL)
    assert list(notices(load_mesh(files), soon)) == []
    (files / FILE).write_text(
        HISTORY + RENEWAL + "  - {action: denied, at: 2026-06-21T09:00:00Z, by: customer-data@example.com, reason: No.}\n"
    )
    assert len(list(notices(load_mesh(files), soon))) == 2


def test_the_sensor_runs_within_a_minute_without_anybody_switching_it_on() -> None:
    (sensor,) = [item for item in platform_definitions().sensors or [] if getattr(item, "name", None) == "access_expiry"]
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert (sensor.minimum_interval_seconds or 60) < 60


def test_the_sensor_takes_back_what_has_ended_by_now(
    empty_database: Warehouse, settings: Settings, select: Callable[[Warehouse, Path, Path], None]
) -> None:
    """With the clock of the machine, as the daemon runs it."""
    ended = settings.repo / FILE
    ended.write_text(HISTORY.replace("2026-06-30", "2025-06-30").replace("2026-01", "2025-01"))
    apply(empty_database, load_mesh(settings.repo), now=datetime(2025, 3, 1, tzinfo=UTC))
    assert _reads_in_clear(empty_database)
    select(empty_database, settings.repo, settings.home)
    with dg.build_sensor_context() as context:
        result = access_expiry.evaluate_tick(context)
    assert "took back role customer_profiles_reader_pii from marketing_owner" in str(result.skip_message)
    assert not _reads_in_clear(empty_database)
