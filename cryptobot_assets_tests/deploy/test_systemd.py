"""The systemd units: systemd finds no fault with them, and they start what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cryptobot_assets.cli.run import SERVICES
from cryptobot_assets.secret_files import SECRETS
from cryptobot_assets.settings import Settings
from cryptobot_assets_tests.deploy.compose_file import DEPLOY
from cryptobot_assets_tests.programs import require_program

UNITS = DEPLOY / "systemd"
OUR_PATH = "/opt/cryptobot/.venv/bin/cryptobot"
LARGEST_EXPOSURE = 2.0
"""Of systemd's own measure, from 0 (nothing to attack) to 10."""


@pytest.fixture(scope="module")
def analyze() -> str:
    return require_program("systemd-analyze", "systemd")


def test_systemd_finds_no_fault(analyze: str, tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        here = unit.read_text().replace(OUR_PATH, sys.executable)
        (tmp_path / unit.name).write_text(here)
    shutil.copy(tmp_path / "cryptobot@.service", tmp_path / "cryptobot@code.service")
    names = ["cryptobot.service", "cryptobot@code.service", "cryptobot.target"]
    answer = subprocess.run(
        [analyze, "verify", *(str(tmp_path / name) for name in names)], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, re.findall(r"^.*cryptobot.*$", answer.stderr, re.MULTILINE)) == (0, [])


@pytest.mark.parametrize("unit", ["cryptobot.service", "cryptobot@.service"])
def test_a_service_can_do_little_else(analyze: str, unit: str) -> None:
    told = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNITS / unit)],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", told)
    assert exposure and float(exposure[1]) <= LARGEST_EXPOSURE, told[-300:]


def test_units_start_every_service_with_settings_that_exist() -> None:
    target = (UNITS / "cryptobot.target").read_text()
    assert set(re.findall(r"cryptobot@(\w+)\.service", target)) == set(SERVICES)
    known = {f"CRYPTOBOT_{name.upper()}" for name in Settings.model_fields} | {"CRYPTOBOT_CODE_HOST"}
    known |= {f"{name}_FILE" for name in SECRETS}
    for unit in UNITS.glob("*.service"):
        assert set(re.findall(r"\b(CRYPTOBOT_\w+)=", unit.read_text())) <= known
