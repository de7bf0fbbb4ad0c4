"""``mesh bench``: figures with their spread, measured on this machine in one call."""

from __future__ import annotations

from typing import Any

from platform_core.cli.listing import listing, print_listing
from platform_core.cli.session import out, print_json
from platform_core.errors import MeshError

NAMES = ("up", "ingest", "plan", "mask", "publish")


def run_bench(name: str, repeat: int, as_json: bool, *, users: int = 200_000, peers: bool = True) -> None:
    """Runs a benchmark and prints it.

    Args:
        name: One of ``NAMES``.
        repeat: Runs of each contestant; the median counts.
        as_json: Print the documented JSON form.
        users: Size of ``ingest``: twice as many records, and a hundred products.
        peers: Whether ``ingest`` also measures dlt and PyAirbyte.

    Raises:
        MeshError: There is no such benchmark, or a contestant failed.
    """
    if name == "up":
        from platform_core.cli.bench_up import bench_up

        document = bench_up(repeat)
    elif name == "ingest":
        from platform_core.cli.bench_ingest import bench_ingest

        document = bench_ingest(repeat, users=users, peers=peers)
    elif name == "plan":
        from platform_core.cli.bench_plan import bench_plan

        document = bench_plan(repeat)
    elif name == "mask":
        from platform_core.cli.bench_mask import bench_mask

        document = bench_mask(repeat)
    elif name == "publish":
        from platform_core.cli.bench_publish import bench_publish

        document = bench_publish(repeat)
    else:
        raise MeshError(f"there is no benchmark {name!r}", remedy=f"choose: {', '.join(NAMES)}")
    if as_json:
        print_json(document)
        return
    _print(document)


def _print(document: dict[str, Any]) -> None:
    server = any("cpu_server_s" in result for result in document["results"])
    table = listing("what", "wall s (spread)", "CPU s client", *(["CPU s server"] if server else []), "peak MB", "rows")
    for result in document["results"]:
        low, high = result.get("wall_spread", (None, None))
        spread = f" ({low:.1f} to {high:.1f})" if low is not None else ""
        cells = [result["name"], f"{result['wall_s']:.1f}{spread}" if "wall_s" in result else ""]
        cells += [f"{result['cpu_client_s']:.1f}" if "cpu_client_s" in result else ""]
        cells += [f"{result['cpu_server_s']:.1f}" if "cpu_server_s" in result else ""] if server else []
        cells += [f"{result['peak_mb']:.0f}" if "peak_mb" in result else "", f"{result['rows']:,}" if "rows" in result else ""]
        table.add_row(*cells)
    print_listing(table)
    for what, ratio in document["ratios"].items():
        out.print(f"{what}: {ratio}")
