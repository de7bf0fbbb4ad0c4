from .access_request import AccessRequest
from .access_rules import access_problems
from .contract_file import read_contract
from .editor_schema import EditorSchema, editor_schema
from .mesh import load_mesh, product_of
from .model import (
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
from .problem import ContractError, Problem, did_you_mean, joined_error, source_problem
from .service_level_clauses import FRESHNESS_UNITS
from .source import Document, Location, SourceError, load_yaml

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
