"""``mesh up``: from nothing to every product published, with events doing the work."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from platform_core import warehouse as warehouses
from platform_core.cli import table
from platform_core.cli.files import projects
from platform_core.cli.listing import print_listing
from platform_core.cli.session import Session, err, print_json, relative
from platform_core.contracts import access_problems
from platform_core.errors import MeshError
from platform_core.orchestration.local_services import local_services
from platform_core.orchestration.local_stack import LocalStack, wait_for_ui
from platform_core.settings import Settings
from platform_core.transformation import DbtProject, TransformationError, parse_all
from platform_core.warehouse import EmbeddedPostgres, Warehouse, WarehouseError

if TYPE_CHECKING:
    from platform_core.orchestration.progress import State

_LOOK_SECONDS = 1.0
_LOCK = "up.lock"


class UpError(MeshError):
    """The platform did not come up."""


def run_up(*, ui: bool, timeout: float, as_json: bool) -> int:
    """Runs the command; its exit code."""
    began = time.monotonic()
    settings = Settings.load()
    with _only_one(settings):
        settings.home.mkdir(parents=True, exist_ok=True)
        session = Session.open()
        for problem in (*session.mesh.problems, *access_problems(settings.repo, session.mesh, datetime.now(UTC))):
            if problem.severity == "error":
                err.print("[red]error[/] ", end="")
                said = f"{relative(session, problem.location)}: {problem.message}\n  remedy: {problem.remedy}"
                err.print(said, markup=False, soft_wrap=True)
        broken = any(problem.severity == "error" for problem in session.mesh.problems)
        started_postgres = _prepare(session)
        stack = LocalStack(settings)
        with _interruptible(), contextlib.ExitStack() as cleanup:
            if started_postgres or ui:  # Ctrl-C stops everything, also what an earlier command started
                cleanup.callback(EmbeddedPostgres(settings.home / "postgres").stop)
            if not ui and not broken and _unchanged(session):
                _tell_catalog(session)
                _finish(session, time.monotonic() - began, None, as_json)
                err.print("nothing changed since everything was published")
                return 0
            stack.stop()  # what a killed command left behind
            cleanup.enter_context(local_services(settings))  # their addresses reach Dagster through this process' environment
            prepared = time.monotonic()
            # Code locations wait for the manifests they need; until then they load everything else.
            parsing = cleanup.enter_context(ThreadPoolExecutor(1)).submit(parse_all, projects(settings), session.dbt_environment)
            process, address = stack.start(ui=ui)
            cleanup.callback(stack.stop)
            broken = not _parsed(session, parsing) or broken
            code, summary, working = _watch(session, process, stack, timeout, address)
            _note_phases(settings, began, prepared, working)
            if code == 0 and not broken:
                _remember(session)
            _finish(session, time.monotonic() - began, address, as_json)
            if summary:
                err.print(summary, markup=False, soft_wrap=True)
            if ui:
                _serve(process, stack, EmbeddedPostgres(settings.home / "postgres"), address)
            return 1 if broken else code


def _prepare(session: Session) -> bool:
    """Postgres, schemas and roles, the instance's configuration; whether Postgres was started here."""
    from platform_core.orchestration.local_instance import write_instance
    from platform_core.publishing.governance import apply_everything
    from platform_core.publishing.mask_key import use_mask_key

    settings = session.settings
    server = EmbeddedPostgres(settings.home / "postgres")
    with err.status("starting Postgres"):
        started = server.start()  # also for an external warehouse: Dagster's own storage stays embedded on a laptop
    with err.status("applying schemas, roles and grants"):
        warehouses.prepare_databases(Warehouse({**server.conninfo(), "dbname": "mesh"}, server=server))
        steps = apply_everything(session.warehouse, session.mesh)
        use_mask_key(session.warehouse, settings.mask_key)
        write_instance(settings, server)
    if steps:
        err.print(f"applied {len(steps)} changes to schemas, roles and grants")
    return started


def _parsed(session: Session, parsing: Future[list[DbtProject]]) -> bool:
    """Waits for the manifests; whether dbt took every project. A project that it rejects leaves the other domains working."""
    try:
        with err.status("parsing dbt projects"):
            parsed = parsing.result()
    except TransformationError as error:
        err.print("[red]error[/] ", end="")
        err.print(str(error).replace(f"{session.settings.repo}/", ""), markup=False, soft_wrap=True)
        return False
    if parsed:
        err.print(f"parsed {len(parsed)} dbt projects")
    return True


def _watch(
    session: Session, process: subprocess.Popen[bytes], stack: LocalStack, timeout: float, address: str | None
) -> tuple[int, str | None, float]:
    """Waits until everything is published or nothing more will happen.

    Returns:
        The exit code, what is to be said, and when (monotonic clock) the first run was seen.
    """
    import dagster as dg

    from platform_core.orchestration.progress import Watch

    with dg.DagsterInstance.from_config(stack.environment()["DAGSTER_HOME"]) as instance:
        if address:
            wait_for_ui(address, process, stack, timeout)
            err.print(f"Dagster UI: {address}")
        watch = Watch(session.mesh, session.warehouse, instance)
        state = watch.look()
        fresh = not state.served  # a first start is done when all is published; a later one when nothing more happens
        retried, working = False, 0.0
        deadline = time.monotonic() + timeout
        with _view() as view:
            while True:
                view.show(session, state)
                working = working or (time.monotonic() if state.running else 0.0)
                if state.settled and state.silent:
                    return 1, f"no sign of life from the code location of {', '.join(state.silent)}: {_load_error(stack)}", working
                # A port is switched before its run ends: the catalog is told after that, and a killed run would be tried again.
                if not state.outdated and (state.settled or (fresh and not state.running)):
                    return 0, None, working
                if state.settled:
                    again = () if retried else watch.retry(state)
                    retried = True
                    if not again:
                        return 1, _blame(session, state, stack), working
                    err.print(f"trying again what failed before: {', '.join(again)}")
                if process.poll() is not None:
                    return 1, f"Dagster ended by itself ({process.returncode}); the end of {stack.log}:\n{stack.log_tail(12)}", working
                if time.monotonic() > deadline:
                    return 1, f"not published after {timeout:.0f} s: {', '.join(state.outdated)}\n{_blame(session, state, stack)}", working
                time.sleep(_LOOK_SECONDS)
                state = watch.look()


def _load_error(stack: LocalStack) -> str:
    """The last error of a code location that Dagster wrote down, and where to look."""
    said = [line for line in stack.log_tail(2000).splitlines() if "Error" in line]
    return f"{said[-1].strip() if said else 'it did not load in time'}\nwhere to look: ./mesh doctor, {stack.log}"


def _note_phases(settings: Settings, began: float, prepared: float, working: float) -> None:
    """Leaves where the time went, for `mesh bench up` and for who wonders."""
    import json

    now = time.monotonic()
    seconds = {
        "Postgres, schemas, roles": prepared - began,
        "dbt manifests, Dagster and code locations start": (working or now) - prepared,
        "ingest, build, audit, publish": now - (working or now),
    }
    (settings.home / "logs" / "up-phases.json").write_text(json.dumps({name: round(value, 2) for name, value in seconds.items()}))


def _blame(session: Session, state: State, stack: LocalStack) -> str:
    lines = [f"not published: {', '.join(state.outdated)}"] if state.outdated else []
    for run in state.failed:
        lines.append(f"run {run.run_id[:8]} of {', '.join(run.assets)} failed:")
        lines += [f"  {line}" for line in run.message.replace(f"{session.settings.repo}/", "").splitlines()]
    lines.append(f"where to look: ./mesh checks PORT, ./mesh up (UI, page Runs), {relative(session, stack.log)}")
    return "\n".join(lines)


def _finish(session: Session, seconds: float, address: str | None, as_json: bool) -> None:
    listed = table.products(session)
    if as_json:
        print_json({"seconds": round(seconds, 2), "ui": address, "products": listed})
    else:
        print_listing(table.render(listed))
        for warning in table.warnings(listed):
            err.print(f"[yellow]{warning}[/]", soft_wrap=True)
        err.print(f"{seconds:.1f} s")


def _serve(process: subprocess.Popen[bytes], stack: LocalStack, server: EmbeddedPostgres, address: str | None) -> None:
    """Keeps serving until Ctrl-C or the end of Dagster; a Postgres that was killed is started again, and Dagster finds it."""
    err.print(f"serving [bold]{address}[/]; Ctrl-C stops everything")
    said = ""
    with contextlib.suppress(KeyboardInterrupt):
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                break
            try:
                again = server.start()
            except WarehouseError as error:
                if (wrong := str(error)) != said:
                    err.print(wrong, style="red", markup=False, soft_wrap=True)
                    said = wrong
            else:
                if again:
                    err.print("Postgres had ended and was started again")
        raise UpError(f"Dagster ended by itself ({process.returncode})", where=str(stack.log), remedy=stack.log_tail())
    err.print("stopping")


def _unchanged(session: Session) -> bool:
    """Whether everything was published from exactly these files before."""
    from platform_core.orchestration.port_assets import code_version
    from platform_core.publishing import served

    mark = session.settings.home / "published-from"
    if not mark.is_file() or mark.read_text() != _fingerprint(session.settings):
        return False
    with session.warehouse.connect_platform(autocommit=True) as connection:
        ports = served(connection)
    return all(
        port.contract_id in ports and ports[port.contract_id].code_version == code_version(product, port.contract)
        for product in session.mesh.products.values()
        for port in product.outputs
    )


def _tell_catalog(session: Session) -> None:
    """Sends what still waits in the catalog's outbox, where no Dagster is started that would."""
    from platform_core.catalog import deliver_all

    for delivery in deliver_all(session.warehouse, session.settings):
        if delivery.sent:
            err.print(f"catalog {delivery.sink}: {delivery.sent} proposals sent")
        if delivery.failure is not None:
            err.print(f"[yellow]catalog {delivery.sink} takes nothing now, the rest waits:[/] ", end="")
            err.print(str(delivery.failure), markup=False, soft_wrap=True)


def _remember(session: Session) -> None:
    (session.settings.home / "published-from").write_text(_fingerprint(session.settings))


def _fingerprint(settings: Settings) -> str:
    """Hash of every file that decides what is published."""
    digest = hashlib.sha256(f"{settings.demo_users}".encode())
    for folder in ("domains", "dbt_projects", "airbyte", "platform_core/src"):
        for path in sorted(Path(settings.repo, folder).rglob("*")):
            if path.is_file() and not {"__pycache__", "target", "logs"} & set(path.parts) and path.suffix != ".pyc":
                digest.update(str(path.relative_to(settings.repo)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _only_one(settings: Settings) -> Generator[None]:
    """Holds the lock of this checkout's ``up``; the file names the process that holds it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UpError(
                "./mesh up already runs in this checkout",
                where=str(settings.home),
                remedy="use its UI, or stop it with Ctrl-C or ./mesh down",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def end_up(settings: Settings, seconds: float = 60.0) -> bool:
    """Ends the ``mesh up`` of this checkout as Ctrl-C would, and waits for it.

    Returns:
        Whether one was running.

    Raises:
        UpError: It does not end.
    """
    if not (settings.home / _LOCK).is_file():
        return False
    asked = False
    deadline = time.monotonic() + seconds
    with (settings.home / _LOCK).open("r") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                holder = lock.read()
                if not asked and holder.isdigit():  # empty for the instant between taking the lock and signing it
                    os.kill(int(holder), signal.SIGTERM)
                    asked = True
                if time.monotonic() > deadline:
                    raise UpError(f"./mesh up (process {holder}) does not end", remedy=f"kill {holder}, then ./mesh down again") from error
                time.sleep(0.1)
            else:
                return asked


@contextlib.contextmanager
def _interruptible() -> Generator[None]:
    """A polite kill stops the platform the way Ctrl-C does."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass
class _View:
    """What is shown meanwhile: a live table on a terminal, a line a change elsewhere."""

    live: Live | None
    said: dict[str, str]

    def show(self, session: Session, state: State) -> None:
        """Shows a state."""
        lines = {
            product.id: _phase(product.id, product.domain, state, [port.contract_id for port in product.outputs])
            for product in session.mesh.products.values()
        }
        if self.live is not None:
            self.live.update(_picture(lines))
            return
        for name, phase in lines.items():
            if self.said.get(name) != phase:
                self.said[name] = phase
                err.print(f"{name}: {phase}", soft_wrap=True)


@contextlib.contextmanager
def _view() -> Generator[_View]:
    if err.is_terminal and sys.stderr.isatty():
        with Live(console=err, refresh_per_second=8, transient=True) as live:
            yield _View(live, {})
    else:
        yield _View(None, {})


def _phase(product_id: str, domain: str, state: State, contracts: list[str]) -> str:
    own = product_id.replace(".", "/")
    for part, doing in ((own, "publishing"), (f"{domain}/build", "building"), (f"{domain}/raw", "ingesting")):
        if part in state.running:
            return doing if state.running[part] == "running" else f"{doing}: queued"
    if any(run for run in state.failed if any(asset.startswith((own, f"{domain}/build", f"{domain}/raw")) for asset in run.assets)):
        return "failed"
    return "published" if not set(contracts) & set(state.outdated) else "waiting for its inputs"


def _picture(lines: dict[str, str]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for name, phase in lines.items():
        mark: RenderableType = Text("✓", "green") if phase == "published" else Text("✗", "red") if phase == "failed" else Text("·", "dim")
        if phase.endswith("ing"):
            mark = Spinner("dots")
        grid.add_row(mark, name, Text(phase, "dim" if phase.startswith("waiting") else ""))
    return Group(grid)
