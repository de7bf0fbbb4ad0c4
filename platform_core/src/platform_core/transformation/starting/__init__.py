"""New domains and products: what their files say, decided as plain data, and written together."""

from platform_core.transformation.starting.column_types import logical_type
from platform_core.transformation.starting.domain_changes import domain_changes
from platform_core.transformation.starting.domain_files import VERSION, dbt_files, domain_files
from platform_core.transformation.starting.draft import ColumnDraft, InputDraft, ProductDraft, TableDraft
from platform_core.transformation.starting.files import FileChanges, new_files, write
from platform_core.transformation.starting.names import check_domain_name, check_product_name, check_table_name, fitting, locked_packages
from platform_core.transformation.starting.ownership import answerable, checked_owner
from platform_core.transformation.starting.product_changes import product_changes
from platform_core.transformation.starting.product_files import (
    Kind,
    ProductStart,
    from_input,
    from_model,
    from_nothing,
    from_stream,
    input_of,
    product_files,
)

__all__ = [
    "VERSION",
    "ColumnDraft",
    "FileChanges",
    "InputDraft",
    "Kind",
    "ProductDraft",
    "ProductStart",
    "TableDraft",
    "answerable",
    "check_domain_name",
    "check_product_name",
    "check_table_name",
    "checked_owner",
    "dbt_files",
    "domain_changes",
    "domain_files",
    "fitting",
    "from_input",
    "from_model",
    "from_nothing",
    "from_stream",
    "input_of",
    "locked_packages",
    "logical_type",
    "new_files",
    "product_changes",
    "product_files",
    "write",
]
