"""Loads changed code locations anew while the web server serves, over its GraphQL interface.

Source: the mutation ``reloadRepositoryLocation`` of Dagster's GraphQL schema, which the UI's own button uses.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from platform_core.orchestration.local_stack import StackError

_SECONDS = 120
_RELOAD = """
mutation Reload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""


@dataclass(frozen=True)
class Reloaded:
    """A code location after its reload; ``error`` is why it did not load, None when it did."""

    location: str
    error: str | None


def reload_location(address: str, name: str) -> Reloaded:
    """Loads one code location anew.

    Args:
        address: Of the web server, without a trailing slash.
        name: Name of the location in ``workspace.yaml``.

    Raises:
        StackError: The web server does not answer.
    """
    body = json.dumps({"query": _RELOAD, "variables": {"name": name}}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            document = json.load(answer)
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise StackError(
            f"the web server does not answer: {error}", where=address, remedy="run ./mesh status, or start ./mesh up"
        ) from error
    if document.get("errors"):
        return Reloaded(name, str(document["errors"][0].get("message")))
    result: dict[str, Any] = document["data"]["reloadRepositoryLocation"]
    if result["__typename"] == "RepositoryLocationNotFound":  # the workspace is read once, at the start
        return Reloaded(name, "is newer than the platform that serves: ./mesh down, then ./mesh up takes it in; data and history stay")
    if result["__typename"] == "WorkspaceLocationEntry":
        result = result["locationOrLoadError"] or {}
    return Reloaded(name, result.get("message"))
