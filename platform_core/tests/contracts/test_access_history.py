"""An entry is added to an access file without touching what stands there."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_core.contracts import AccessRequest, ContractError, load_yaml
from platform_core.contracts.access_file import Ports
from platform_core.contracts.access_history import access_path, add_entry

Files = Any  # the fixture's type; test modules do not import each other

PORT, WHO = "shop.customers.customers", "domain:sales"
ASKED = {"action": "requested", "at": datetime(2026, 1, 5, 9, tzinfo=UTC), "by": "sales@example.com", "purpose": "Letters."}
APPROVED = {"action": "approved", "at": datetime(2026, 1, 6, 9, tzinfo=UTC), "by": "shop@example.com"}
Add = Callable[..., AccessRequest]


@pytest.fixture
def add(files: Files) -> Add:
    """Adds an entry to the file of ``WHO``, or of another."""

    def run(entry: dict[str, Any], who: str = WHO) -> AccessRequest:
        mesh = files.mesh()
        ports = Ports(mesh.domains, mesh.products, mesh.broken)
        return add_entry(access_path(files.root, PORT, who), PORT, who, entry, ports, files.root / "lock")

    return run


def _path(files: Files, who: str = WHO) -> Path:
    return access_path(files.root, PORT, who)


def test_the_first_request_makes_a_file_that_an_editor_can_check(files: Files, add: Add) -> None:
    request = add({**ASKED, "personalData": True, "until": date(2026, 6, 30)})
    assert (request.number, request.personal_data, request.until) == (1, True, date(2026, 6, 30))
    lines = _path(files).read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../../access.schema.json"
    assert lines[2:] == [
        "port: shop.customers.customers",
        "principal: domain:sales",
        "history:",
        "  - action: requested",
        "    at: 2026-01-05T09:00:00Z",
        "    by: sales@example.com",
        "    purpose: Letters.",
        "    personalData: true",
        "    until: 2026-06-30",
    ]
    assert files.mesh().problems == ()


STYLES = {
    "comments everywhere": (
        "# above\nport: shop.customers.customers # the port\nprincipal: domain:sales\nhistory: # oldest first\n"
        "  # why they asked\n  - action: requested # first\n    at: 2026-01-05T09:00:00Z\n    by: a@example.com\n    purpose: x # short\n\n# below\n"
    ),
    "no newline at the end": (
        "port: shop.customers.customers\nprincipal: domain:sales\nhistory:\n- action: requested\n  at: 2026-01-05T09:00:00Z\n"
        "  by: a@example.com\n  purpose: x"
    ),
    "a folded purpose at the end": (
        "port: shop.customers.customers\nprincipal: domain:sales\nhistory:\n    - action: requested\n      at: 2026-01-05T09:00:00Z\n"
        "      by: a@example.com\n      purpose: >-\n        one\n        two\n\n\n# end\n"
    ),
    "a kept literal at the end": (
        "port: shop.customers.customers\nprincipal: domain:sales\nhistory:\n  - action: requested\n    at: 2026-01-05T09:00:00Z\n"
        "    by: a@example.com\n    purpose: |+\n      one\n\n"
    ),
    "brackets in the entry": (
        "port: shop.customers.customers\nprincipal: domain:sales\nhistory:\n"
        "  - {action: requested, at: '2026-01-05T09:00:00Z',\n     by: a@example.com, purpose: x}\n"
    ),
    "the history first": (
        "history:\n  - action: requested\n    at: 2026-01-05T09:00:00Z\n    by: a@example.com\n    purpose: 'two\n\n      lines'\n"
        "principal: domain:sales\n# the port\nport: shop.customers.customers\n"
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("style", STYLES)
def test_what_stands_there_stays(files: Files, add: Add, style: str, newline: str) -> None:
    before = STYLES[style].replace("\n", newline).encode()
    files.write(str(_path(files).relative_to(files.root)), before)
    old = load_yaml(_path(files)).data
    assert add(APPROVED).approved is not None
    after = _path(files).read_bytes()
    kept, added = before.splitlines(), after.splitlines()
    start = next(number for number, line in enumerate(added) if number == len(kept) or line != kept[number])
    assert added[start : start + 3] == [line for line in added if b"action: approved" in line or b"2026-01-06" in line or b"shop@" in line]
    assert added[:start] + added[start + 3 :] == kept, "three lines came in between, every other one is as it was"
    assert load_yaml(_path(files)).data["history"][:-1] == old["history"]
    assert files.mesh().problems == ()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1).filter(lambda text: text.strip() and "\x00" not in text))
def test_any_purpose_is_read_as_it_was_given(files: Files, add: Add, text: str) -> None:
    _path(files).unlink(missing_ok=True)
    try:
        made = add({**ASKED, "purpose": text})
    except ContractError as error:
        assert "YAML" in str(error), error  # a character that no YAML file can hold
        assert not _path(files).exists()
        return
    assert made.purpose == text
    assert add({**APPROVED, "by": "shop@example.com"}).approved is not None


@pytest.mark.parametrize("entry", [{**APPROVED, "by": "sales@example.com"}, {**APPROVED, "action": "revoked", "reason": "x"}, ASKED])
def test_an_entry_that_cannot_follow_changes_nothing(files: Files, add: Add, entry: dict[str, Any]) -> None:
    add(ASKED)
    before = _path(files).read_bytes()
    with pytest.raises(ContractError) as error:
        add(entry)
    assert str(_path(files)) in str(error.value)
    assert _path(files).read_bytes() == before
    assert [path.name for path in _path(files).parent.iterdir()] == [_path(files).name], "nothing is left beside it"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("port: [", "not valid YAML"),
        ("port: shop.customers.customers\nprincipal: domain:sales\nhistory: []\n", "no history that could be added to"),
        (
            "port: shop.customers.customers\nprincipal: domain:sales\n"
            "history: [{action: requested, at: '2026-01-05T09:00:00Z', by: a, purpose: x}]\n",
            "in brackets",
        ),
    ],
)
def test_a_file_that_cannot_be_added_to_says_so(files: Files, add: Add, content: str, said: str) -> None:
    files.write(str(_path(files).relative_to(files.root)), content)
    with pytest.raises(Exception, match=said):
        add(APPROVED)
    assert _path(files).read_text() == content


def test_the_modes_of_files_stay(files: Files, add: Add) -> None:
    add(ASKED)
    _path(files).chmod(0o640)
    add(APPROVED)
    assert _path(files).stat().st_mode & 0o777 == 0o640


def test_two_at_once_leave_one_sound_history(files: Files, add: Add) -> None:
    add(ASKED)

    def approve(_: int) -> bool:
        try:
            add(APPROVED)
        except ContractError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(approve, range(6))) == [False] * 5 + [True]
    assert len(load_yaml(_path(files)).data["history"]) == 2


def test_a_write_that_fails_leaves_the_file(files: Files, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add(ASKED)
    before = _path(files).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        add(APPROVED)
    assert _path(files).read_bytes() == before
    assert len(list(_path(files).parent.iterdir())) == 1
