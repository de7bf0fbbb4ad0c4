"""The catalog plane: what a publication tells DataHub, an outbox that loses nothing, and the sinks it empties into."""

from platform_core.catalog.aspects import compile_product, declared_urns
from platform_core.catalog.assertions import result_proposals
from platform_core.catalog.column_lineage import announce_columns, with_columns
from platform_core.catalog.delivery import Delivery, Refusal, configured_sinks, deliver, deliver_all
from platform_core.catalog.errors import CatalogError, SinkUnavailableError
from platform_core.catalog.file_sink import FileSink
from platform_core.catalog.graph import (
    CatalogProduct,
    ColumnEdge,
    Edge,
    InnerTable,
    Operation,
    PublishedTable,
    Relation,
    RelationColumn,
    RuleResult,
)
from platform_core.catalog.http_sink import HttpSink
from platform_core.catalog.outbox import Standing, announce, announce_failed_audit, enqueue, release, standings, withdraw
from platform_core.catalog.proposal import Proposal
from platform_core.catalog.sink import Outgoing, Sink, Taken
from platform_core.catalog.validate import Finding, check_file, check_proposals

__all__ = [
    "CatalogError",
    "CatalogProduct",
    "ColumnEdge",
    "Delivery",
    "Edge",
    "FileSink",
    "Finding",
    "HttpSink",
    "InnerTable",
    "Operation",
    "Outgoing",
    "Proposal",
    "PublishedTable",
    "Refusal",
    "Relation",
    "RelationColumn",
    "RuleResult",
    "Sink",
    "SinkUnavailableError",
    "Standing",
    "Taken",
    "announce",
    "announce_columns",
    "announce_failed_audit",
    "check_file",
    "check_proposals",
    "compile_product",
    "configured_sinks",
    "declared_urns",
    "deliver",
    "deliver_all",
    "enqueue",
    "release",
    "result_proposals",
    "standings",
    "with_columns",
    "withdraw",
]
