"""Backups of a lake and a home in a directory: what they hold, share and forget, damaged ones, and cuts."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.contracts.table_rows import END, make_rows
from cryptobot_assets.errors import BadBackup, HomeConflict, StoreError, UsageError
from cryptobot_assets.home import RESTORE_NOTE
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup import backup_place, make_backup, told, verify
from cryptobot_assets.storage.backup_manifest import backup_names, read_manifest
from cryptobot_assets.storage.backup_place import DirectoryPlace
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS, KLINES, Table
from cryptobot_assets_tests.storage.backups import (
    Watcher,
    back_up_and_die,
    interrupt,
    newest_restore,
    restore_and_die,
    unwatched,
)

SPAWN = multiprocessing.get_context("spawn")
MODEL = b"weights " * 200_000
"""Larger than what goes into a bundle."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with a small lake, a model and Dagster's file; without bookkeeping."""
    home = tmp_path / "home"
    fill(home)
    for name, content in {
        "mlflow/m/model.bin": MODEL,
        "mlflow/m/empty": b"",
        "dagster/dagster.yaml": b"a: 1\n",
        "home.json": b"{}",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    (home / "logs").mkdir()
    (home / "logs" / "a.log").write_text("not worth keeping")
    settle(home)
    return Settings.load(home=home)


def fill(home: Path) -> None:
    lake = Lake(str(home / "lake"))
    for table in (KLINES, INDICATORS):
        for count in (48, 40):
            lake.replace(table, make_rows(table, count), start=START, end=END, currency="BTCUSDT")


def settle(home: Path) -> None:
    """Have every file be older than the moment in which a change might not show in its time."""
    then = time.time() - 60
    for path in home.rglob("*"):
        os.utime(path, (then, then))


def files_of(settings: Settings) -> dict[str, bytes]:
    """What a restore has to bring back, by name."""
    parts = [path for part in ("lake", "dagster", "mlflow") for path in (settings.home / part).rglob("*")]
    kept = [*parts, settings.home / "home.json"]
    return {str(path.relative_to(settings.home)): path.read_bytes() for path in kept if path.is_file()}


def rows_of(settings: Settings, table: Table = KLINES) -> pl.DataFrame:
    return Lake(settings.lake_url).read(table)


def destroy(settings: Settings) -> None:
    """All but the backups."""
    for path in settings.home.iterdir():
        if path.name != "backups":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def objects(settings: Settings) -> dict[str, Path]:
    return {path.name: path for path in (settings.home / "backups" / "objects").rglob("*") if path.is_file()}


# What a backup holds


def test_every_file_comes_back_byte_for_byte(settings: Settings) -> None:
    before = files_of(settings)
    made = make_backup(settings, unwatched)
    assert "lake, 80 rows, " in told(made.manifest)
    destroy(settings)
    assert newest_restore(settings).occupied() == []
    newest_restore(settings).run(unwatched)
    assert files_of(settings) == before
    assert not (settings.home / RESTORE_NOTE).exists()
    assert not (settings.home / "logs").exists()


def test_it_comes_back_in_another_home(settings: Settings, tmp_path: Path) -> None:
    before = files_of(settings)
    make_backup(settings, unwatched)
    other = Settings.load(home=tmp_path / "other", backup_url=settings.backup_address)
    newest_restore(other).run(unwatched)
    assert files_of(other) == before


def test_a_part_alone_comes_back_alone(settings: Settings, tmp_path: Path) -> None:
    make_backup(settings, unwatched)
    for number, only in enumerate(("with_store", "with_home")):
        other = Settings.load(home=tmp_path / str(number), backup_url=settings.backup_address)
        replace(newest_restore(other), **{"with_store": False, "with_home": False, only: True}).run(unwatched)
        assert (other.home / "lake").exists() == (only == "with_store")
        assert (other.home / "mlflow").exists() == (only == "with_home")


def test_a_restore_looks_at_what_is_there_first(settings: Settings) -> None:
    make_backup(settings, unwatched)
    assert newest_restore(settings).occupied() == [
        f"{settings.home}/lake holds klines, indicators",
        f"{settings.home} holds a market",
    ]
    shutil.rmtree(settings.home / "lake")
    (settings.home / "home.json").unlink()
    assert newest_restore(settings).occupied() == []


def test_a_backup_is_its_owners_alone(settings: Settings) -> None:
    make_backup(settings, unwatched)
    modes = {oct(path.stat().st_mode & 0o777) for path in (settings.home / "backups").rglob("*") if path.is_file()}
    folders = {oct(path.stat().st_mode & 0o777) for path in (settings.home / "backups").rglob("*") if path.is_dir()}
    assert (modes, folders) == ({"0o600"}, {"0o700"})
    assert oct((settings.home / "backups").stat().st_mode & 0o777) == "0o700"


@pytest.mark.parametrize("inside", ["lake", "lake/klines", "mlflow/backups", "dagster"])
def test_a_backup_is_not_made_into_what_it_is_of(settings: Settings, inside: str) -> None:
    with pytest.raises(UsageError, match="is part of what is backed up"):
        make_backup(settings, unwatched, url=str(settings.home / inside))


# What backups share and forget


def test_a_second_backup_reads_and_writes_what_is_new_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_backup(settings, unwatched)
    read: list[str] = []
    blocks = DirectoryPlace.blocks

    def noted(place: DirectoryPlace, name: str) -> Iterator[bytes]:
        read.append(name)
        yield from blocks(place, name)

    monkeypatch.setattr(DirectoryPlace, "blocks", noted)
    second = make_backup(settings, unwatched)
    assert (second.written_bytes, second.manifest.entries) == (0, first.manifest.entries)
    Lake(settings.lake_url).replace(KLINES, make_rows(KLINES, 48), start=START, end=END, currency="BTCUSDT")
    third = make_backup(settings, unwatched)
    assert 0 < third.written_bytes < 20_000
    assert {name for name in read if not name.startswith("manifests/")} == {
        entry.path.removeprefix("lake/") for entry in third.manifest.entries if entry not in first.manifest.entries
    }


def test_a_file_changed_in_the_second_of_a_backup_is_read_again(settings: Settings) -> None:
    """Its size is the same and so, where times are coarse, its time."""
    profile = settings.home / "home.json"
    profile.write_text("{1}")
    found = profile.stat()
    make_backup(settings, unwatched)
    profile.write_text("{2}")
    os.utime(profile, ns=(found.st_atime_ns, found.st_mtime_ns))
    make_backup(settings, unwatched)
    profile.unlink()
    newest_restore(settings).run(unwatched)
    assert profile.read_text() == "{2}"


def test_the_newest_stay_and_objects_stay_while_one_of_them_names_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOBOT_BACKUPS_KEPT", "2")
    monkeypatch.setattr("cryptobot_assets.storage.backup.GRACE", -END.resolution)
    settings = Settings.load(home=settings.home)
    names = []
    for number in range(4):
        (settings.home / "mlflow" / "m" / "model.bin").write_bytes(bytes([number]) * len(MODEL))
        names.append(make_backup(settings, unwatched).manifest.name)
    place = backup_place(settings)
    assert backup_names(place) == names[2:]
    named = {name for kept in names[2:] for name in read_manifest(place, kept).objects}
    assert set(objects(settings)) == named
    for name in names[2:]:
        verify(place, read_manifest(place, name), Watcher("", 0, interrupt))


def test_what_nobody_names_is_cleared_away_a_day_later(settings: Settings) -> None:
    place = backup_place(settings)
    make_backup(settings, unwatched)
    place.write("objects/ab/young", [b"of a backup that goes on"])
    place.write("objects/ab/old", [b"of one that was killed"])
    draft = settings.home / "backups" / "objects" / "ab" / ".draft-1-x"
    draft.write_bytes(b"half")
    long_ago = time.time() - 2 * 86_400
    for path in (draft, draft.with_name("old")):
        os.utime(path, (long_ago, long_ago))
    make_backup(settings, unwatched)
    assert {path.name for path in draft.parent.iterdir()} - {"young"} <= set(objects(settings))
    assert not draft.exists() and not draft.with_name("old").exists() and draft.with_name("young").exists()


def test_while_a_manifest_cannot_be_read_every_object_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryptobot_assets.storage.backup.GRACE", -END.resolution)
    name = make_backup(settings, unwatched).manifest.name
    held = set(objects(settings))
    path = settings.home / "backups" / "manifests" / f"{name}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    shutil.rmtree(settings.home / "mlflow")
    make_backup(settings, unwatched)
    assert held <= set(objects(settings))
    path.write_bytes(whole)
    verify(backup_place(settings), read_manifest(backup_place(settings), name), Watcher("", 0, interrupt))


def test_an_object_that_went_missing_is_written_again(settings: Settings) -> None:
    make_backup(settings, unwatched)
    (lost,) = [path for path in objects(settings).values() if path.stat().st_size == len(MODEL)]
    lost.unlink()
    make_backup(settings, unwatched)
    assert lost.read_bytes() == MODEL


# Damaged backups


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip_a_byte, cut_short, Path.unlink])
@pytest.mark.parametrize("what", ["object", "bundle", "manifest"])
def test_a_damaged_backup_is_refused_and_nothing_touched(settings: Settings, what: str, damage) -> None:
    name = make_backup(settings, unwatched).manifest.name
    (settings.home / "home.json").write_text('{"later": 1}')
    before = files_of(settings)
    path = {
        "manifest": settings.home / "backups" / "manifests" / f"{name}.json",
        "object": next(path for name, path in objects(settings).items() if not name.endswith("-zstd")),
        "bundle": next(path for name, path in objects(settings).items() if name.endswith("-zstd")),
    }[what]
    damage(path)
    if (what, damage) == ("manifest", Path.unlink):
        assert backup_names(backup_place(settings)) == []
        return
    with pytest.raises(BadBackup, match=rf"backup {name} at .*/backups is damaged: ") as refusal:
        newest_restore(settings).run(unwatched)
    assert "\n" not in str(refusal.value)
    assert files_of(settings) == before
    assert not (settings.home / RESTORE_NOTE).exists()


def test_a_backup_of_a_later_format_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptobot_assets.storage.backup_manifest.FORMAT", 2)
    make_backup(settings, unwatched)
    monkeypatch.undo()
    with pytest.raises(BadBackup, match="of a newer version: update this program"):
        newest_restore(settings)


def test_a_backup_that_is_not_there_is_told_with_those_that_are(settings: Settings) -> None:
    name = make_backup(settings, unwatched).manifest.name
    with pytest.raises(StoreError, match=rf"there is no backup 2020-01-01T00-00-00Z at .*; there are: {name}"):
        read_manifest(backup_place(settings), "2020-01-01T00-00-00Z")


# Cut short


def test_a_backup_that_is_killed_is_none_and_the_next_one_is_whole(settings: Settings) -> None:
    killed = SPAWN.Process(target=back_up_and_die, args=(settings.home, 4))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert backup_names(backup_place(settings)) == []
    before = files_of(settings)
    make_backup(settings, unwatched)
    destroy(settings)
    newest_restore(settings).run(unwatched)
    assert files_of(settings) == before


def test_a_restore_killed_is_told_and_may_be_run_again(settings: Settings) -> None:
    before = files_of(settings)
    make_backup(settings, unwatched)
    destroy(settings)
    killed = SPAWN.Process(target=restore_and_die, args=(settings.home, 6))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    with pytest.raises(HomeConflict, match=r"not restored to the end: run again `cryptobot restore .*backups --at 20"):
        make_backup(settings, unwatched)
    assert newest_restore(settings).occupied() == [], "what it had brought itself is in nobody's way"
    newest_restore(settings).run(unwatched)
    assert files_of(settings) == before
    make_backup(settings, unwatched)


def test_a_restore_cut_short_anywhere_and_run_again_ends_alike(settings: Settings) -> None:
    before = files_of(settings)
    make_backup(settings, unwatched)
    Lake(settings.lake_url).replace(KLINES, make_rows(KLINES, 7), start=START, end=END, currency="BTCUSDT")
    after = rows_of(settings)
    at = 1
    while True:
        watcher = Watcher("Restore", at, interrupt)
        try:
            newest_restore(settings).run(watcher)
            break
        except KeyboardInterrupt:
            if at == 1:
                assert_frame_equal(rows_of(settings), after)
            assert rows_of(settings).height in (7, 40), "the old rows or the restored ones, none between"
            at += 1
    assert at > 10
    assert files_of(settings) == before
    assert {path.name for path in (settings.home / "lake").iterdir()} == {"klines", "indicators"}
