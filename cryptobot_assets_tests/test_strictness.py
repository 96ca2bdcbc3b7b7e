"""What ruff and mypy are told to leave alone, and that each such place says why."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("cryptobot_assets", "cryptobot_assets_tests", "benchmarks", "docs", "deploy")
RULE = re.compile(r'^ *"[A-Z]+\d*",?(?P<told>.*)$')
LEFT_ALONE = re.compile(r"# (noqa|type: ignore)(?P<told>.*)$")
REASON = re.compile(r"(: [A-Z]+\d+(, [A-Z]+\d+)*|\[[\w-]+\]  #) \w.*")


@pytest.fixture(scope="module")
def project() -> str:
    return (ROOT / "pyproject.toml").read_text()


def test_every_rule_that_is_left_out_has_its_reason_beside_it(project: str):
    lint = project[project.index("[tool.ruff.lint]") : project.index("[tool.mypy]")]
    rules = [found for found in map(RULE.match, lint.splitlines()) if found]
    left_out = tomllib.loads(project)["tool"]["ruff"]["lint"]
    assert left_out["select"] == ["ALL"]
    assert len(rules) >= len(left_out["ignore"]) > 0
    assert [found[0] for found in rules if not re.match(r"  # \S", found["told"])] == []


def test_types_are_strict_and_every_exception_has_its_reason_beside_it(project: str):
    told = tomllib.loads(project)["tool"]["mypy"]
    assert told["strict"] is True
    overrides = re.findall(r"^\[\[tool\.mypy\.overrides\]\](.*)$", project, re.MULTILINE)
    assert len(overrides) == len(told["overrides"])
    assert [one for one in overrides if not re.match(r"  # \S", one)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_line_that_is_left_alone_says_why(folder: str):
    left = {
        f"{path.relative_to(ROOT)}:{number}": found[0]
        for path in (ROOT / folder).rglob("*.py")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if (found := LEFT_ALONE.search(line)) is not None
    }
    assert {where: text for where, text in left.items() if not REASON.match(LEFT_ALONE.search(text)["told"])} == {}


def test_a_missing_reason_would_be_seen():
    assert REASON.match(": BLE001 the thread must go on")
    assert REASON.match("[misc]  # the library has no types")
    assert not REASON.match(": BLE001")
    assert not REASON.match("")
    assert not REASON.match("[misc]")
