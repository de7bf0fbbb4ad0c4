"""A drop in a folder of its own, and the ways to look at what became of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_core.ingestion.drops import Drop, DropResult, load_drop, run_drop
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse


@dataclass
class Inbox:
    """The drop ``sales/orders_by_hand`` of a small repository."""

    repo: Path
    warehouse: Warehouse
    declaration: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.repo / "inbox"

    @property
    def settings(self) -> Settings:
        return Settings.load({"MESH_REPO": str(self.repo), "MESH_HOME": str(self.repo / "home")})

    @property
    def drop(self) -> Drop:
        path = self.repo / "airbyte" / "sales" / "drops" / "by_hand.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {"location": "inbox", "pattern": "*", "stream": "by_hand", "settle_seconds": 0, **self.declaration}
        path.write_text(json.dumps(whole))  # JSON is YAML
        return load_drop(path)

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def look(self, **options: Any) -> DropResult:
        return run_drop(self.drop, warehouse=self.warehouse, settings=self.settings, **options)

    def rows(self, columns: str = "*", more: str = "ORDER BY _file, _file_row") -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM sales_raw.by_hand {more}")

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect_domain("sales", autocommit=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(text).fetchall()  # type: ignore[call-overload]

    def types(self) -> dict[str, str]:
        found = self.query(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'sales_raw' AND table_name = 'by_hand'"
            " AND column_name NOT LIKE '\\_airbyte%' ORDER BY ordinal_position"
        )
        return dict(found)

    def letter(self, name: str) -> str:
        return (self.folder / "quarantine" / f"{name}.error.txt").read_text()
