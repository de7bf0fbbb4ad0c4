"""Low-code connectors: Airbyte declarative manifests, ``airbyte/manifests/<name>.yaml``, run by the CDK's own program.

Format: https://docs.airbyte.com/platform/connector-development/config-based/understanding-the-yaml-file/yaml-overview. What is
checked here needs no CDK; the CDK checks every component against its own schema when the connector starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from platform_core.contracts import Document, Problem, SourceError, load_yaml, source_problem
from platform_core.ingestion.manifest_catalog import manifest_catalog

MANIFESTS = "manifests"
CDK_PACKAGE = "airbyte-cdk"
# One version runs every manifest that names none, so that all share one environment. It was the newest release when manifests
# were introduced here: the CDK takes manifests written for its own version or an older one, never a newer one.
CDK_VERSION = "7.39.1"

_RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_MAX_REFERENCES = 100


@dataclass(frozen=True)
class Manifest:
    """A low-code connector.

    Attributes:
        name: File name without its ending.
        path: The file.
        version: Release of the CDK that it is written for.
        content: Its bytes, handed to the CDK as they were checked.
        spec: The ``connectionSpecification``: a JSON Schema of the configuration.
        streams: Names of the streams that it defines, None when it finds them only at run time (``dynamic_streams``).
        catalog: What ``discover`` would answer, None when only the CDK can know (see ``manifest_catalog``).
    """

    name: str
    path: Path
    version: str
    content: bytes = field(repr=False)
    spec: dict[str, Any] = field(repr=False)
    streams: tuple[str, ...] | None
    catalog: dict[str, Any] | None = field(default=None, repr=False)


def read_manifest(path: Path) -> tuple[Manifest | None, list[Problem]]:
    """Reads a manifest and says what is wrong with it; without a manifest there is at least one problem."""
    try:
        document = load_yaml(path)
    except SourceError as error:
        problem = source_problem(error, path, "manifest-yaml")
        return None, [replace(problem, message=f"the manifest {problem.message}")]
    problems = list(_problems(document))
    if problems:
        return None, problems
    data = document.data
    spec = (data.get("spec") or {}).get("connection_specification")
    names = None if data.get("dynamic_streams") else tuple(name for name, _ in _streams(document) if name is not None)
    known = spec if isinstance(spec, dict) else {"type": "object"}
    catalog = manifest_catalog(data, lambda value: _resolved(data, value))
    return Manifest(path.stem, path, str(data["version"]), path.read_bytes(), known, names, catalog), []


def _problems(document: Document) -> Iterator[Problem]:
    data: Any = document.data
    if not isinstance(data, dict) or data.get("type") != "DeclarativeSource":
        found = f"has the type {data['type']!r}" if isinstance(data, dict) and "type" in data else "has no type"
        place = document.at("type")
        yield Problem("manifest-type", f"the manifest {found}, not DeclarativeSource", place, "begin it with: type: DeclarativeSource")
        return
    version = _RELEASE.match(str(data.get("version", "")))
    if version is None:
        yield Problem(
            "manifest-version",
            f"the manifest's version is {data.get('version')!r}, not a release of the CDK",
            document.at("version"),
            f'write the one that it is written for, for example: version: "{CDK_VERSION}"',
        )
    if not isinstance(data.get("check"), dict):
        remedy = "add check: {type: CheckStream, stream_names: [...]}"
        yield Problem("manifest-check", "the manifest has no check", document.at("check"), remedy)
    spec = data.get("spec")
    if spec is not None and not (isinstance(spec, dict) and isinstance(spec.get("connection_specification"), dict)):
        remedy = "write spec: {type: Spec, connection_specification: {type: object, properties: ...}}"
        yield Problem("manifest-spec", "the manifest's spec has no connection_specification", document.at("spec"), remedy)
    elif isinstance(spec, dict) and spec["connection_specification"].get("additionalProperties") is False:
        # The CDK puts the manifest itself into the configuration, and then finds that key against this specification.
        message = "the manifest's connection_specification allows no further keys, so the CDK refuses every configuration"
        place = document.at("spec", "connection_specification", "additionalProperties")
        yield Problem("manifest-spec-closed", message, place, "remove additionalProperties: false, or make it true")
    streams, dynamic = data.get("streams"), data.get("dynamic_streams")
    if not (isinstance(streams, list) and streams) and not (isinstance(dynamic, list) and dynamic):
        yield Problem("manifest-streams", "the manifest defines no streams", document.at("streams"), "add streams: with at least one")
        return
    for name, index in _streams(document):
        if name is None:
            message = f"streams[{index}] of the manifest has no name, or refers to something that is not there"
            yield Problem("manifest-stream", message, document.at("streams", index), "give it a name:, and correct its $ref")


def too_old(manifest: Manifest, version: str) -> bool:
    """Whether the CDK ``version`` is older than the one that the manifest is written for; such a CDK refuses it."""
    wanted, given = _RELEASE.match(manifest.version), _RELEASE.match(version)
    if wanted is None or given is None:
        return False
    return [int(number) for number in wanted.groups()] > [int(number) for number in given.groups()]


def _streams(document: Document) -> Iterator[tuple[str | None, int]]:
    """Name of each stream (None where it has none) with its place in ``streams``; conditional groups are opened."""
    for index, entry in enumerate(document.data.get("streams") or ()):
        stream = _resolved(document.data, entry)
        if isinstance(stream, dict) and stream.get("type") == "ConditionalStreams":
            inner = stream.get("streams")
            for one in inner if isinstance(inner, list) else [None]:
                yield _name(document.data, _resolved(document.data, one)), index
        else:
            yield _name(document.data, stream), index


def _name(root: Any, stream: Any) -> str | None:
    if not isinstance(stream, dict):
        return None
    parameters = _resolved(root, stream.get("$parameters"))
    name = stream.get("name") or (parameters.get("name") if isinstance(parameters, dict) else None)
    return name if isinstance(name, str) and name else None


def _resolved(root: Any, value: Any) -> Any:
    """``value`` with its ``$ref`` followed, own keys above those it refers to; None when the reference leads nowhere."""
    own: dict[str, Any] = {}
    for _ in range(_MAX_REFERENCES):
        reference = value.get("$ref") if isinstance(value, dict) else value
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return {**value, **own} if isinstance(value, dict) else value
        if isinstance(value, dict):
            own = {**{key: item for key, item in value.items() if key != "$ref"}, **own}
        value = root
        for step in reference[2:].split("/"):
            if isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            elif isinstance(value, dict) and step in value:
                value = value[step]
            else:
                return None
    return None
