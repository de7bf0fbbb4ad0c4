"""The ``roles`` of a contract: which domains may read the port without asking.

An entry allows something when it says ``access: read``. The reader role is for every domain of the mesh, unless the custom
property ``domains`` lists some; the role that reads personal data in clear is for the domains that are listed, and for no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, Role
from platform_core.contracts.problem import Problem, did_you_mean
from platform_core.contracts.source import Place

_PROPERTIES = ("domains",)


def read_role(place: Place, item: Mapping[str, Any], problems: list[Problem]) -> Role:
    """One entry; its custom properties that cannot be used are recorded as errors."""
    domains: tuple[str, ...] | None = None
    for index, entry in enumerate(item.get("customProperties") or []):
        key, value = entry["property"], entry.get("value")
        if key not in _PROPERTIES:
            hint = did_you_mean(str(key), _PROPERTIES)
            if hint:  # any other is somebody else's, and reported as documented only
                message = f"the custom property {key!r} of the role {item['role']!r} is unknown{hint}"
                problems.append(Problem("custom-property", message, place.at("customProperties", index, "property"), "use domains"))
        elif not isinstance(value, list) or not all(isinstance(name, str) and naming.NAME.fullmatch(name) for name in value):
            message = f"domains of the role {item['role']!r} is {value!r}"
            problems.append(
                Problem("role", message, place.at("customProperties", index, "value"), "write a list of domains, for example [sales]")
            )
        else:
            domains = tuple(value)
    levels = (item.get("firstLevelApprovers"), item.get("secondLevelApprovers"))
    return Role(item["role"], item.get("access"), *levels, domains=domains, location=place.at())


def role_for(contract: Contract, domain: str, *, clear: bool) -> Role | None:
    """The entry of the contract's ``roles`` that lets a domain read without asking.

    Args:
        contract: The port.
        domain: Who reads.
        clear: Whether personal data is to be read in clear.
    """
    name = naming.pii_reader_role(contract.product_id) if clear else naming.reader_role(contract.product_id)
    for role in contract.roles:
        reads = role.name == name and (role.access or "").strip().lower() == "read"
        if reads and (domain in role.domains if role.domains is not None else not clear):
            return role
    return None
