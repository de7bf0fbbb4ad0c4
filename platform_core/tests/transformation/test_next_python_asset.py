"""The next version of a candidate in Python: found in the syntax, copied under the next name, never copied with what is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_core.errors import MeshError
from platform_core.transformation.next_python_asset import copied_asset

BODY = "    return orders\n"


def _copied(tmp_path: Path, text: str, model: str = "ranks") -> str | None:
    (tmp_path / "made.py").write_text("import dagster as dg\nfrom dagster import AssetKey, asset\n\n" + text)
    found = copied_asset(tmp_path, "sales", model, f"{model}_v2")
    return found and found.text


@pytest.mark.parametrize(
    ("decorator", "function", "expected"),
    [
        ('@dg.asset(key=["sales", "build", "ranks"])', "ranks", '@dg.asset(key=["sales", "build", "ranks_v2"])'),
        ('@dg.asset(key="sales/build/ranks", code_version="1")', "ranks", '@dg.asset(key="sales/build/ranks_v2", code_version="1")'),
        ('@asset(key=AssetKey(["sales", "build", "ranks"]))', "ranks", '@asset(key=AssetKey(["sales", "build", "ranks_v2"]))'),
        ('@asset(key_prefix=["sales", "build"], name="ranks")', "make", '@asset(key_prefix=["sales", "build"], name="ranks_v2")'),
        ('@asset(key_prefix=["sales", "build"])', "ranks", '@asset(key_prefix=["sales", "build"])'),
    ],
)
def test_the_asset_gets_the_next_key(tmp_path: Path, decorator: str, function: str, expected: str) -> None:
    text = f'{decorator}\ndef {function}(orders):\n    """Into sales_build.ranks, from ranks_raw."""\n{BODY}'
    copied = _copied(tmp_path, text)
    named = "ranks_v2" if function == "ranks" else function
    assert copied is not None
    assert copied.endswith(f'\n{expected}\ndef {named}(orders):\n    """Into sales_build.ranks_v2, from ranks_raw."""\n{BODY}')


def test_only_the_last_part_of_a_key_is_the_relation(tmp_path: Path) -> None:
    copied = _copied(tmp_path, f'@dg.asset(key=[\n    "sales",\n    "build",\n    "sales",\n])\ndef made(orders):\n{BODY}', "sales")
    assert copied is not None and '    "sales",\n    "build",\n    "sales_v2",\n' in copied


@pytest.mark.parametrize("other", ["@dg.asset_check(asset=ranks)\ndef sound():\n    ...\n", 'later = dg.AssetSpec("later")\n'])
def test_a_module_with_other_definitions_is_not_copied(tmp_path: Path, other: str) -> None:
    text = f'@asset(key="sales/build/ranks")\ndef ranks(orders):\n{BODY}\n\n{other}'
    (tmp_path / "made.py").write_text("import dagster as dg\nfrom dagster import asset\n\n" + text)
    found = copied_asset(tmp_path, "sales", "ranks", "ranks_v2")
    assert found is not None and found.text is None
    assert found.others == (("sound",) if "check" in other else ("later",))


def test_another_key_is_another_asset(tmp_path: Path) -> None:
    assert _copied(tmp_path, f'@asset(key="other/build/ranks")\ndef ranks(orders):\n{BODY}') is None
    assert _copied(tmp_path, f"KEY = input()\n@asset(key=KEY)\ndef ranks(orders):\n{BODY}") is None


def test_a_module_that_is_no_python_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"made\.py:4"):
        _copied(tmp_path, "def ranks(:\n")
