"""The component ``platform_core.DataProduct``."""

from __future__ import annotations

import dagster as dg

from platform_core.components.scaffolds import DataProductScaffolder
from platform_core.contracts import load_mesh, product_of
from platform_core.orchestration.port_assets import port_assets
from platform_core.settings import find_repo


@dg.scaffold_with(DataProductScaffolder)
class DataProduct(dg.Component, dg.Resolvable, dg.Model):
    """A data product: its output ports as assets, its contracts' rules as checks.

    The product is declared in standard files beside `defs.yaml`: `product.odps.yaml` (Bitol Open Data Product Standard) and
    `contracts/*.odcs.yaml` (Open Data Contract Standard). Each table of each output port becomes the asset
    `<domain>/<product>/<table>`; materializing it audits the candidate in the build schema against the contract and, when every
    blocking rule holds, switches the port's view to it. A port whose contract is retired has no assets: it is published no more.
    """

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What `dg list components` and the docs show."""
        return dg.ComponentTypeSpec(
            description="Output ports of a data product, published only when their contract holds.",
            tags=["data-mesh", "contracts"],
            owners=["team:platform"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets of the product's ports."""
        product = product_of(load_mesh(find_repo(context.project_root)), context.path)
        return dg.Definitions(assets=[port_assets(product, port.contract) for port in product.outputs if port.contract.status != "retired"])
