"""From a connector's ``connectionSpecification`` to a configuration: what must be said, what was said, what is asked for.

Airbyte's annotations of the JSON Schema: ``order`` (of questions), ``airbyte_secret``, ``airbyte_hidden``, and ``oneOf`` of objects that a
``const`` tells apart. Source: https://docs.airbyte.com/platform/connector-development/connector-specification-reference
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from platform_core.contracts import did_you_mean
from platform_core.ingestion.errors import ConfigurationError
from platform_core.ingestion.json_type import is_of_type

_TAG = re.compile(r"<[^>]+>")


@dataclass(frozen=True)
class Setting:
    """One value that a connector takes.

    Attributes:
        path: Keys from the root, dotted.
        title: Its name for people.
        description: One line.
        kind: JSON type.
        required: The connector does not work without it.
        secret: It belongs into the environment.
        default: What the connector proposes, None without a proposal.
        choices: The only values, empty when any of the type will do.
    """

    path: str
    title: str
    description: str
    kind: str
    required: bool
    secret: bool
    default: Any
    choices: tuple[Any, ...]


class Asker(Protocol):
    """Somebody who answers; None where nobody is asked."""

    def value(self, setting: Setting) -> str | None:
        """The value as text; None leaves an optional setting out."""
        ...

    def choice(self, path: str, titles: Sequence[str]) -> int:
        """Which of several shapes a setting has."""
        ...


def fill(spec: Mapping[str, Any], given: Mapping[str, str], *, name: str, ask: Asker | None = None) -> dict[str, Any]:
    """The configuration of a connection.

    Args:
        spec: The connector's ``connectionSpecification``.
        given: Values as text, by dotted path.
        name: Of the connection; begins the variables of secrets.
        ask: Answers what is not given.

    Raises:
        ConfigurationError: A path is unknown, a value does not fit, a secret was given in clear text, or something is missing.
    """
    work = _Filling(given, name, ask)
    config = work.object(spec, ())
    unknown = [path for path in given if path not in work.used]
    if unknown:
        known = [setting.path for setting in settings_of(spec)]
        raise ConfigurationError(
            f"the connector has no setting {unknown[0]!r}{did_you_mean(unknown[0], known)}", remedy=f"use: {', '.join(known) or 'none'}"
        )
    if work.missing:
        said = "; ".join(f"{setting.path} ({setting.description or setting.title})" for setting in work.missing)
        flags = " ".join(f"--set {setting.path}=..." for setting in work.missing)
        raise ConfigurationError(f"the connector needs more settings: {said}", remedy=f"add {flags}")
    return config


def settings_of(spec: Mapping[str, Any]) -> list[Setting]:
    """Every value of a spec, those of all shapes included."""
    return list(dict.fromkeys(_walk(spec, ())))


def secret_variable(name: str, path: str) -> str:
    """The environment variable of a secret: ``CRM_API_KEY`` for ``api_key`` of the connection ``crm``."""
    return re.sub(r"\W+", "_", f"{name}_{path.rpartition('.')[2]}").upper()


def _walk(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Setting]:
    for option in schema.get("oneOf") or ():
        yield from _walk(option, path)
    required = schema.get("required") or ()
    for key, inner in _properties(schema):
        if _is_object(inner):
            yield from _walk(inner, (*path, key))
        else:
            yield _setting(inner, (*path, key), required=key in required)


def _properties(schema: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found = [(key, inner) for key, inner in (schema.get("properties") or {}).items() if isinstance(inner, Mapping)]
    return sorted(found, key=lambda item: item[1].get("order", len(found)))


def _first_sentence(text: str) -> str:
    """Up to a full stop or semicolon that stands outside of parentheses."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter in ".;" and depth <= 0 and text[position + 1 : position + 2] in ("", " "):
            return text[:position]
    return text


def _is_object(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("oneOf") or schema.get("properties"))


def _setting(schema: Mapping[str, Any], path: tuple[str, ...], *, required: bool) -> Setting:
    declared = schema.get("type")
    kinds = [declared] if isinstance(declared, str) else list(declared or ["string"])
    text = " ".join(_TAG.sub("", str(schema.get("description") or "")).split())
    choices = (schema["const"],) if "const" in schema else tuple(schema.get("enum") or ())
    return Setting(
        path=".".join(path),
        title=str(schema.get("title") or path[-1]),
        description=_first_sentence(text),
        kind=next((kind for kind in kinds if kind != "null"), "string"),
        required=required,
        secret=bool(schema.get("airbyte_secret")),
        default=schema.get("default"),
        choices=choices,
    )


class _Filling:
    """The work of ``fill``."""

    def __init__(self, given: Mapping[str, str], name: str, ask: Asker | None) -> None:
        self.used: set[str] = set()
        self.missing: list[Setting] = []
        self._given, self._name, self._ask = given, name, ask

    def object(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        if schema.get("oneOf"):
            schema = self._chosen(schema, path)
        required = schema.get("required") or ()
        result: dict[str, Any] = {}
        for key, inner in _properties(schema):
            here = (*path, key)
            needed = key in required
            if "const" in inner and self._says(here) is None:
                result[key] = inner["const"]  # tells the shapes of a oneOf apart
            elif _is_object(inner):
                if needed or self._below(here):
                    result[key] = self.object(inner, here)
            else:
                value = self._value(_setting(inner, here, required=needed), hidden=bool(inner.get("airbyte_hidden")))
                if value is not None:
                    result[key] = value
        return result

    def _says(self, path: tuple[str, ...]) -> str | None:
        name = ".".join(path)
        if name in self._given:
            self.used.add(name)
        return self._given.get(name)

    def _below(self, path: tuple[str, ...]) -> bool:
        return any(name.startswith(".".join(path) + ".") for name in self._given)

    def _chosen(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
        shapes: list[Mapping[str, Any]] = list(schema["oneOf"])
        below = {name.removeprefix(".".join(path) + ".").partition(".")[0] for name in self._given if name.startswith(".".join(path) + ".")}

        def fits(shape: Mapping[str, Any]) -> bool:
            properties = dict(_properties(shape))
            consts = {key: inner["const"] for key, inner in properties.items() if "const" in inner}
            said = {key: self._given.get(".".join((*path, key))) for key in consts}
            return below <= set(properties) and all(said[key] in (None, str(value)) for key, value in consts.items())

        fitting = [shape for shape in shapes if fits(shape)]
        if len(fitting) != 1 and self._ask is not None:
            return (fitting or shapes)[self._ask.choice(".".join(path), [str(shape.get("title") or "") for shape in fitting or shapes])]
        if len(fitting) != 1:
            titles = "; ".join(_told_apart(shape, path) for shape in shapes)
            raise ConfigurationError(f"{'.'.join(path)} has several shapes, and none is chosen", remedy=f"choose one: {titles}")
        return fitting[0]

    def _value(self, setting: Setting, *, hidden: bool) -> Any:
        path = tuple(setting.path.split("."))
        said = self._says(path)
        if said is not None and setting.secret and "${" not in said:
            variable = secret_variable(self._name, setting.path)
            raise ConfigurationError(
                f"{setting.path} is a secret: it belongs neither into a file nor into a command line",
                remedy=f"set the environment variable {variable} and leave --set {setting.path} away, or name another: --secret {setting.path}=NAME",
            )
        if said is None and setting.secret:
            return f"${{{secret_variable(self._name, setting.path)}}}" if setting.required else None
        if said is None and self._ask is not None and not hidden:
            said = self._ask.value(setting)
        if said is not None:
            return _typed(setting, said)
        if setting.required and setting.default is None:
            self.missing.append(setting)
        return setting.default if setting.required else None


def _told_apart(shape: Mapping[str, Any], path: tuple[str, ...]) -> str:
    consts = [shlex.join(["--set", f"{'.'.join((*path, key))}={inner['const']}"]) for key, inner in _properties(shape) if "const" in inner]
    return f"{shape.get('title') or 'one'} ({' '.join(consts)})" if consts else str(shape.get("title"))


def _typed(setting: Setting, text: str) -> Any:
    if "${" in text or setting.kind == "string":
        value: Any = text
    else:
        try:
            value = json.loads(text)
        except ValueError:
            value = text.split(",") if setting.kind == "array" else text
        if not is_of_type(value, setting.kind):
            raise ConfigurationError(f"{setting.path} is {text!r}, not of type {setting.kind}", remedy=f"write --set {setting.path}=VALUE")
    if setting.choices and "${" not in text and value not in setting.choices:
        known = ", ".join(map(str, setting.choices))
        raise ConfigurationError(
            f"{setting.path} is {text!r}{did_you_mean(text, map(str, setting.choices))}", remedy=f"use one of: {known}"
        )
    return value
