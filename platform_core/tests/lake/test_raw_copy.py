"""The raw copy of a sync when the lake fails: one clear error, and nothing is held open."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_core.lake import RawCopy, RawCopyError


def open_files(folder: Path) -> list[str]:
    """Files below a folder that this process holds open."""
    held: list[str] = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            held.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the one that lists them
            continue
    return [name for name in held if name.startswith(str(folder))]


def test_an_error_of_the_store_keeps_its_one_remedy(tmp_path: Path) -> None:
    raw = RawCopy(str(tmp_path), "sales", "shop", "s1")
    raw.write(b'{"type":"RECORD"}')
    (tmp_path / "raw/sales/shop/s1/manifest.json").mkdir()
    with pytest.raises(RawCopyError) as failed:
        raw.finish({})
    assert str(failed.value).count("remedy:") == 1
    assert "manifest.json" in str(failed.value)


def test_a_copy_that_cannot_be_written_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = RawCopy(str(tmp_path), "sales", "shop", "s1")
    assert open_files(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("platform_core.lake.raw_copy.Sink.write", full)
    raw.write(b'{"type":"RECORD"}')
    with pytest.raises(RawCopyError, match="No space left on device"):
        raw.finish({})
    assert open_files(tmp_path) == []
