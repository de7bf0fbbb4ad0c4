from .files import LakeError
from .raw_copy import RawCopy
from .raw_layout import RawCopyError
from .raw_object import RawObject, raw_objects
from .tables import Generation, LakeTables

__all__ = ["Generation", "LakeError", "LakeTables", "RawCopy", "RawCopyError", "RawObject", "raw_objects"]
