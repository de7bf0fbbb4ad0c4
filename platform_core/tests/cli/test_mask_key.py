"""``mesh mask-key``, and the attribute policy as ``mesh lint`` sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Mesh = Any  # the fixtures' types; test modules do not import each other
Applied = Any


def test_the_key_is_replaced_and_never_shown(mesh: Mesh, applied: Applied) -> None:
    before = mesh("mask-key", "--json").json()
    assert before["domains"] == ["customer"] and before["rotated"] is False
    after = mesh("mask-key", "--rotate", "--yes", "--json").json()
    assert after["rotated"] is True and after["made_at"] >= before["made_at"]
    said = mesh("mask-key")
    assert said.code == 0 and "customer publishes hashes" in said.out
    with applied.warehouse.connect_platform() as connection:
        secrets = connection.execute("SELECT encode(inner_pad, 'hex'), encode(pass, 'hex') FROM mesh.mask_keys").fetchall()[0]
    assert not [secret for secret in secrets if secret in said.all]


def test_a_policy_that_cannot_be_is_named_with_file_and_line(mesh: Mesh, files: Path) -> None:
    policy = files / "domains" / "masking.yaml"
    policy.write_text(
        policy.read_text().replace("mask: {bucket: 10}", "mask: year").replace("unmasked: [public, internal]", "unmasked: [public]")
    )
    said = mesh("lint", "--json")
    assert said.code == 1
    found = {(problem["rule"], problem["file"].rpartition("/")[2]) for problem in said.json()["problems"]}
    assert found >= {("mask-type", "profiles.odcs.yaml"), ("unknown-classification", "orders.odcs.yaml")}
    policy.write_text("rules: nothing\n")
    (problem, *_) = [item for item in mesh("lint", "--json").json()["problems"] if item["rule"] == "masking-file"]
    assert (problem["file"], problem["line"]) == ("domains/masking.yaml", 1)
