"""GitHub's workflows: pinned, with the least rights, and of commands that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each step with the name of its job."""
    for name, job in workflow["jobs"].items():
        for step in job.get("steps", []):
            yield name, step


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_pinned_and_has_few_rights(path: Path) -> None:
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    called = re.findall(r"uses: (?!\./)(.*)", text)
    assert [line for line in called if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    for name, job in workflow["jobs"].items():
        assert "uses" in job or job["timeout-minutes"] <= 90, name
        writing = {right for right, value in job.get("permissions", {}).items() if value == "write"}
        assert writing <= {"id-token", "attestations"}, name
    for name, step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, name
        assert "${{" not in step.get("run", ""), f"{name}: what comes from outside goes through the environment"


def test_workflows_name_files_that_are_there() -> None:
    told = " ".join(step.get("run", "") for path in WORKFLOWS for _, step in steps(yaml.safe_load(path.read_text())))
    named = set(re.findall(r"(?:benchmarks|deploy)/[\w./-]+\w", told))
    assert named and not {name for name in named if not (ROOT / name).exists()}
    targets = set(re.findall(r"make PYTHON=python3 (\S+)", told)) - {".venv/.installed"}
    assert targets == {"test", "checks", "bench"} and all(
        f"\n{one}: " in (ROOT / "Makefile").read_text() for one in targets
    )


def test_production_waits_for_staging() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())["jobs"]
    assert set(jobs["production"]["needs"]) == {"image", "staging"}
    assert jobs["production"]["with"]["environment"] == "production"
