"""The workflow for users' CI is a workflow, and asks the command only for what it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
import yaml

from platform_core.cli.app import app

WORKFLOW = Path(__file__).parents[2] / "deploy/ci/github-actions.yml"


def _steps() -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(WORKFLOW.read_text())["jobs"].values() for step in job["steps"]]


def test_every_step_runs_something() -> None:
    steps = _steps()
    assert len(steps) >= 8
    assert [step for step in steps if ("run" in step) == ("uses" in step)] == []


def test_the_commands_and_options_exist() -> None:
    commands: Any = typer.main.get_command(app)
    called = re.findall(r"\./mesh (\w+)([^\n|>]*)", "\n".join(step.get("run", "") for step in _steps()))
    assert {name for name, _ in called} == {"lint", "diff"}
    for name, rest in called:
        known = {option for parameter in commands.commands[name].params for option in parameter.opts}
        assert {word for word in rest.split() if word.startswith("--")} <= known, name
