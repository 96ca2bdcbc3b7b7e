"""A home is writable and, where it matters, one command's at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cryptobot_assets.errors import HomeConflict, UsageError
from cryptobot_assets.home import HomeLock, require_writable_home

ROOT = Path(__file__).parents[1]
TAKER = """
import sys, time
from pathlib import Path
from cryptobot_assets.home import HomeLock
lock = HomeLock(Path(sys.argv[1]), "cryptobot demo").acquire()
print("taken", flush=True)
time.sleep(300)
"""


def test_second_command_is_told_who_has_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    taker = subprocess.Popen([sys.executable, "-c", TAKER, str(home)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert taker.stdout.readline() == "taken\n"
        with pytest.raises(HomeConflict) as caught:
            HomeLock(home, "cryptobot demo").acquire()
        assert str(caught.value) == (
            f"home {home} is in use by pid {taker.pid} (cryptobot demo): wait for it, or use another home"
        )
    finally:
        taker.kill()
        taker.communicate()
    with HomeLock(home, "cryptobot demo"):
        pass


def test_lock_is_free_after_release_and_shorter_text_replaces_longer(tmp_path: Path) -> None:
    for purpose in ("a long purpose of this", "short"):
        with HomeLock(tmp_path, purpose), pytest.raises(HomeConflict, match=rf"\({purpose}\): wait"):
            HomeLock(tmp_path, "other").acquire()


def test_writable_home_is_made_and_left_empty(tmp_path: Path) -> None:
    home = require_writable_home(tmp_path / "a" / "b")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("home", ["file/home", "file", "/proc/home"])
def test_unwritable_home_is_one_clear_line(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"home .* cannot be written \(.+\): set CRYPTOBOT_HOME") as caught:
        HomeLock(tmp_path / home, "x").acquire()
    assert len(str(caught.value).splitlines()) == 1
