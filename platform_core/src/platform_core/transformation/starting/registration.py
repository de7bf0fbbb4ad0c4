"""Where a domain is named beside its own folder, and the edit that names it there. Comments and order of the files stay.

Each edit is checked: the edited text is parsed again and must say what the old one said, and the domain. A file that is written in
a way these edits do not know is refused, with the line to add by hand; it is never spoiled.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable
from typing import Any

import yaml

from platform_core.transformation.project import TransformationError

_SECTION = re.compile(r"^\[+[^\]]+\]+\s*(#.*)?$", re.MULTILINE)


def in_root_project(text: str, domain: str, where: str) -> str:
    """The root ``pyproject.toml`` with the domain: dependency, workspace source, import sorting, project of ``dg``.

    Raises:
        TransformationError: The file is written in a way that the edit does not know.
    """
    before = tomllib.loads(text)
    wanted = copy.deepcopy(before)
    edited = text
    for section, key in (("project", "dependencies"), ("tool.ruff.lint.isort", "known-first-party")):
        names = _at(wanted, section).get(key)
        if isinstance(names, list) and domain not in names:
            names.append(domain)
            edited = _append_to_array(edited, section, key, domain)
    sources = _at(wanted, "tool.uv.sources")
    if sources and domain not in sources:
        sources[domain] = {"workspace": True}
        edited = _append_to_section(edited, "[tool.uv.sources]", f"{domain} = {{ workspace = true }}\n")
    projects = _at(wanted, "tool.dg.workspace").get("projects")
    path = f"domains/{domain}"
    if isinstance(projects, list) and path not in [project.get("path") for project in projects]:
        projects.append({"path": path})
        edited = _append_to_section(edited, "[[tool.dg.workspace.projects]]", f'[[tool.dg.workspace.projects]]\npath = "{path}"\n')
    return _checked(edited, wanted, tomllib.loads, where, f"add {domain!r} to dependencies and to [tool.uv.sources]")


def in_workspace(text: str, domain: str, where: str) -> str:
    """``workspace.yaml`` with the domain's code location, after those of the other domains. Raises as ``in_root_project``."""
    wanted = yaml.safe_load(text)
    entry = {"module_name": f"{domain}.definitions", "location_name": domain, "working_directory": f"domains/{domain}"}
    locations = [location.get("python_module", {}) for location in wanted["load_from"] if isinstance(location, dict)]
    if domain in [location.get("location_name") for location in locations]:
        return text
    line = f"- python_module: {{{', '.join(f'{key}: {value}' for key, value in entry.items())}}}\n"
    at = [index for index, location in enumerate(locations) if str(location.get("working_directory", "")).startswith("domains/")]
    wanted["load_from"].insert(at[-1] + 1 if at else 0, {"python_module": entry})
    lines = text.splitlines(keepends=True)
    starts = [number for number, content in enumerate(lines) if re.match(r"\s*- ", content)]
    head = next((number for number, content in enumerate(lines) if content.startswith("load_from:")), -1)
    # The end of the last domain's entry is the start of the next one, or the end of the list.
    place = (starts[at[-1] + 1] if at[-1] + 1 < len(starts) else len(lines)) if at else head + 1
    indent = re.match(r"\s*", lines[starts[0]])[0] if starts else "  "  # pyright: ignore[reportOptionalSubscript]
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    edited = "".join([*lines[:place], indent + line, *lines[place:]])
    return _checked(edited, wanted, yaml.safe_load, where, f"add {line.strip()}")


def in_environment(text: str, domain: str, where: str) -> str:
    """Values of one environment, with a namespace for the domain where every other domain has one. Raises as ``in_root_project``."""
    wanted = yaml.safe_load(text) or {}
    domains = wanted.get("domains") if isinstance(wanted, dict) else None
    if not domains or domain in domains or not all(isinstance(item, dict) and item.get("namespace") for item in domains.values()):
        return text
    example, settings = next(iter(domains.items()))
    namespace = str(settings["namespace"]).replace(example.replace("_", "-"), domain.replace("_", "-"))
    domains[domain] = {"namespace": namespace}
    lines = text.splitlines(keepends=True)
    head = next(number for number, content in enumerate(lines) if content.startswith("domains:"))
    place = head + 1
    while place < len(lines) and (not lines[place].strip() or lines[place][0] in " #"):
        place += 1
    while not lines[place - 1].strip():
        place -= 1
    if not lines[place - 1].endswith("\n"):
        lines[place - 1] += "\n"
    line = f"  {domain}: {{ namespace: {namespace} }}\n"
    edited = "".join([*lines[:place], line, *lines[place:]])
    return _checked(edited, wanted, yaml.safe_load, where, f"add {line.strip()} under domains:")


def in_lock(text: str, domain: str, version: str, where: str) -> str:
    """``uv.lock`` with the domain as a member that depends on the platform only, byte for byte as ``uv lock`` writes it.

    Such a member changes no version of anything, so no index has to be asked. Raises as ``in_root_project``.
    """
    wanted = tomllib.loads(text)
    name, folder = domain.replace("_", "-"), f"domains/{domain}"  # uv writes names with dashes
    members = wanted["manifest"]["members"]
    if name in members:
        return text
    if name in [package["name"] for package in wanted["package"]]:  # named by half: nobody's to guess
        raise _unknown(where, "run uv lock")
    root = next(package for package in wanted["package"] if package["source"] == {"virtual": "."})
    edited = _sorted_into(text, r"^members = \[\n", f'    "{name}",\n', name)
    header = re.search(rf'^name = "{re.escape(root["name"])}"\n', edited, re.MULTILINE)
    if header is None:
        raise _unknown(where, "run uv lock")
    start = header.start()
    edited = edited[:start] + _sorted_into(edited[start:], r"^dependencies = \[\n", f'    {{ name = "{name}" }},\n', name)
    entry = f'    {{ name = "{name}", editable = "{folder}" }},\n'
    edited = edited[:start] + _sorted_into(edited[start:], r"^requires-dist = \[\n", entry, name)
    block = (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ editable = "{folder}" }}\ndependencies = [\n'
        f'    {{ name = "platform-core" }},\n]\n\n[package.metadata]\n'
        f'requires-dist = [{{ name = "platform-core", editable = "platform_core" }}]\n\n'
    )
    later = (match for match in re.finditer(r'^\[\[package\]\]\nname = "([^"]+)"\n', edited, re.MULTILINE) if match[1] > name)
    place = next((match.start() for match in later), None)
    edited = edited[:place] + block + edited[place:] if place is not None else f"{edited}\n{block[:-1]}"
    members[:] = sorted([*members, name])
    root["dependencies"] = _by_name([*root["dependencies"], {"name": name}])
    root["metadata"]["requires-dist"] = _by_name([*root["metadata"]["requires-dist"], {"name": name, "editable": folder}])
    wanted["package"].append(
        {
            "name": name,
            "version": version,
            "source": {"editable": folder},
            "dependencies": [{"name": "platform-core"}],
            "metadata": {"requires-dist": [{"name": "platform-core", "editable": "platform_core"}]},
        }
    )
    wanted["package"] = _by_name(wanted["package"])
    found = tomllib.loads(edited)
    found["package"] = _by_name(found["package"])
    if found != wanted:
        raise _unknown(where, "run uv lock")
    return edited


def _by_name(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: entry["name"])


def _sorted_into(text: str, opening: str, line: str, name: str) -> str:
    """The line among the sorted lines of the first array that opens so."""
    found = re.search(opening, text, re.MULTILINE)
    if found is None:
        return text  # the check of the whole finds that it is missing
    place = found.end()
    while (entry := re.match(r'\s+(?:\{ name = )?"([^"]+)".*\n', text[place:])) and entry[1] < name:
        place += entry.end()
    return text[:place] + line + text[place:]


def _append_to_array(text: str, section: str, key: str, name: str) -> str:
    start, end = _extent(text, f"[{section}]")
    found = re.search(rf"^{re.escape(key)}\s*=\s*\[", text[start:end], re.MULTILINE)
    closing = _closing(text, start + found.end()) if found else -1
    if closing < 0:
        return text
    inside = text[start + found.end() : closing] if found else ""
    item = f'"{name}"'
    if "\n" in inside:
        body = inside.rstrip()
        indent = re.search(r"\n([ \t]+)\S", inside)
        # A comma after the last entry, before a comment on its line.
        *head, last = body.split("\n")
        code, hash_, comment = last.partition("#")
        code = code if code.rstrip().endswith(",") else f"{code.rstrip()},{'  ' if hash_ else ''}"
        body = "\n".join([*head, f"{code}{hash_}{comment}"])
        return f"{text[: closing - len(inside)]}{body}\n{indent[1] if indent else '    '}{item},\n{text[closing:]}"
    separator = ", " if inside.strip() else ""
    return f"{text[: closing - len(inside)]}{inside.rstrip().rstrip(',')}{separator}{item}{text[closing:]}"


def _closing(text: str, start: int) -> int:
    """Where the array that opens before ``start`` ends; -1 for an array in an array. Strings and comments are passed over."""
    token = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|#[^\n]*|[\[\]]')
    found = next((match for match in token.finditer(text, start) if match[0] in ("[", "]")), None)
    return found.start() if found is not None and found[0] == "]" else -1


def _append_to_section(text: str, header: str, lines: str) -> str:
    """The lines after the last content of the last section with that header."""
    _, end = _extent(text, header)
    body = text[:end].rstrip("\n")
    return f"{body}\n{lines}{text[len(body) + 1 :]}" if end else text


def _extent(text: str, header: str) -> tuple[int, int]:
    """Start and end of the last section with that header; (0, 0) without one."""
    starts = [match.start() for match in re.finditer(rf"^{re.escape(header)}\s*(#.*)?$", text, re.MULTILINE)]
    if not starts:
        return 0, 0
    following = next((match.start() for match in _SECTION.finditer(text) if match.start() > starts[-1]), len(text))
    return starts[-1], following


def _at(document: dict[str, Any], dotted: str) -> dict[str, Any]:
    for part in dotted.split("."):
        document = document.get(part, {})
    return document


def _checked(edited: str, wanted: Any, parse: Callable[[str], Any], where: str, remedy: str) -> str:
    try:
        sound = parse(edited) == wanted
    except (tomllib.TOMLDecodeError, yaml.YAMLError):
        sound = False
    if not sound:
        raise _unknown(where, remedy)
    return edited


def _unknown(where: str, remedy: str) -> TransformationError:
    return TransformationError("is written in a way that cannot be edited by a command; nothing was changed", where=where, remedy=remedy)
