"""The files of a dbt project as they go into the domain: what the platform decides is changed, everything else is carried as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from platform_core.contracts import naming
from platform_core.contracts.source import SourceError, parse_yaml
from platform_core.transformation.adoption.decision import Decision
from platform_core.transformation.adoption.seed_sources import reference_seeds
from platform_core.transformation.project import TransformationError
from platform_core.transformation.starting.dbt_text import IGNORED, profile_text, project_name

PACKAGES = "vendored_packages"
"""Folder of the installed packages in the domain's project: the platform starts dbt without asking an index for them."""
_OVERRIDES = "mesh_schemas.sql"
_NAMES = ("generate_schema_name", "generate_database_name", "generate_alias_name")
_MACRO = re.compile(rf"(\{{%-?\s*macro\s+)((?:\w+__)?({'|'.join(_NAMES)}))(\s*\()")
_SNAPSHOT_SCHEMA = re.compile(r"\btarget_(schema|database)\s*=\s*(?:'[^']*'|\"[^\"]*\"|[\w.]+(?:\([^()]*\))?)")
_ENV = re.compile(r"env_var\s*\(\s*['\"]([^'\"]+)['\"]\s*(,)?")
_TARGET = re.compile(r"\btarget\.(name|schema|type|database|dbname|user|host|profile_name)\b|\btarget\[")
_SCRIPTS = (".sql", ".yml", ".yaml", ".py")


@dataclass
class EditedProject:
    """The project's files in the domain.

    Attributes:
        files: Path below the domain's project to content.
        decisions: What was changed, and what was left behind.
    """

    files: dict[str, bytes]
    decisions: list[Decision] = field(default_factory=list[Decision])


def edit_project(domain: str, files: Mapping[str, bytes], aliases: Mapping[str, str]) -> EditedProject:
    """The files for the domain.

    Args:
        domain: The domain.
        files: The project's own files by path, installed packages below ``PACKAGES``.
        aliases: ``unique_id`` to a relation's name, for models of one name that stood in different schemas.

    Raises:
        TransformationError: ``dbt_project.yml`` is no mapping.
    """
    edited = EditedProject(dict(files))
    project = _mapping(files, "dbt_project.yml")
    profile = str(project.get("profile") or project_name(domain))
    edited.files["dbt_project.yml"] = _project_file(edited, project, profile)
    edited.files["profiles.yml"] = profile_text(domain, profile).encode()
    edited.files[".gitignore"] = _ignored(files.get(".gitignore", b""))
    own = [path for path in edited.files if not path.startswith(f"{PACKAGES}/")]
    for path in own:
        if path.endswith(".sql"):
            _macros(edited, path)
            _snapshot_schema(edited, path)
    edited.decisions += reference_seeds(edited.files, project, [path for path in own if path not in ("dbt_project.yml", "profiles.yml")])
    for path in own:
        if path.endswith((".yml", ".yaml")) and path not in ("dbt_project.yml", "profiles.yml"):
            _sources(edited, domain, path)
    macros = str((project.get("macro-paths") or ["macros"])[0])
    edited.files[f"{macros}/{_OVERRIDES}"] = overrides(aliases).encode()
    _reports(edited, own, project)
    return edited


def overrides(aliases: Mapping[str, str]) -> str:
    """The macros that put every relation into the domain's own schema, and give relations of one name different ones."""
    known = ", ".join(f"'{unique}': '{alias}'" for unique, alias in sorted(aliases.items()))
    alias = f"""
{{# Relations of one name stood in different schemas before; here they are one schema's. #}}
{{% macro generate_alias_name(custom_alias_name=none, node=none) -%}}
    {{%- set renamed = {{{known}}} -%}}
    {{%- if node.unique_id in renamed -%}}
        {{{{ renamed[node.unique_id] }}}}
    {{%- elif custom_alias_name -%}}
        {{{{ custom_alias_name | trim }}}}
    {{%- elif node.version -%}}
        {{{{ node.name ~ "_v" ~ (node.version | replace(".", "_")) }}}}
    {{%- else -%}}
        {{{{ node.name }}}}
    {{%- endif -%}}
{{%- endmacro %}}
"""
    return f"""\
{{# A domain owns one build schema; its products' ports are what others see. #}}
{{% macro generate_schema_name(custom_schema_name=none, node=none) -%}}
    {{{{ target.schema }}}}
{{%- endmacro %}}

{{% macro generate_database_name(custom_database_name=none, node=none) -%}}
    {{{{ target.database }}}}
{{%- endmacro %}}
{alias if aliases else ""}"""


def _mapping(files: Mapping[str, bytes], path: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(files[path])
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TransformationError("is no YAML", where=path, remedy="correct it; dbt parse says where") from error
    if not isinstance(document, dict):
        raise TransformationError("is no mapping", where=path, remedy="name a dbt project")
    return document


def _project_file(edited: EditedProject, project: Mapping[str, Any], profile: str) -> bytes:
    text = edited.files["dbt_project.yml"].decode()
    if "profile" not in project:
        text = _set_line(text, "profile", profile)
    if any(path.startswith(f"{PACKAGES}/") for path in edited.files):
        text = _set_line(text, "packages-install-path", PACKAGES)
    for key in ("target_schema", "target_database"):
        found = re.search(rf"^(\s*\+?{key}\s*:\s*)(\S.*)$", text, re.MULTILINE)
        if found:
            text = re.sub(
                rf"^(\s*\+?{key}\s*:\s*)(\S.*)$",
                rf"""\1"{{{{ target.{key.removeprefix("target_")} }}}}" # was \2""",
                text,
                flags=re.MULTILINE,
            )
            edited.decisions.append(_schema_decision("snapshots", f"{key} {found[2]}", "dbt_project.yml"))
    return text.encode()


def _set_line(text: str, key: str, value: str) -> str:
    pattern = re.compile(rf"^{re.escape(key)}\s*:.*$", re.MULTILINE)
    if pattern.search(text):
        return pattern.sub(f"{key}: {value}", text, count=1)
    return f"{text.rstrip()}\n{key}: {value}\n"


def _ignored(before: bytes) -> bytes:
    lines = before.decode(errors="replace").splitlines()
    # Installed packages are part of the domain now, wherever they were ignored before.
    lines = [line for line in lines if line.strip().strip("/") not in (PACKAGES, f"{PACKAGES}/*")]
    return ("\n".join([*lines, *(line for line in IGNORED.splitlines() if line not in lines)]) + "\n").encode()


def _macros(edited: EditedProject, path: str) -> None:
    """The project's own macros of those names step aside: the platform decides where relations are."""
    text = edited.files[path].decode(errors="replace")
    names = sorted({match[2] for match in _MACRO.finditer(text)})
    if not names:
        return
    edited.files[path] = _MACRO.sub(r"\1adopted_\2\4", text).encode()
    message = f"{', '.join(names)} became {', '.join(f'adopted_{name}' for name in names)}: relations are in the domain's one build schema"
    remedy = "nothing, unless it did more than choose a schema, a database or a name"
    edited.decisions.append(Decision("macro", path, message, remedy, path))


def _snapshot_schema(edited: EditedProject, path: str) -> None:
    text = edited.files[path].decode(errors="replace")
    if "{% snapshot" not in text and "{%- snapshot" not in text:
        return
    found = [match[0] for match in _SNAPSHOT_SCHEMA.finditer(text)]
    changed = [clause for clause in found if not clause.endswith(("target.schema", "target.database"))]
    if changed:
        edited.files[path] = _SNAPSHOT_SCHEMA.sub(lambda match: f"target_{match[1]}=target.{match[1]}", text).encode()
        edited.decisions.append(_schema_decision(PurePosixPath(path).stem, ", ".join(changed), path))


def _schema_decision(subject: str, was: str, path: str) -> Decision:
    remedy = "copy the history of the snapshot into the new table, if it is to go on: dbt starts with an empty one"
    return Decision("schema", subject, f"its {was} became the domain's build schema", remedy, path)


def _sources(edited: EditedProject, domain: str, path: str) -> None:
    """Sources point to the domain's raw schema, where its connections load; the text around stays."""
    text = edited.files[path].decode(errors="replace")
    try:
        document = parse_yaml(text, Path(path))
    except SourceError:
        return  # dbt says what is wrong with it, when it parses the project
    sources = document.data.get("sources") if isinstance(document.data, dict) else None
    if not isinstance(sources, list):
        return
    lines = text.splitlines(keepends=True)
    schema = naming.raw_schema(domain)
    for index in reversed(range(len(sources))):
        source: Any = sources[index]
        if not isinstance(source, dict) or "name" not in source:
            continue
        for key in ("schema", "database", "catalog"):
            if key in source:
                at = document.line(("sources", index, key)) - 1
                found = re.match(rf"^(\s*(?:- )?){key}:(\s*)(.*)$", lines[at].rstrip("\n"))
                if found is None:
                    continue
                if key == "schema":
                    lines[at] = f"{found[1]}schema: {schema} # was {found[3]}\n"
                elif "-" not in found[1]:
                    lines[at] = f"{found[1]}# {key}: {found[3]}\n"
        if "schema" not in source:
            at = document.line(("sources", index, "name")) - 1
            indent = re.match(r"^(\s*)(- )?", lines[at])
            width = len(indent[1]) + len(indent[2] or "") if indent else 4
            lines.insert(at + 1, f"{' ' * width}schema: {schema} # was {source['name']}\n")
    wanted = _repointed(yaml.safe_load(text), schema)
    made = "".join(lines)
    if yaml.safe_load(made) != wanted:  # a flow mapping, an anchor: written anew, its comments are lost
        made = yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)
        edited.decisions.append(Decision("schema", path, "was written anew to move its sources; comments are lost", "look at it", path))
    edited.files[path] = made.encode()


def _repointed(document: dict[str, Any], schema: str) -> dict[str, Any]:
    for source in document["sources"]:
        if isinstance(source, dict) and "name" in source:
            source["schema"] = schema
            source.pop("database", None)
            source.pop("catalog", None)
    return document


def _reports(edited: EditedProject, own: Iterable[str], project: Mapping[str, Any]) -> None:
    variables: dict[str, str] = {}
    for path in own:
        if not path.endswith(_SCRIPTS) or path == "profiles.yml":
            continue
        text = edited.files[path].decode(errors="replace")
        variables |= {match[1]: path for match in _ENV.finditer(text) if not match[2]}
        asked = sorted({match[0].rstrip("[") for match in _TARGET.finditer(text)} - {"target.schema", "target.database"})
        if asked and path != "dbt_project.yml":
            message = f"it asks for {', '.join(asked)}: the target is called mesh now, its type is postgres"
            edited.decisions.append(Decision("target", path, message, "look whether it still does what it should", path))
    for name, path in sorted(variables.items()):
        message = "dbt reads it and it has no default"
        remedy = f"set {name} where the domain runs, or give env_var() a default"
        edited.decisions.append(Decision("environment", name, message, remedy, path))
    for key in ("on-run-start", "on-run-end"):
        if project.get(key):
            message = f"{key} runs with every build, as the role of the domain"
            edited.decisions.append(
                Decision("grant", key, message, "remove statements that grant or create schemas: mesh apply does", "dbt_project.yml")
            )
