"""Reads ``domains/<domain>/access/*.yaml``: requests to read ports and what the owners decided, every defect with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from platform_core.contracts import naming
from platform_core.contracts.access_model import EVENTS, AccessModel, Approved, Denied, Requested, Revoked
from platform_core.contracts.access_request import AccessRequest, Entry
from platform_core.contracts.model import DataProduct
from platform_core.contracts.model_problems import dotted
from platform_core.contracts.ownership import OwnerTerm, owner_terms
from platform_core.contracts.problem import Problem, did_you_mean, source_problem
from platform_core.contracts.source import Document, Location, SourceError, load_yaml

FOLDER = "access"
_WANTED = {"string_type": "text", "bool_type": "true or false", "model_type": "a mapping", "tuple_type": "a list", "dict_type": "a mapping"}
_RESERVED = ("pg_", "mesh_")
_NO_ROLES = {"public", "none", "mesh", "dagster", "postgres"}


@dataclass(frozen=True)
class Ports:
    """What access files may speak of: the products by id, the domains, and the products whose own files have errors."""

    domains: tuple[str, ...]
    products: Mapping[str, DataProduct]
    broken: frozenset[str]

    def owners(self, contract_id: str) -> tuple[OwnerTerm, ...] | None:
        """The owners of a port: those of its product and those of its contract, former ones included; None for an unknown port."""
        product = self.products.get(contract_id.rpartition(".")[0])
        contracts = [port.contract for port in product.outputs if port.contract_id == contract_id] if product else []
        return product.owner_terms + owner_terms(contracts[0].raw.get("team")) if product and contracts else None

    def managed_roles(self) -> frozenset[str]:
        """Roles that the mesh makes itself; nobody asks for access in their name."""
        found = {role(domain) for domain in self.domains for role in (naming.owner_role, naming.job_role)}
        ids = (*self.products, *self.broken)
        return frozenset(found | {role(product) for product in ids for role in (naming.reader_role, naming.pii_reader_role)})


@dataclass(frozen=True)
class ReadAccess:
    """One access file's outcome. A file with an error gives no request, so that nothing in doubt is granted."""

    requests: tuple[AccessRequest, ...]
    problems: tuple[Problem, ...]


def read_access(repo: Path, ports: Ports) -> ReadAccess:
    """Reads the access files of every domain.

    Args:
        repo: Root of the monorepo.
        ports: What the files may speak of.
    """
    requests: list[AccessRequest] = []
    problems: list[Problem] = []
    for domain in ports.domains:
        folder = repo / "domains" / domain / FOLDER
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_dir() or path.name.startswith(".") or path.suffix not in {".yaml", ".yml"}:
                continue  # a README, CODEOWNERS
            read = read_access_file(path, domain, ports)
            requests += read.requests
            problems += read.problems
    return ReadAccess(tuple(requests), tuple(problems))


def read_access_file(path: Path, domain: str, ports: Ports) -> ReadAccess:
    """Reads one access file.

    Args:
        path: The file.
        domain: The domain in whose folder it lies.
        ports: What it may speak of.
    """
    try:
        document = load_yaml(path)
    except SourceError as error:
        return ReadAccess((), (source_problem(error, path),))
    return read_access_document(document, domain, ports)


def read_access_document(document: Document, domain: str, ports: Ports) -> ReadAccess:
    """Reads the content of an access file, also of one that is still to be written; arguments as for ``read_access_file``."""
    try:
        model = AccessModel.model_validate(document.data)
    except ValidationError as error:
        return ReadAccess((), tuple(_described(document, error)))
    found = [*_head_problems(document, model, domain, ports)]
    if any(problem.severity == "error" for problem in found):
        return ReadAccess((), tuple(found))
    requests, wrong = _history(document, model)
    found += wrong
    owners = ports.owners(model.port)
    found += _decisions(requests, owners) if owners is not None else ()
    broken = any(problem.severity == "error" for problem in found)
    return ReadAccess(() if broken else tuple(requests), tuple(found))


def read_history(document: Document) -> ReadAccess:
    """The requests of an access file as it stands, whatever the mesh around it holds."""
    try:
        model = AccessModel.model_validate(document.data)
    except ValidationError as error:
        return ReadAccess((), tuple(_described(document, error)))
    requests, wrong = _history(document, model)
    return ReadAccess(() if wrong else tuple(requests), tuple(wrong))


def principal_problem(principal: str, domain: str, ports: Ports) -> tuple[str, str] | None:
    """Why a principal cannot be given access to a port of ``domain``: message and remedy; None when it can."""
    kind, _, name = principal.partition(":")
    if kind == "domain":
        if name == domain:
            return f"the domain {name!r} owns the port and reads it anyway", "name another domain, or a role"
        if name not in ports.domains:
            hint = did_you_mean(name, ports.domains)
            return (
                f"there is no domain {name!r}{hint}",
                "name a folder under domains/, or role:<Postgres role> for somebody outside the mesh",
            )
        return None
    if kind != "role":
        return f"{principal!r} is no principal", "write domain:<domain of the mesh>, or role:<Postgres role>"
    if len(name.encode()) > naming.IDENTIFIER_BYTES or not name.isprintable() or not name.strip() or name != name.strip():
        return f"{name!r} cannot be a role of Postgres", f"write the role's name, at most {naming.IDENTIFIER_BYTES} bytes"
    if name.lower().startswith(_RESERVED) or name.lower() in _NO_ROLES or name in ports.managed_roles():
        return (
            f"the role {name!r} belongs to the platform or to Postgres",
            "name the role of a person, team or service; for a domain domain:<name>",
        )
    return None


def _head_problems(document: Document, model: AccessModel, domain: str, ports: Ports) -> Iterator[Problem]:
    owner = model.port.partition(".")[0]
    product_id = model.port.rpartition(".")[0]
    contracts = {port.contract_id for product in ports.products.values() for port in product.outputs}
    if owner != domain:
        message = f"the port {model.port!r} lies in the folder of the domain {domain!r}"
        yield Problem("access-port", message, document.at("port"), f"move the file to domains/{owner}/{FOLDER}/, or correct the port")
    elif model.port not in contracts and product_id not in ports.broken:
        ended = isinstance(model.history[-1], Denied | Revoked)  # the past of a port that is gone may stay, and is no error
        message = f"the port {model.port!r} exists nowhere in the mesh{did_you_mean(model.port, contracts)}"
        remedy = "correct the id; of a port that is gone, revoke the access or delete the file"
        yield Problem("access-port", message, document.at("port"), remedy, "warning" if ended else "error")
    wrong = principal_problem(model.principal, domain, ports)
    if wrong is not None:
        yield Problem("access-principal", wrong[0], document.at("principal"), wrong[1])
    name = naming.access_file(model.port, model.principal)
    if document.path.name != name:
        message = f"the file {document.path.name} holds the access of {model.principal} to {model.port}"
        yield Problem("access-file-name", message, Location(document.path, 1), f"name it {name}")


def _history(document: Document, model: AccessModel) -> tuple[list[AccessRequest], list[Problem]]:
    """The requests of a history, and the entries that cannot follow on those before them."""
    requests: list[AccessRequest] = []
    problems: list[Problem] = []
    active: int | None = None
    pending: int | None = None
    for index, event in enumerate(model.history):
        at = document.at("history", index)
        entry = Entry(event.at, event.by, at, getattr(event, "reason", None))

        def wrong(message: str, remedy: str, *steps: str, index: int = index) -> None:
            problems.append(Problem("access-history", message, document.at("history", index, *steps), remedy))

        if index and event.at < model.history[index - 1].at:
            wrong("the entry is older than the one before it", "keep the entries in the order in which they happened", "at")
        if active is not None and not requests[active].in_force(event.at):
            active = None
        match event:
            case Requested():
                if pending is not None:
                    wrong(f"a request is open already, since line {requests[pending].requested.location.line}", "decide that one first")
                    continue
                request = AccessRequest(
                    model.port, model.principal, len(requests) + 1, event.purpose, event.personal_data, event.until, entry
                )
                if request.expires_at is not None and request.expires_at <= event.at:
                    wrong(f"until {event.until} lies before the request", "name a day that is still to come", "until")
                pending = len(requests)
                requests.append(request)
            case Approved() | Denied():
                if pending is None:
                    wrong(f"nothing is open that could be {event.action}", "remove the entry, or add the request before it", "action")
                    continue
                expires = requests[pending].expires_at
                if isinstance(event, Denied):
                    requests[pending] = replace(requests[pending], denied=entry)
                elif expires is not None and expires <= event.at:
                    wrong(f"approved after its last day, {requests[pending].until}", "have it requested anew, with a later day", "at")
                else:
                    if active is not None:
                        requests[active] = replace(requests[active], replaced=entry)
                    requests[pending] = replace(requests[pending], approved=entry)
                    active = pending
                pending = None
            case Revoked():
                if active is None:
                    wrong("nothing is in force that could be revoked", "remove the entry", "action")
                    continue
                requests[active] = replace(requests[active], revoked=entry)
                active = None
    return requests, problems


def _decisions(requests: Sequence[AccessRequest], owners: Sequence[OwnerTerm]) -> Iterator[Problem]:
    """Decisions by somebody who was no owner when deciding. To revoke, nobody needs to be one: it takes something away."""
    for request in requests:
        for word, decision in (("approved", request.approved), ("denied", request.denied)):
            if decision is None or any(term.username == decision.by and term.holds(decision.at) for term in owners):
                continue
            names = sorted({term.username for term in owners if term.holds(decision.at)})
            message = f"{decision.by!r}, who {word} the request, was no owner of {request.contract_id} then"
            message += did_you_mean(decision.by, names)
            remedy = f"have it decided by an owner: {', '.join(names) or 'the team of the product names none'}"
            yield Problem("access-not-owner", message, decision.location, remedy)


def _described(document: Document, error: ValidationError) -> Iterator[Problem]:
    """Pydantic's findings in the words of the house."""
    details = error.errors(include_url=False)
    for detail in details:
        steps = tuple(step for at, step in enumerate(detail["loc"]) if not (at == 2 and step in EVENTS))  # the union's tag is no key
        kind, value, context = detail["type"], detail.get("input"), detail.get("ctx") or {}
        if kind == "missing" and any(
            other["type"] == "extra_forbidden"
            and other["loc"][:-1] == detail["loc"][:-1]
            and did_you_mean(str(other["loc"][-1]), [str(steps[-1])])
            for other in details
        ):
            continue  # said once, at the misspelt key
        name, at = dotted(steps), document.at(*steps)
        known = _known(document, steps)
        if kind == "extra_forbidden":
            yield Problem(
                "access-key", f"unknown key {steps[-1]!r}{did_you_mean(str(steps[-1]), known)}", at, f"use one of: {', '.join(known)}"
            )
        elif kind == "missing":
            yield Problem("access-missing", f"{name} is missing", at, f"add {steps[-1]}:")
        elif kind in {"union_tag_invalid", "union_tag_not_found"}:
            action: Any = value.get("action") if isinstance(value, dict) else None
            hint = did_you_mean(str(action), EVENTS)
            message = f"{name}.action is {action!r}{hint}" if action is not None else f"{name}.action is missing"
            yield Problem("access-value", message, document.at(*steps, "action"), f"use one of: {', '.join(EVENTS)}")
        elif kind in _WANTED:
            yield Problem("access-value", f"{name} is {value!r}, not {_WANTED[kind]}", at, f"write {_WANTED[kind]}")
        elif kind == "too_short":
            yield Problem("access-value", f"{name} is empty", at, "add the request")
        else:
            yield Problem("access-value", f"{name} is {value!r}: {detail['msg']}", at, str(context.get("remedy", "correct the value")))


def _known(document: Document, steps: Sequence[str | int]) -> list[str]:
    """The keys that may stand where an unknown one does."""
    if len(steps) < 3 or steps[0] != "history":
        return sorted(AccessModel.model_fields)
    event: Any = document.data["history"][steps[1]]
    return sorted(field.alias or name for name, field in EVENTS[event["action"]].model_fields.items())
