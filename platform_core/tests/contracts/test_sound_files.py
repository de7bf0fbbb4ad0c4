"""What the official schema accepted once is not validated again; what it refused always is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_core.contracts import official, sound_files
from platform_core.contracts.source import load_yaml

SOUND = "kind: DataProduct\napiVersion: v1.1.0\nid: a.b\nstatus: active\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for local state, seen by a process that has read nothing yet."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("MESH_HOME", str(folder))
    monkeypatch.setenv("MESH_REPO", str(tmp_path))
    _forget()
    yield folder
    _forget()


def _forget() -> None:
    for function in (sound_files._known, sound_files._path):  # pyright: ignore[reportPrivateUsage]
        function.cache_clear()


def _check(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Problems found, and how often the schema was asked."""
    path.write_text(text)
    asked: list[str] = []
    original = official.check_release

    def counted(*arguments: object) -> object:
        asked.append("")
        return original(*arguments)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patched:
        patched.setattr(official, "check_release", counted)
        return len(official.check(load_yaml(path), "odps")), len(asked)


def test_a_sound_content_is_validated_once_for_all_processes(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.yaml"
    assert _check(path, SOUND, monkeypatch) == (0, 1)
    assert _check(path, SOUND, monkeypatch) == (0, 0)
    _forget()  # as another process
    assert _check(path, SOUND, monkeypatch) == (0, 0)
    assert _check(path, SOUND.replace("active", "draft"), monkeypatch) == (0, 1)


def test_a_refused_content_is_refused_again(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.yaml"
    for _ in range(2):
        problems, asked = _check(path, SOUND + "nonsense: 1\n", monkeypatch)
        assert problems
        assert asked == 1


def test_a_date_is_not_its_text() -> None:
    import datetime

    assert sound_files.verdict_key(datetime.date(2026, 1, 1), b"") != sound_files.verdict_key("2026-01-01", b"")
    assert sound_files.verdict_key({}, b"a") != sound_files.verdict_key({}, b"b"), "another schema judges anew"


def test_a_file_that_cannot_be_used_costs_time_only(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "sound-files").mkdir()
    assert _check(tmp_path / "p.yaml", SOUND, monkeypatch) == (0, 1)
    assert _check(tmp_path / "p.yaml", SOUND, monkeypatch) == (0, 0), "this process still knows"


def test_lines_of_processes_at_once_do_not_mix(home: Path) -> None:
    code = (
        "from platform_core.contracts.sound_files import remember_sound, verdict_key\n"
        "import sys\n"
        "for n in range(300): remember_sound(verdict_key(n, sys.argv[1].encode()))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for number in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    lines = (home / "sound-files").read_text().splitlines()
    assert (len(set(lines)), {len(line) for line in lines}) == (900, {64})
