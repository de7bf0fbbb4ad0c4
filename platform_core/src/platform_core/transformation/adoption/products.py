"""Which products a dbt project is made into: one an exposure, one a folder of marts, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from platform_core.contracts.model import Mesh
from platform_core.transformation.adoption.decision import Decision
from platform_core.transformation.project import TransformationError
from platform_core.transformation.starting.names import check_product_name, fitting

_MARTS = {"marts", "mart", "gold", "reporting", "reports", "presentation", "consumption", "serving", "outputs"}
_INNER = {"staging", "stg", "base", "intermediate", "int", "bronze", "silver", "raw", "sources", "prep", "tmp"}
_INNER_NAMES = ("stg_", "int_", "base_", "tmp_", "prep_", "_")
_AT_ROOT = "core"

Node = Mapping[str, Any]


@dataclass(frozen=True)
class ProductPlan:
    """A product and the models that feed its port.

    Attributes:
        name: Allowed and free in the mesh.
        title: For people.
        purpose: What the exposure says, None for a folder.
        models: ``unique_id`` to the name of the port's table.
        exposures: The exposures it was made from.
        owner: E-mail address, None when nobody is named.
        team: Name of the team, None when nobody names one.
    """

    name: str
    title: str
    purpose: str | None
    models: Mapping[str, str]
    exposures: tuple[str, ...] = ()
    owner: str | None = None
    team: str | None = None


def plan_products(domain: str, manifest: Mapping[str, Any], mesh: Mesh) -> tuple[tuple[ProductPlan, ...], list[Decision]]:
    """The products, and what no product serves.

    Args:
        domain: The new domain.
        manifest: The project's manifest.
        mesh: What is there already, for names.
    """
    project = manifest["metadata"].get("project_name")
    nodes: dict[str, Node] = {
        key: node
        for key, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "snapshot", "seed") and node["package_name"] == project
    }
    decisions: list[Decision] = []
    claimed: dict[str, str] = {}
    groups: dict[str, _Group] = {}
    for exposure in sorted(_exposures(manifest, str(project)), key=lambda item: str(item["name"])):
        _claim(exposure, nodes, claimed, groups, decisions)
    for key, node in sorted(nodes.items()):
        if key not in claimed and servable(node) and node["resource_type"] == "model":
            name = _folder(node, manifest)
            if name is not None:
                claimed[key] = name
                groups.setdefault(name, _Group(name.replace("_", " ").capitalize(), None)).models.append(key)
    for key, node in sorted(nodes.items()):
        if key not in claimed:
            decisions.append(_unserved(domain, node))
        decisions += _version(node)
    return tuple(_plans(domain, groups, nodes, manifest, mesh, decisions)), decisions


def servable(node: Node) -> bool:
    """Whether a port can show the model: it is a relation, and its project does not call it private."""
    config = node.get("config") or {}
    return (
        config.get("materialized") != "ephemeral"
        and (node.get("access") or config.get("access")) != "private"
        and (node.get("language") or "sql") == "sql"
    )


class _Group:
    def __init__(self, title: str, purpose: str | None, owner: str | None = None, team: str | None = None) -> None:
        self.title, self.purpose, self.owner, self.team = title, purpose, owner, team
        self.models: list[str] = []
        self.exposures: list[str] = []


def _exposures(manifest: Mapping[str, Any], project: str) -> Iterator[Node]:
    for exposure in (manifest.get("exposures") or {}).values():
        if exposure["package_name"] == project and (exposure.get("config") or {}).get("enabled", True):
            yield exposure


def _claim(
    exposure: Node, nodes: Mapping[str, Node], claimed: dict[str, str], groups: dict[str, _Group], decisions: list[Decision]
) -> None:
    name = fitting(str(exposure["name"]), "exposure")
    read = [key for key in exposure["depends_on"]["nodes"] if key in nodes]
    own = [key for key in read if key not in claimed and servable(nodes[key])]
    owner = exposure.get("owner") or {}
    file = str(exposure.get("original_file_path") or "")
    if not own:
        elsewhere = sorted({claimed[key] for key in read if key in claimed})
        what = f"what it reads is served by {', '.join(elsewhere)}" if elsewhere else "it reads nothing that a port can show"
        decisions.append(
            Decision("served-elsewhere", str(exposure["name"]), what, "nothing, unless it is to be a product of its own", file)
        )
        return
    group = groups.setdefault(
        name,
        _Group(
            str(exposure.get("label") or exposure["name"]),
            exposure.get("description") or None,
            _address(owner.get("email")),
            owner.get("name"),
        ),
    )
    group.exposures.append(str(exposure["name"]))
    group.models += own
    claimed |= dict.fromkeys(own, name)
    for key in (key for key in read if key not in own):
        said = f"also reads {nodes[key]['name']}" + (f", which {claimed[key]} serves" if key in claimed else ", which no port can show")
        decisions.append(Decision("served-elsewhere", str(exposure["name"]), said, "nothing, unless it must be in one product", file))


def _folder(node: Node, manifest: Mapping[str, Any]) -> str | None:
    """The product of a model by its folder; None for a model that is made for other models."""
    folders = [part.lower() for part in node["fqn"][1:-1]]
    name = str(node["name"])
    mart = next((at for at, part in enumerate(folders) if part in _MARTS), None)
    if mart is not None:
        return fitting(folders[mart + 1] if mart + 1 < len(folders) else folders[mart], "marts")
    if (node.get("config") or {}).get("access") == "public" or node.get("access") == "public":  # its project promises it to others
        group = (node.get("config") or {}).get("group") or node.get("group")
        return fitting(str(group), _AT_ROOT) if group else fitting(folders[0], _AT_ROOT) if folders else _AT_ROOT
    read = any(child.startswith(("model.", "snapshot.")) for child in (manifest.get("child_map") or {}).get(node["unique_id"], ()))
    if set(folders) & _INNER or name.startswith(_INNER_NAMES) or read:
        return None
    return fitting(folders[0], _AT_ROOT) if folders else _AT_ROOT


def _version(node: Node) -> Iterator[Decision]:
    """A version of a model that is not its latest one."""
    version, latest = node.get("version"), node.get("latest_version")
    if version is not None and version != latest:
        until = f", served until {str(node['deprecation_date'])[:10]}" if node.get("deprecation_date") else ""
        message = f"version {version} of a model whose latest is {latest}{until}: versions of a model are tables beside each other here"
        remedy = "say in the contract which one consumers are to read; the next versions of a port are made by ./mesh new version"
        yield Decision("version", f"{node['name']}.v{version}", message, remedy, str(node.get("original_file_path") or ""))


def _unserved(domain: str, node: Node) -> Decision:
    config = node.get("config") or {}
    reason = f"a {node['resource_type']} that only the project itself reads"
    if config.get("materialized") == "ephemeral":
        reason = "ephemeral: no relation that could be served"
    elif (node.get("access") or config.get("access")) == "private":
        reason = "private in its group"
    elif (node.get("language") or "sql") != "sql":
        reason = f"written in {node['language']}, which dbt cannot run on Postgres: make it an asset of the domain"
    name = fitting(str(node["name"]), "product")
    remedy = f"nothing; or ./mesh new product {domain}.{name} --from-model {node['name']}"
    return Decision("not-served", str(node["name"]), reason, remedy, str(node.get("original_file_path") or ""))


def _plans(
    domain: str, groups: Mapping[str, _Group], nodes: Mapping[str, Node], manifest: Mapping[str, Any], mesh: Mesh, decisions: list[Decision]
) -> Iterator[ProductPlan]:
    for wanted, group in sorted(groups.items()):
        name = _free_name(domain, wanted, mesh)
        if name != wanted:
            message = f"the product {wanted!r} is called {name!r}: the name is taken or reserved"
            decisions.append(Decision("name", wanted, message, "rename it, if another one is better"))
        owner, team = group.owner, group.team
        for key in sorted(group.models):
            found, named = _owner(nodes[key], manifest)
            owner, team = owner or found, team or named
        models: dict[str, str] = {}
        for key in sorted(group.models, key=lambda item: str(nodes[item]["name"])):
            alias = str(nodes[key].get("alias") or nodes[key]["name"])
            table = fitting(alias, "model")
            while table in models.values():
                table = f"{table}_{len(models) + 1}"
            if table != alias:
                remedy = "nothing: consumers read the new name, the project keeps its own"
                decisions.append(Decision("name", alias, f"is served as {name}.{table}", remedy, str(nodes[key].get("original_file_path"))))
            models[key] = table
        yield ProductPlan(name, group.title, group.purpose, models, tuple(group.exposures), owner, team)


def _free_name(domain: str, wanted: str, mesh: Mesh) -> str:
    for name in (wanted, f"{wanted}_product", *(f"{wanted[:20].rstrip('_')}_{number}" for number in range(2, 100))):
        try:
            check_product_name(domain, name, mesh)
        except TransformationError:
            continue
        return name
    raise TransformationError(f"no name is free for the product {wanted!r}", remedy="rename the exposure or the folder")


def _owner(node: Node, manifest: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Address and team of a model, by its group, else by ``meta.owner``."""
    config = node.get("config") or {}
    group = config.get("group") or node.get("group")
    known = next((item for item in (manifest.get("groups") or {}).values() if item["name"] == group), None)
    owner = (known or {}).get("owner") or {}
    meta = {**(node.get("meta") or {}), **(config.get("meta") or {})}.get("owner")
    address = _address(owner.get("email")) or _address(meta)
    team = owner.get("name") or (str(meta).lstrip("@") if meta and not _address(meta) else None)
    return address, team


def _address(value: Any) -> str | None:
    """An e-mail address; dbt takes a list of them too."""
    first = value[0] if isinstance(value, list) and value else value
    return str(first) if first and "@" in str(first).strip("@") else None
