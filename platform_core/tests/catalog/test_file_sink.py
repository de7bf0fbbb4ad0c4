"""The files: read by DataHub's own ``file`` source, replaced as a whole, written anew when lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from platform_core.catalog import CatalogProduct, FileSink, Outgoing, Proposal, announce, check_file, compile_product, deliver, enqueue
from platform_core.warehouse import Warehouse


def outgoing(proposal: Proposal, product: str = "sales.orders") -> Outgoing:
    text = proposal.value().decode()
    return Outgoing(product, proposal.entity_type, proposal.entity_urn, proposal.aspect_name, proposal.event, text)


def test_datahub_ingest_reads_the_folder_and_loses_nothing(tmp_path: Path, profiles: CatalogProduct, orders: CatalogProduct) -> None:
    sink = FileSink(tmp_path / "catalog")
    for told in (profiles, orders):
        assert len(sink.send([outgoing(item, told.product.id) for item in compile_product(told)]).accepted) == len(compile_product(told))
    recipe = tmp_path / "recipe.json"
    recipe.write_text(
        json.dumps(
            {
                "source": {"type": "file", "config": {"path": str(sink.folder)}},
                "sink": {"type": "file", "config": {"filename": str(tmp_path / "out.json")}},
            }
        )
    )
    command = [str(Path(sys.executable).with_name("datahub")), "ingest", "run", "--no-default-report", "-c", str(recipe)]
    environment = {**os.environ, "HOME": str(tmp_path), "DATAHUB_TELEMETRY_ENABLED": "false"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr

    def lines(*paths: Path) -> dict[tuple[str, str, str], object]:
        proposals = [proposal for path in paths for proposal in json.loads(path.read_text())]
        return {(item["entityUrn"], item["aspectName"], item["changeType"]): item["aspect"]["json"] for item in proposals}

    written = sorted(sink.folder.glob("*.mcps.json"))
    assert [path.name for path in written] == ["customer.profiles.mcps.json", "sales.orders.mcps.json"]
    assert lines(tmp_path / "out.json") == lines(*written)
    assert [check_file(path) for path in written] == [[], []]


def test_the_latest_proposal_of_an_aspect_is_held(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    urn = "urn:li:domain:sales"
    for name in ("Sales", "Sales & Service"):
        sink.send([outgoing(Proposal("domain", urn, "domainProperties", {"customProperties": {}, "name": name}))])
    [held] = json.loads(sink.path("sales.orders").read_text())
    assert held["aspect"]["json"]["name"] == "Sales & Service"
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["sales.orders.mcps.json"]
    assert not list(tmp_path.glob(".*.mcps.json.*")), "no temporary file stays"


def test_a_folder_that_cannot_be_written_is_a_failure_and_no_exception(tmp_path: Path, orders: CatalogProduct) -> None:
    (tmp_path / "catalog").write_text("in the way")
    taken = FileSink(tmp_path / "catalog").send([outgoing(item) for item in compile_product(orders)])
    assert not taken.accepted and "cannot be written" in str(taken.failure)


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_text("[{"), lambda path: path.write_text('[{"a": 1}]')]
)
def test_a_lost_or_damaged_file_is_written_anew(database: Warehouse, tmp_path: Path, orders: CatalogProduct, damage: object) -> None:
    sink = FileSink(tmp_path)
    with database.connect_domain("sales") as connection:
        announce(connection, orders)
        connection.commit()
        deliver(connection, sink)
        whole = sink.path("sales.orders").read_bytes()
        damage(sink.path("sales.orders"))  # type: ignore[operator]
        proposal = Proposal("tag", "urn:li:tag:new", "tagKey", {"name": "new"})
        enqueue(connection, "sales", "sales.orders", "p2", [proposal])
        connection.commit()
        assert deliver(connection, sink).sent == len(json.loads(whole)) + 1
    held = json.loads(sink.path("sales.orders").read_text())
    assert [item for item in held if item["entityUrn"] != "urn:li:tag:new"] == json.loads(whole)
