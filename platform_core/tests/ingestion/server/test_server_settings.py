"""Which Airbyte server, if any, the environment selects."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_core.settings import AirbyteSettings, Settings, SettingsError

COMPLETE = {
    "MESH_AIRBYTE_URL": "https://airbyte.example.com",
    "MESH_AIRBYTE_WORKSPACE": "5ae6b09b-fdec-41af-aaf7-7d94cfc33ef6",
    "MESH_AIRBYTE_CLIENT_ID": "the-id",
    "MESH_AIRBYTE_CLIENT_SECRET": "the-secret",
}
BASIC = {"MESH_AIRBYTE_USER": "admin", "MESH_AIRBYTE_PASSWORD": "the-password"}


def _load(**changes: str) -> AirbyteSettings:
    loaded = AirbyteSettings.load({**COMPLETE, **changes})
    assert loaded is not None
    return loaded


def test_without_a_url_connectors_run_embedded(repo: Path) -> None:
    assert Settings.load({"MESH_REPO": str(repo)}).airbyte is None
    assert AirbyteSettings.load({**COMPLETE, "MESH_AIRBYTE_URL": ""}) is None


@pytest.mark.parametrize("ending", ["", "/", "/api", "/api/", "/api/v1", "/api/public/v1", "/api/public/v1/"])
def test_any_of_the_addresses_that_people_copy_will_do(ending: str) -> None:
    loaded = _load(MESH_AIRBYTE_URL=f"https://airbyte.example.com{ending}")
    assert loaded.public_api == "https://airbyte.example.com/api/public/v1"
    assert loaded.configuration_api == "https://airbyte.example.com/api/v1"


def test_the_warehouse_is_that_of_the_platform_unless_the_server_reaches_it_elsewhere() -> None:
    assert _load(MESH_WAREHOUSE_DSN="postgresql://a/mesh").warehouse == "postgresql://a/mesh"
    assert _load(MESH_WAREHOUSE_DSN="postgresql://a/mesh", MESH_AIRBYTE_WAREHOUSE="postgresql://b/mesh").warehouse == "postgresql://b/mesh"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"MESH_AIRBYTE_URL": "airbyte.example.com"}, "MESH_AIRBYTE_URL is no address"),
        ({"MESH_AIRBYTE_URL": "https://me:pw@airbyte.example.com"}, "carries a login"),
        ({"MESH_AIRBYTE_WORKSPACE": ""}, "MESH_AIRBYTE_WORKSPACE is not set"),
        ({"MESH_AIRBYTE_CLIENT_SECRET": ""}, "one complete login"),
        ({"MESH_AIRBYTE_CLIENT_ID": "", "MESH_AIRBYTE_CLIENT_SECRET": ""}, "one complete login"),
        (BASIC, "one complete login"),
        ({"MESH_AIRBYTE_USER": "admin"}, "one complete login"),
        ({"MESH_AIRBYTE_PARALLEL": "none"}, "MESH_AIRBYTE_PARALLEL is 'none'"),
        ({"MESH_AIRBYTE_TIMEOUT": "-1"}, "MESH_AIRBYTE_TIMEOUT is '-1'"),
        ({"MESH_AIRBYTE_POLL": "nan"}, "MESH_AIRBYTE_POLL is 'nan'"),
    ],
)
def test_an_incomplete_or_wrong_selection_names_the_variable(changes: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        _load(**changes)
    assert caught.value.remedy
    assert "pw" not in str(caught.value)


def test_user_and_password_do_instead_of_an_application() -> None:
    loaded = _load(**BASIC, MESH_AIRBYTE_CLIENT_ID="", MESH_AIRBYTE_CLIENT_SECRET="")
    assert (loaded.client_id, loaded.username, loaded.password) == (None, "admin", "the-password")


def test_secrets_do_not_show(repo: Path) -> None:
    shown = repr(Settings.load({**COMPLETE, "MESH_REPO": str(repo)})) + repr(
        _load(**BASIC, MESH_AIRBYTE_CLIENT_ID="", MESH_AIRBYTE_CLIENT_SECRET="")
    )
    assert "the-secret" not in shown
    assert "the-password" not in shown
