"""Programs of Debian's packages that tests run."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def require_program(name: str, package: str) -> str:
    """Path of a program; where everything is required its absence is a failure, else the test is skipped."""
    path = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]))
    if path is None:
        reason = f"no {name} on the PATH: install Debian's package {package}, or run `make test`, which does"
        if os.environ.get("CI") or os.environ.get("CRYPTOBOT_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
