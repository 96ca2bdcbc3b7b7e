"""`cryptobot backup` and `cryptobot restore` on homes without bookkeeping."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.contracts.table_rows import END, make_rows
from cryptobot_assets.home import RESTORE_NOTE
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import KLINES
from cryptobot_assets_tests.cli.conftest import Run

ROWS = make_rows(KLINES)


@pytest.fixture
def lake(home: Path) -> Lake:
    """The home's lake, with two days of klines."""
    lake = Lake(str(home / "lake"))
    lake.replace(KLINES, ROWS, start=START, end=END, currency="BTCUSDT")
    return lake


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def test_what_was_backed_up_is_restored_once_the_store_is_gone(run: Run, lake: Lake, home: Path, place: Path) -> None:
    made = run("backup", "--to", place)
    assert made.code == 0 and made.err == ""
    assert "lake, 48 rows, " in made.out
    assert f"MB new at {place}" in made.out
    assert "not in it: the bookkeeping: " in made.out
    shutil.rmtree(home)
    restored = run("restore", place)
    assert (restored.code, restored.err) == (0, "")
    assert f"into the store at {home}/lake" in restored.out
    assert "Restored: every row, version and file is as it was then." in restored.out
    assert_frame_equal(Lake(str(home / "lake")).read(KLINES), ROWS)


def test_what_is_there_is_only_replaced_when_told(run: Run, lake: Lake, home: Path, place: Path) -> None:
    run("backup", BACKUP_URL=place)
    run("backup", "--to", place)
    (first, second) = (line.split()[0] for line in run("backup", "--list", "--to", place).out.splitlines())
    lake.replace(KLINES, ROWS.head(5), start=START, end=END, currency="BTCUSDT")
    refusal = run("restore", place).require_refusal(2)
    assert refusal == f"{home}/lake holds klines: --replace puts the backup in its place"
    assert Lake(str(home / "lake")).read(KLINES).height == 5
    run("backup", "--to", place)
    outcome = run("restore", place, "--at", first, "--only", "store", "--replace")
    assert outcome.code == 0 and first in outcome.out and second not in outcome.out
    assert "into the home" not in outcome.out
    assert_frame_equal(Lake(str(home / "lake")).read(KLINES), ROWS)


def test_backups_are_checked_to_the_last_byte_and_the_damaged_ones_named(run: Run, lake: Lake, place: Path) -> None:
    run("backup", "--to", place)
    assert run("backup", "--verify", "--to", place).code == 0
    (bundle,) = (place / "objects").rglob("*-zstd")
    bundle.write_bytes(bundle.read_bytes()[:-1])
    lake.replace(KLINES, ROWS.head(5), start=START, end=END, currency="BTCUSDT")
    run("backup", "--to", place)
    refusal = run("backup", "--verify", "--to", place).require_refusal(1)
    assert f"damaged: objects/{bundle.name[:2]}/{bundle.name} is not what was written" in refusal
    assert refusal.count("is damaged") == 1, "the second wrote what it found damaged anew"
    listed = run("backup", "--list", "--to", place).out.splitlines()
    assert refusal.startswith(f"backup {listed[0].split()[0]} at {place}")
    assert run("restore", place, "--replace").code == 0


def test_a_half_restored_home_is_not_used(run: Run, lake: Lake, home: Path, place: Path) -> None:
    (home / RESTORE_NOTE).write_text("cryptobot restore somewhere --at then\n")
    words = "was not restored to the end: run again `cryptobot restore somewhere --at then`"
    assert words in run("backup", "--to", place).require_refusal(2)
    assert words in run("up").require_refusal(2)
    assert not place.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("backup", "--list", "--verify"), 2, "--list and --verify are two commands"),
        (("backup", "--list", "--to", "nowhere"), 1, "there is no backup at "),
        (("backup", "--verify", "--to", "nowhere"), 1, "there is no backup at "),
        (("backup", "--to", "ftp://host/x"), 2, "no place for files: name a directory or s3://bucket/prefix"),
        (("backup", "--to", "postgresql://me:s3cret@localhost/x"), 2, "postgresql://localhost/x is no place for files"),
        (("restore", "nowhere"), 1, "there is no backup at "),
        (("restore", "nowhere", "--at", "2020-01-01T00-00-00Z"), 1, "there is no backup 2020-01-01T00-00-00Z at "),
        (("restore", "nowhere", "--only", "klines"), 2, "'klines' is not one of"),
        (("restore",), 2, "Missing argument 'FROM'"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    run: Run, arguments: tuple[str, ...], code: int, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    refusal = run(*arguments).require_refusal(code)
    assert words in refusal
    assert "s3cret" not in refusal
