"""Files that people drop: each new or changed one is loaded exactly once, or put aside with a letter that says why."""

from platform_core.ingestion.drops.drop import Drop, DropModel
from platform_core.ingestion.drops.drop_file import check_drops, drop_folder, load_drop, load_drops
from platform_core.ingestion.drops.errors import DropFileError, DropLocationError, UnreadableFileError
from platform_core.ingestion.drops.load_file import LoadedFile
from platform_core.ingestion.drops.location import SeenFile
from platform_core.ingestion.drops.quarantine import QuarantinedFile
from platform_core.ingestion.drops.replay import replay_drop
from platform_core.ingestion.drops.run import DropProgress, DropResult, list_files, new_files, run_drop

__all__ = [
    "Drop",
    "DropFileError",
    "DropLocationError",
    "DropModel",
    "DropProgress",
    "DropResult",
    "LoadedFile",
    "QuarantinedFile",
    "SeenFile",
    "UnreadableFileError",
    "check_drops",
    "drop_folder",
    "list_files",
    "load_drop",
    "load_drops",
    "new_files",
    "replay_drop",
    "run_drop",
]
