"""Jobs that the tests of the run launcher start in processes of their own."""

import os
import time
from pathlib import Path

import dagster as dg


@dg.op(config_schema={"marker": str})
def note(context: dg.OpExecutionContext) -> None:
    """Leaves its process identifier behind."""
    _note(context.op_config["marker"])


@dg.op(config_schema={"marker": str})
def stay(context: dg.OpExecutionContext) -> None:
    """Works until it is stopped."""
    _note(context.op_config["marker"])
    while True:
        time.sleep(0.02)


@dg.op
def burst() -> None:
    """Fails."""
    raise dg.Failure("on purpose", allow_retries=False)


def _note(marker: str) -> None:
    making = Path(f"{marker}.new")
    making.write_text(f"{os.getpid()} {os.getsid(0)}")
    making.rename(marker)


@dg.job(executor_def=dg.in_process_executor)
def succeeds() -> None:
    note()


@dg.job(executor_def=dg.in_process_executor)
def stays() -> None:
    stay()


@dg.job(executor_def=dg.in_process_executor)
def fails() -> None:
    burst()
