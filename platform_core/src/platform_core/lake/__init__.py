"""The lake plane: Parquet tables and raw copies on a folder or any object store."""

from platform_core.lake.files import LakeError
from platform_core.lake.raw_copy import RawCopy
from platform_core.lake.raw_layout import RawCopyError
from platform_core.lake.raw_object import RawObject, raw_objects
from platform_core.lake.tables import Generation, LakeTables

__all__ = ["Generation", "LakeError", "LakeTables", "RawCopy", "RawCopyError", "RawObject", "raw_objects"]
