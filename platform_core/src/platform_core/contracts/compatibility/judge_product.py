"""Judges of what a contract or product says about itself: identity, status, place, people, ports (ODCS fundamentals, ODPS v1.1)."""

from __future__ import annotations

from platform_core.contracts.compatibility.difference import Difference
from platform_core.contracts.compatibility.judgement import Clause, by_action, once

_STAGES = {"proposed": 0, "draft": 1, "active": 2}


def _status(difference: Difference) -> str:
    before, after = (str(side.get("status") or "active").lower() for side in difference.inner)
    if before == after:
        return "same-meaning"
    if after == "retired":
        return "retired"
    if after == "deprecated":
        return "status-forward" if before == "retired" else "deprecated"
    if before in _STAGES and after in _STAGES:
        return "status-forward" if _STAGES[after] > _STAGES[before] else "status-withdrawn"
    return "status-forward" if after == "active" else "status-withdrawn"


def _server(difference: Difference) -> str:
    return by_action(difference, added="server-added", removed="server-removed", changed="location")


def _place(difference: Difference) -> str:
    return by_action(difference, added="location", removed="location", changed="location")


def _port(difference: Difference) -> str:
    return by_action(difference, added="port-added", removed="port-removed", changed="port-contract")


def _personal_input(difference: Difference) -> str:
    """``personalData: true`` of an input port is the request to read its personal data in clear."""
    if difference.action == "reordered":
        return "order"
    name = difference.after if isinstance(difference.after, dict) and difference.shape.endswith("[]") else difference.holder("property")[1]
    wanted = isinstance(name, dict) and name.get("property") == "personalData" and name.get("value") is True
    return "personal-input" if wanted else "lineage"


def _deprecated(difference: Difference) -> str:
    before, after = bool(difference.before), bool(difference.after)
    return "same-meaning" if before == after else "deprecated" if after else "status-forward"


def _people(difference: Difference) -> str:
    return by_action(difference, added="ownership", removed="ownership", changed="ownership")


CLAUSES: tuple[Clause, ...] = (
    Clause(r"version|outputPorts\[\]\.version", once("version")),
    Clause(r"status", _status),
    Clause(r"kind", once("not-a-contract")),
    Clause(r"id|domain|dataProduct|tenant", once("identity")),
    Clause(r"deprecated|outputPorts\[\]\.deprecated|managementPorts\[\]\.deprecated", _deprecated),
    Clause(r"servers(?:\[\])?", _server),
    Clause(r"servers\[\]\.(?:id|description)", once("documentation")),
    Clause(r"servers\[\]\..*", _place),
    Clause(r"outputPorts(?:\[\])?", _port),
    Clause(r"outputPorts\[\]\.contractId", once("port-contract")),
    Clause(r"outputPorts\[\]\.(?:type|name)", once("location")),
    Clause(r"outputPorts\[\]\.(?:sbom|inputContracts)(?:[.\[].*)?", once("lineage")),
    Clause(r"managementPorts(?:\[\])?", _port),
    Clause(r"managementPorts\[\]\.(?:type|url|content|channel|name)", once("location")),
    Clause(r"inputPorts\[\](?:\.customProperties.*)?", _personal_input),
    Clause(r"inputPorts.*", once("lineage")),
    Clause(r"(?:team|support)(?:[.\[].*)?", _people),
    Clause(
        r"(?:outputPorts|managementPorts)\[\]\.(?:id|description|synonyms|authoritativeDefinitions|context)(?:[.\[].*)?",
        once("documentation"),
    ),
    Clause(
        r"(?:apiVersion|name|description|type|context|synonyms|authoritativeDefinitions|contractCreatedTs|productCreatedTs)(?:[.\[].*)?",
        once("documentation"),
    ),
)
