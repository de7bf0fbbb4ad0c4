"""Compares two states of the mesh's files: every change of every product, contract and model, its version step, its consumers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from platform_core.contracts.compatibility.access_changes import access_changes
from platform_core.contracts.compatibility.change import Change, Hit, Report, Sort
from platform_core.contracts.compatibility.column_use import ColumnTraces, ColumnUses
from platform_core.contracts.compatibility.consumers import Consumer, Consumers
from platform_core.contracts.compatibility.difference import Difference
from platform_core.contracts.compatibility.judge import judged
from platform_core.contracts.compatibility.masking_changes import masking_changes
from platform_core.contracts.compatibility.models import contract_documents, hanging_on, model_changes, named
from platform_core.contracts.compatibility.project_code import project_changes
from platform_core.contracts.compatibility.ruling import RULINGS, VersionStep
from platform_core.contracts.compatibility.state import State, Unreadable, text_of
from platform_core.contracts.compatibility.team_changes import team_changes
from platform_core.contracts.compatibility.versions import VersionCheck, largest, step_between
from platform_core.contracts.source import Document

_RANK = {"breaking": 0, "additive": 1, "cosmetic": 2}


@dataclass(frozen=True)
class _Side:
    """The changed files of one state, by what they describe."""

    documents: Mapping[tuple[Sort, str], Document]
    unreadable: tuple[Unreadable, ...]


def compare(old: State, new: State, traces: ColumnTraces | None = None, *, today: date | None = None) -> Report:
    """Every change from one state to another. Files that cannot be read are named; all others are still judged.

    Args:
        old: The state before.
        new: The state after.
        traces: Column lineage of the new state, where its SQL was compiled; without it, consumers are found by words.
        today: The day, in UTC, on which access must not have expired to count; the present one by default.
    """
    paths = [path for path in {**old.product_files, **new.product_files} if old.files.get(path) != new.files.get(path)]
    before, after = (_side(state, [path for path in paths if path in state.files]) for state in (old, new))
    governing, misgoverned = access_changes(old, new, today or datetime.now(UTC).date())
    teams, wrong_teams = team_changes(old, new)
    unreadable = (*before.unreadable, *after.unreadable, *misgoverned, *wrong_teams)
    broken = {problem.file for problem in unreadable}
    changes: list[Change] = [*model_changes(old, new, traces), *project_changes(old, new, hanging_on(new))]
    pairs: dict[str, tuple[Document, Document]] = {}
    for key in dict.fromkeys([*before.documents, *after.documents]):
        left, right = before.documents.get(key), after.documents.get(key)
        if any(str(document.path) in broken for document in (left, right) if document) and not (left and right):
            continue  # its other state cannot be read: neither new nor gone
        changes += _changes(*key, left, right)
        if left is not None and right is not None:
            pairs[key[1]] = (left, right)
    masks, wrong_policies = masking_changes(old, new, paths, changes)
    changes += [*masks, *governing, *teams]
    checks = {check.subject: check for check in _versions(changes, pairs, new)}
    versions = (*checks.values(), *_outputs(new, checks))
    changes.sort(key=lambda change: (_RANK[change.ruling.verdict], change.subject, change.file, change.line, change.path))
    return Report(old.name, new.name, tuple(_with_hits(changes, old, new, traces)), versions, (*unreadable, *wrong_policies))


def _side(state: State, paths: list[str]) -> _Side:
    documents, unreadable = state.readable(sorted(paths))
    found: dict[tuple[Sort, str], Document] = {}
    wrong = list(unreadable)
    for path, document in documents.items():
        sort: Sort = "contract" if ".odcs." in path else "product"
        name = text_of(document.data.get("id"))
        if name is None:
            wrong.append(Unreadable(state.name, path, document.line(("id",)), f"the {sort} has no id"))
        elif (sort, name) in found:
            message = f"the {sort} id {name!r} is also that of {found[sort, name].path}"
            wrong.append(Unreadable(state.name, path, document.line(("id",)), message))
        else:
            found[sort, name] = document
    return _Side(found, tuple(wrong))


def _changes(sort: Sort, subject: str, left: Document | None, right: Document | None) -> Iterator[Change]:
    if left is None or right is None:
        document = right or left
        assert document is not None
        name = f"{sort}-{'added' if left is None else 'removed'}"
        if left is not None and str(left.data.get("status")).lower() == "retired":
            name = "retired-removed"
        action = "added" if left is None else "removed"
        contracts = (subject,) if sort == "contract" else _offered(document.data)
        place = ("old" if right is None else "new", str(document.path), document.line(("id",)))
        yield Change(sort, subject, "", action, RULINGS[name], None, None, *place, contracts)
        return
    for found in judged(left.data, right.data):
        difference = found.difference
        table, column = _about(difference, left.data, right.data)
        yield Change(
            sort=sort,
            subject=subject,
            path=difference.path,
            action=difference.action,
            ruling=found.ruling,
            before=difference.before,
            after=difference.after,
            **_place(difference, left, right),
            contracts=(subject,) if sort == "contract" else _concerned(difference, left.data),
            table=table,
            column=column,
        )


def _place(difference: Difference, left: Document, right: Document) -> dict[str, Any]:
    if difference.action == "removed":
        return {"state": "old", "file": str(left.path), "line": left.line(difference.old_steps)}
    return {"state": "new", "file": str(right.path), "line": right.line(difference.new_steps)}


def _about(difference: Difference, left: Any, right: Any) -> tuple[str | None, str | None]:
    """Table and column by the names that consumers use so far; by the new ones for what is new."""
    for steps, document in ((difference.old_steps, left), (difference.new_steps, right)):
        match list(steps):
            case ["schema", int(table), "properties", int(column), *_]:
                return named(document["schema"][table]), named(document["schema"][table]["properties"][column])
            case ["schema", int(table), *_]:
                return named(document["schema"][table]), None
            case _:
                continue
    return None, None


def _offered(data: Mapping[str, Any]) -> tuple[str, ...]:
    ports = data.get("outputPorts")
    found = [port.get("contractId") for port in (ports if isinstance(ports, list) else []) if isinstance(port, dict)]
    return tuple(contract for contract in found if isinstance(contract, str))


def _concerned(difference: Difference, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The contracts whose consumers a change of a product file reaches: that of the port, all for the product as a whole."""
    if difference.shape.startswith(("inputPorts", "team", "support", "managementPorts")):
        return ()
    if difference.shape.startswith("outputPorts"):
        item = difference.before if difference.shape == "outputPorts[]" else difference.holder("contractId")[0]
        contract = item.get("contractId") if isinstance(item, dict) else None
        return (contract,) if isinstance(contract, str) else ()
    return _offered(data)


def _versions(changes: list[Change], pairs: Mapping[str, tuple[Document, Document]], new: State) -> Iterator[VersionCheck]:
    """One check per contract and product that changed; a model demands the step of the contract that it fills."""
    demanded: dict[str, list[VersionStep]] = {subject: [] for subject in pairs}
    for change in changes:
        for subject in change.contracts if change.sort == "model" and change.ruling.step != "none" else (change.subject,):
            demanded.setdefault(subject, []).append(change.ruling.step)
    fresh = {change.subject for change in changes if change.sort == "contract" and change.ruling.name == "contract-added"}
    modelled = {subject for change in changes if change.sort == "model" for subject in change.contracts}
    filled = modelled & demanded.keys() - pairs.keys() - fresh
    stayed = {str(document.data.get("id")): (document, document) for document in (contract_documents(new) if filled else ())}
    for subject, steps in demanded.items():
        left, right = pairs.get(subject) or stayed.get(subject) or (None, None)
        if left is not None and right is not None and steps:
            before, after = left.data.get("version"), right.data.get("version")
            taken, line = step_between(before, after), right.line(("version",))
            yield VersionCheck(subject, str(before), str(after), largest(steps), taken, str(right.path), line)


def _outputs(new: State, checks: Mapping[str, VersionCheck]) -> Iterator[VersionCheck]:
    """The version that a product's output names for a contract must take the same step as the contract, in a file that stayed too."""
    paths = [path for path in new.product_files if ".odps." in path] if checks else []
    for path, document in new.readable(paths)[0].items():
        ports = document.data.get("outputPorts")
        for index, port in enumerate(ports if isinstance(ports, list) else []):
            check = checks.get(str(port.get("contractId"))) if isinstance(port, dict) else None
            if check is not None:
                version, line = port.get("version"), document.line(("outputPorts", index, "version"))
                subject = f"{document.data.get('id')} output {port.get('name')}"
                taken = step_between(check.before, version)
                yield replace(check, subject=subject, after=str(version), taken=taken, file=path, line=line)


def _with_hits(changes: list[Change], old: State, new: State, traces: ColumnTraces | None) -> Iterator[Change]:
    consumers = Consumers(new, old)
    uses = ColumnUses(new, traces)
    for change in changes:
        contracts = tuple(dict.fromkeys(change.contracts))
        readers = [reader for contract in contracts for reader in consumers.of(contract) if _reached(change, reader)]
        column = None if change.ruling.name == "column-added" else change.column
        yield replace(
            change,
            owned_by=consumers.answer_for(contracts[0]) if change.sort in {"policy", "access"} and contracts else None,
            hits=tuple(
                Hit(
                    reader,
                    uses.of(reader.product, reader.contract.rpartition(".")[0], change.table, column) if column and change.table else None,
                )
                for reader in readers
            ),
        )


def _reached(change: Change, reader: Consumer) -> bool:
    """Whether a change concerns one of those who read its contract."""
    if change.readers == "masked":
        return not reader.personal
    return change.readers in {"all", reader.domain}
