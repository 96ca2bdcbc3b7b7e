"""The real command line, in this process or as one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cryptobot_assets.cli.main import main

Run = Callable[..., "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    def require_refusal(self, code: int) -> str:
        """The single line on stderr of a command that ended with this exit code."""
        assert self.code == code, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("cryptobot: ")
        assert "Traceback" not in self.out
        return lines[0].removeprefix("cryptobot: ")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home nobody has used."""
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `cryptobot` with these arguments and settings on a fresh home, through its entry point."""
    for name in [name for name in os.environ if name.startswith(("CRYPTOBOT_", "MLFLOW_", "DAGSTER_"))]:
        monkeypatch.delenv(name)

    def run_command(*arguments: object, **settings: object) -> Outcome:
        for name, value in {"HOME": home, **settings}.items():
            monkeypatch.setenv(f"CRYPTOBOT_{name}", str(value))
        monkeypatch.setattr(sys, "argv", ["cryptobot", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        return Outcome(int(ended.value.code or 0), *capsys.readouterr())

    return run_command


@pytest.fixture
def run_process(home: Path) -> Run:
    """The same as a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CRYPTOBOT_", "MLFLOW_"))}

    def run_command(*arguments: object, **settings: object) -> Outcome:
        chosen = {f"CRYPTOBOT_{name}": str(value) for name, value in {"HOME": home, **settings}.items()}
        done = subprocess.run(
            [sys.executable, "-m", "cryptobot_assets.cli.main", *map(str, arguments)],
            env=clean | chosen,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run_command
