"""Renders the chart as `helm install` does, without helm and without a cluster."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart

ObjectKey = tuple[str, str, str]
RELEASE = "mesh"
NAMESPACE = "mesh"


@dataclass(frozen=True)
class Release:
    """The objects of one rendered release."""

    values: Mapping[str, Any]
    objects: tuple[dict[str, Any], ...]

    @property
    def by_key(self) -> dict[ObjectKey, dict[str, Any]]:
        """Objects by kind, namespace and name."""
        return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in self.objects}

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        return [o for o in self.objects if o["kind"] == kind]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """The only object of this kind and name."""
        (found,) = [o for o in self.of_kind(kind) if o["metadata"]["name"] == name]
        return found

    def location(self, name: str) -> dict[str, Any]:
        """The Deployment of a code location."""
        (found,) = [o for o in self.of_kind("Deployment") if o["metadata"]["labels"].get("dagster/code-location") == name]
        return found

    @staticmethod
    def secrets_of(node: Any) -> set[str]:
        """The names of every secret a structure refers to, in camelCase or snake_case."""
        if isinstance(node, Mapping):
            keys = ("secretKeyRef", "secretRef", "secret_key_ref", "secret_ref")
            own = {node[key]["name"] for key in keys if node.get(key)} | ({node["secretName"]} if "secretName" in node else set())
            return own.union(*(Release.secrets_of(value) for value in node.values()))
        return set[str]().union(*(Release.secrets_of(value) for value in node)) if isinstance(node, list) else set()

    def dagster_yaml(self, namespace: str = NAMESPACE) -> str:
        """The instance configuration that pods of a namespace mount."""
        return self.by_key["ConfigMap", namespace, f"{RELEASE}-instance"]["data"]["dagster.yaml"]


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Values files as helm's ``-f`` merges them: maps deeply, everything else replaced."""
    merged = {**base}
    for key, value in over.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else copy.deepcopy(value)
    return merged


@pytest.fixture(scope="session")
def deploy(repo: Path) -> Path:
    """The folder of the deployment."""
    return repo / "deploy"


@pytest.fixture(scope="session")
def values_of(deploy: Path) -> Callable[[str], dict[str, Any]]:
    """The values of an environment: the generated domains under ``environments/<env>.yaml``."""

    def load(environment: str) -> dict[str, Any]:
        files = [deploy / "environments" / f"{name}.yaml" for name in ("domains", environment)]
        domains, own = (yaml.safe_load(file.read_text()) for file in files)
        return merge(domains, own)

    return load


@pytest.fixture(scope="session")
def render(deploy: Path, values_of: Callable[[str], dict[str, Any]]) -> Callable[..., Release]:
    """Renders an environment, with further values on top."""
    chart = Chart.load(deploy / "chart")

    def rendered(environment: str, over: Mapping[str, Any] | None = None) -> Release:
        values = merge(values_of(environment), over or {})
        files = chart.render(values, name=RELEASE, namespace=NAMESPACE)
        texts = [text for name, text in files.items() if name.endswith(".yaml")]
        objects = [o for text in texts for o in yaml.safe_load_all(text) if o is not None]
        return Release(values, tuple(objects))

    return rendered


@pytest.fixture(scope="session", params=["dev", "prod"])
def release(request: pytest.FixtureRequest, render: Callable[..., Release]) -> Release:
    """Each shipped environment."""
    return render(request.param)


@pytest.fixture(scope="session")
def prod(render: Callable[..., Release]) -> Release:
    """The production environment: one namespace per domain."""
    return render("prod")
