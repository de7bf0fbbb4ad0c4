"""The transformation plane: dbt projects, their manifests, and how dbt is called."""

from platform_core.transformation.manifest import Manifest, Model, Test, read_manifest
from platform_core.transformation.project import DbtProject, TransformationError, ensure_manifest, parse_all

__all__ = ["DbtProject", "Manifest", "Model", "Test", "TransformationError", "ensure_manifest", "parse_all", "read_manifest"]
