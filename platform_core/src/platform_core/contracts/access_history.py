"""Adds an entry to an access file, or begins one: what stands there stays as it is, comments included."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from platform_core.contracts import naming
from platform_core.contracts.access_file import FOLDER, Ports, read_access_document
from platform_core.contracts.access_request import AccessRequest
from platform_core.contracts.access_schema import MODELINE
from platform_core.contracts.problem import ContractError, joined_error
from platform_core.contracts.source import Location, parse_bytes
from platform_core.file_lock import held_alone

_HEAD = "# Who asked to read a port of this domain, and what the owners decided. Entries are added by ./mesh access, never changed.\n"


def access_path(repo: Path, contract_id: str, principal: str) -> Path:
    """Where the requests of a principal for a port are written."""
    return repo / "domains" / contract_id.partition(".")[0] / FOLDER / naming.access_file(contract_id, principal)


def add_entry(path: Path, contract_id: str, principal: str, entry: Mapping[str, Any], ports: Ports, lock: Path) -> AccessRequest:
    """Adds an entry at the end of a history; the file is made when there is none, and is replaced in one step.

    Args:
        path: The file, see ``access_path``.
        contract_id: The port.
        principal: Who is to read it.
        entry: ``action``, ``at`` (a moment in UTC) and the keys that go with the action.
        ports: What access files may speak of.
        lock: A file that two processes at work on access files do not hold at once.

    Returns:
        The request that the entry is about.

    Raises:
        ContractError: The file with the entry would not be sound, or what stands there is not; it is as it was.
    """
    with held_alone(lock):
        if path.is_file():
            after = _added(path.read_bytes(), path, entry)
        else:
            head = f"{MODELINE}{_HEAD}port: {contract_id}\nprincipal: {_text(principal)}\nhistory:\n"
            after = (head + _written(entry, 2)).encode()
        read = read_access_document(parse_bytes(after, path), contract_id.partition(".")[0], ports)
        refused = [problem for problem in read.problems if problem.severity == "error"]
        if refused:
            raise joined_error(refused, ContractError)
        _replace(path, after)
    last = parse_bytes(after, path).line(("history", len(parse_bytes(after, path).data["history"]) - 1))
    return next(
        request
        for request in reversed(read.requests)
        if any(
            step is not None and step.location.line == last
            for step in (request.requested, request.approved, request.denied, request.revoked)
        )
    )


def _added(before: bytes, path: Path, entry: Mapping[str, Any]) -> bytes:
    document = parse_bytes(before, path)
    history = document.data.get("history") if isinstance(document.data, dict) else None
    if not isinstance(history, list) or not history:
        where = Location(path, document.line(("history",)))
        raise ContractError("the file has no history that could be added to", where=str(where), remedy="run ./mesh lint, correct the file")
    text = before.decode("utf-8-sig")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)  # it was parsed above
    node = next(value for key, value in root.value if key.value == "history")
    assert isinstance(node, yaml.SequenceNode)
    if node.flow_style:
        where = Location(path, node.start_mark.line + 1)
        raise ContractError("the history is written in brackets", where=str(where), remedy="write a line that begins with - for each entry")
    lines = text.splitlines(keepends=True)
    at = _end(node.value[-1])
    newline = "\r\n" if lines[0].endswith("\r\n") else "\n"
    if not lines[at - 1].endswith(("\n", "\r")):
        lines[at - 1] += newline
    lines.insert(at, _written(entry, node.start_mark.column).replace("\n", newline))
    after = "".join(lines).encode()
    if parse_bytes(after, path).data != {**document.data, "history": [*history, _plain(entry)]}:
        where = Location(path, node.start_mark.line + 1)
        raise ContractError(
            "the entry cannot be added without changing what stands there", where=str(where), remedy="add it by hand at the end"
        )
    return after


def _end(node: yaml.Node) -> int:
    """The number of lines up to the end of a node, blank lines and comments after it left out."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
    return node.end_mark.line if block else node.end_mark.line + 1


def _written(entry: Mapping[str, Any], indent: int) -> str:
    pairs = [f"{key}: {_scalar(value, indent)}" for key, value in entry.items()]
    return "".join(f"{' ' * indent}{'- ' if not number else '  '}{pair}\n" for number, pair in enumerate(pairs))


def _scalar(value: Any, indent: int) -> str:
    if isinstance(value, str):
        return _text(value, indent)
    return str(_plain(value)).lower() if isinstance(value, bool) else str(_plain(value))


def _text(value: str, indent: int = 0) -> str:
    """A text on one line, in quotes where YAML needs them."""
    dumped = yaml.safe_dump(value, allow_unicode=True, width=10**6, default_flow_style=True).removesuffix("\n...\n").rstrip("\n")
    if "\n" in dumped:  # several lines: escaped, so that no indentation matters
        dumped = yaml.safe_dump(value, allow_unicode=True, width=10**6, default_style='"').rstrip("\n")
    return dumped


def _plain(value: Any) -> Any:
    """As the file's reader gives it back."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else value


def _replace(path: Path, content: bytes) -> None:
    """The new content or the old, never a part; a reader at the same time sees one of the two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.is_file() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
