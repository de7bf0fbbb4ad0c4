"""What ``domains/<domain>/access/<port>.<principal>.yaml`` may say. The JSON Schema for editors is made from these models."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from platform_core.contracts.file_model import FileModel

_MOMENT = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"
_DAY = r"\d{4}-\d{2}-\d{2}"
_PRINCIPAL = r"(domain|role):.+"


def _moment(value: Any) -> Any:
    try:
        if isinstance(value, str) and re.fullmatch(_MOMENT, value, re.ASCII):
            return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        pass  # the 30th of February: said below with every other text that is no moment
    raise PydanticCustomError("moment", "is no moment in UTC", {"remedy": "write for example 2026-11-21T09:30:00Z"})


def _day(value: Any) -> Any:
    try:
        if isinstance(value, str) and re.fullmatch(_DAY, value, re.ASCII):
            return date.fromisoformat(value)
    except ValueError:
        pass  # as above
    raise PydanticCustomError("day", "is no day", {"remedy": "write for example 2027-06-30"})


def _said(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("said", "says nothing", {"remedy": "write it in words"})
    return value


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _principal(value: str) -> str:
    if not re.fullmatch(_PRINCIPAL, value):
        raise PydanticCustomError(
            "principal",
            "is no principal",
            {"remedy": "write domain:<domain of the mesh>, or role:<Postgres role of a person, team or service>"},
        )
    return value


Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "pattern": f"^{_MOMENT}$"})]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "pattern": f"^{_DAY}$"})]
Said = Annotated[str, AfterValidator(_said), WithJsonSchema({"type": "string", "pattern": r"\S"})]
Principal = Annotated[str, AfterValidator(_principal), WithJsonSchema({"type": "string", "pattern": f"^{_PRINCIPAL}$"})]


class _Event(FileModel):
    at: Moment
    """When, in UTC: ``2026-11-21T09:30:00Z``. The history goes forward in time."""

    by: Said
    """Who: the name by which the teams of products list their members, as a rule an e-mail address."""


class Requested(_Event):
    """Somebody asks to read the port."""

    action: Literal["requested"]
    purpose: Said
    """What the data is wanted for. The owners decide by it, and the audit shows it."""

    personal_data: Annotated[bool, Field(alias="personalData")] = False
    """Whether personal data is wanted in clear. Without it every reader gets it masked."""

    until: Day | None = None
    """Last day of the access, in UTC. Without it the access ends when it is revoked."""


class Approved(_Event):
    """An owner of the product consents to the latest request."""

    action: Literal["approved"]


class Denied(_Event):
    """An owner of the product refuses the latest request."""

    action: Literal["denied"]
    reason: Said
    """Why."""


class Revoked(_Event):
    """The access ends before its time."""

    action: Literal["revoked"]
    reason: Said
    """Why."""


Event = Annotated[Requested | Approved | Denied | Revoked, Field(discriminator="action")]
EVENTS: dict[str, type[FileModel]] = {"requested": Requested, "approved": Approved, "denied": Denied, "revoked": Revoked}


class AccessModel(FileModel):
    """Everything that was asked and decided about one principal's access to one port."""

    port: str
    """Id of the contract, ``<domain>.<product>.<port>``; the file lies in the folder of that domain."""

    principal: Principal
    """Who reads: ``domain:<domain of the mesh>``, or ``role:<Postgres role of a person, team or service>``."""

    history: Annotated[tuple[Event, ...], BeforeValidator(_listed)] = Field(min_length=1)
    """What happened, oldest first. Entries are added, never changed: ``./mesh access`` adds them."""
