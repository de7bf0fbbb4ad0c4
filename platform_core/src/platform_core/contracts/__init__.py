"""The contracts plane: product files read, checked and compiled; the names of everything."""

from platform_core.contracts.access_request import AccessRequest
from platform_core.contracts.access_rules import access_problems
from platform_core.contracts.contract_file import read_contract
from platform_core.contracts.editor_schema import EditorSchema, editor_schema
from platform_core.contracts.mesh import load_mesh, product_of
from platform_core.contracts.model import (
    Column,
    Contract,
    DataProduct,
    InputPort,
    Mesh,
    OutputPort,
    Role,
    Rule,
    ServiceLevel,
    SupportChannel,
    Table,
)
from platform_core.contracts.problem import ContractError, Problem, did_you_mean, joined_error, source_problem
from platform_core.contracts.service_level_clauses import FRESHNESS_UNITS
from platform_core.contracts.source import Document, Location, SourceError, load_yaml

__all__ = [
    "FRESHNESS_UNITS",
    "AccessRequest",
    "Column",
    "Contract",
    "ContractError",
    "DataProduct",
    "Document",
    "EditorSchema",
    "InputPort",
    "Location",
    "Mesh",
    "OutputPort",
    "Problem",
    "Role",
    "Rule",
    "ServiceLevel",
    "SourceError",
    "SupportChannel",
    "Table",
    "access_problems",
    "did_you_mean",
    "editor_schema",
    "joined_error",
    "load_mesh",
    "load_yaml",
    "product_of",
    "read_contract",
    "source_problem",
]
