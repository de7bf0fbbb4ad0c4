"""The ingestion plane: Airbyte connections as files, run embedded, loaded exactly once into ``<domain>_raw``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
