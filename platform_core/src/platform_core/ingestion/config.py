"""Connector configuration at run time: ``${ENV}`` placeholders, the types that the connector's spec asks for, redaction.

Secrets exist only in the resolved configuration, which is handed to the connector in memory and never written anywhere.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

from platform_core.contracts.fast_validation import accepts
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.errors import ConfigurationError
from platform_core.ingestion.json_type import is_of_type
from platform_core.ingestion.placeholders import fill_placeholders

_SHORTEST_LINE = 16  # of a key of several lines; shorter ones may be words that say nothing
_SHORTEST_SECRET = 4  # redacting shorter texts would only make logs unreadable

_log = logging.getLogger(__name__)

Steps = tuple[str | int, ...]


@dataclass(frozen=True)
class ResolvedConfig:
    """A configuration ready for the connector.

    Attributes:
        data: The configuration; holds secrets, so it is hidden in ``repr``.
        substituted: Where a whole value came from the environment, with the variable's name.
        secrets: Texts to hide from logs and errors.
    """

    data: dict[str, Any] = field(repr=False)
    substituted: dict[Steps, str]
    secrets: tuple[str, ...] = field(repr=False)

    def redact(self, text: str) -> str:
        """``text`` without any value that came from the environment, as it is or as JSON and addresses write it."""
        for hidden in self._hidden:
            text = text.replace(hidden, "***")
        return text

    @functools.cached_property
    def _hidden(self) -> tuple[str, ...]:
        forms = {form for secret in self.secrets for form in _written(secret)}
        return tuple(sorted((form for form in forms if len(form) >= _SHORTEST_SECRET), key=len, reverse=True))

    def updated(self, data: dict[str, Any]) -> ResolvedConfig:
        """The configuration as the connector changed it; every text that is new in it counts as a secret."""
        new = {text for text in _texts(data) if len(text) >= _SHORTEST_SECRET} - set(_texts(self.data))
        return ResolvedConfig(data, self.substituted, tuple(sorted({*self.secrets, *new}, key=len, reverse=True)))


def _written(secret: str) -> Iterator[str]:
    """The ways in which a secret turns up in a connector's words; a key of several lines is logged line by line."""
    yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    lines = secret.splitlines()
    yield from (line for line in lines if len(lines) > 1 and len(line) >= _SHORTEST_LINE)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def resolve_config(connection: Connection, environ: Mapping[str, str]) -> ResolvedConfig:
    """Replaces the placeholders by the values of the environment.

    Raises:
        ConfigurationError: Variables are missing; all of them are named.
    """
    missing: dict[str, Steps] = {}
    substituted: dict[Steps, str] = {}
    secrets: set[str] = set()

    def resolve(value: Any, steps: Steps) -> Any:
        if isinstance(value, dict):
            return {key: resolve(item, (*steps, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [resolve(item, (*steps, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        filled = fill_placeholders(value, environ)
        for name in filled.missing:
            missing.setdefault(name, steps)
        secrets.update(text for text in filled.given if len(text) >= _SHORTEST_SECRET)
        if filled.whole is not None:
            substituted[steps] = filled.whole
        return filled.text

    data = resolve(connection.config, ())
    if missing:
        names = ", ".join(sorted(missing))
        first = min(connection.at("config", *steps).line for steps in missing.values())
        raise ConfigurationError(
            f"environment variable{'s' if len(missing) > 1 else ''} not set: {names}",
            where=f"{connection.path}:{first}",
            remedy=f"set {names} where the sync runs (an empty value counts as not set)",
        )
    return ResolvedConfig(data, substituted, tuple(sorted(secrets, key=len, reverse=True)))


def fit_to_spec(connection: Connection, config: ResolvedConfig, spec: Mapping[str, Any]) -> ResolvedConfig:
    """Gives values from the environment the type of the connector's spec, then validates the whole configuration against it.

    Args:
        connection: For the lines of errors.
        config: The resolved configuration.
        spec: The ``connectionSpecification``, a JSON Schema.

    Raises:
        ConfigurationError: A value does not fit. The value itself is never shown.
    """
    data = config.data
    secrets = set(config.secrets)
    for steps, variable in config.substituted.items():
        text = _get(config.data, steps)
        value = _typed(connection, steps, variable, text, _schema_at(spec, steps))
        data = _replace(data, steps, value)
        if not isinstance(value, str):
            secrets.discard(text)  # a number or a switch is no secret, and hiding every "10000" would garble the log
    first = _first_problem(connection, spec, data)
    if first is not None:
        steps = tuple(first.absolute_path)
        raise ConfigurationError(
            f"{'.'.join(map(str, ('config', *steps)))} does not fit the connector: {_without_value(first)}",
            where=str(connection.at("config", *steps)),
            remedy=f"see what {connection.connector_label} takes in its spec",
        )
    return ResolvedConfig(data, config.substituted, tuple(sorted(secrets, key=len, reverse=True)))


def _first_problem(connection: Connection, spec: Mapping[str, Any], data: dict[str, Any]) -> Any:
    """What JSON Schema has against a configuration, None for nothing. A spec that is no schema leaves the judgement to the connector."""
    import jsonschema_rs

    if accepts(lambda: jsonschema_rs.Draft7Validator(dict(spec), validate_formats=False, offline=True), data):
        return None
    import jsonschema
    from referencing import Registry

    try:
        problems = jsonschema.Draft7Validator(dict(spec), registry=Registry()).iter_errors(data)  # with this registry it fetches nothing
        return min(problems, key=lambda problem: list(map(str, problem.absolute_path)), default=None)
    except Exception as error:  # noqa: BLE001 - a connector's spec may be anything; the error's text may quote the configuration
        why = type(error).__name__
        _log.warning("%s: its spec is no JSON Schema (%s): it judges its configuration itself", connection.connector_label, why)
        return None


def _schema_at(spec: Mapping[str, Any], steps: Steps) -> Mapping[str, Any]:
    if not steps:
        return spec
    inner = spec.get("items") if isinstance(steps[0], int) else (spec.get("properties") or {}).get(steps[0])
    if isinstance(inner, Mapping):
        return _schema_at(inner, steps[1:])
    shapes = (_schema_at(shape, steps) for shape in (*(spec.get("oneOf") or ()), *(spec.get("anyOf") or ())))
    return next((found for found in shapes if found), {})


def _typed(connection: Connection, steps: Steps, variable: str, text: str, schema: Mapping[str, Any]) -> Any:
    declared = schema.get("type")
    kinds = {declared} if isinstance(declared, str) else set(declared or ())
    if not kinds or "string" in kinds:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not any(is_of_type(value, kind) for kind in kinds):
        raise ConfigurationError(
            f"environment variable {variable} is not of type {' or '.join(sorted(kinds))}",
            where=str(connection.at("config", *steps)),
            remedy=f"set {variable} to such a value",
        )
    return value


def _get(data: Any, steps: Steps) -> Any:
    for step in steps:
        data = data[step]
    return data


def _replace(data: Any, steps: Steps, value: Any) -> Any:
    if not steps:
        return value
    first, rest = steps[0], steps[1:]
    if isinstance(data, list):
        return [_replace(item, rest, value) if index == first else item for index, item in enumerate(data)]
    return {key: _replace(item, rest, value) if key == first else item for key, item in data.items()}


def _without_value(error: Any) -> str:
    """The reason of a JSON Schema error; the library's own message quotes the value, which may be a secret."""
    match error.validator:
        case "required":
            names = [name for name in error.validator_value if name not in error.instance]
            return f"{', '.join(names)} is required"
        case "type":
            return f"it is not of type {error.validator_value}"
        case "additionalProperties":
            unknown = set(error.instance) - set(error.schema.get("properties", {}))
            return f"unknown key {', '.join(sorted(unknown))}"
        case "minimum" | "maximum" | "pattern" | "enum" | "const" | "minLength" | "maxLength" | "format":
            return f"{error.validator} is {error.validator_value}"
        case _:
            return f"it breaks the rule {error.validator!r}"
