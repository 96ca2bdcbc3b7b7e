"""Models on disk: each version once, whatever happens meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cryptobot_assets.serving.cache import KEPT_VERSIONS, ModelCache
from cryptobot_assets_tests.serving.fakes import make_version


def write_model(folder: Path) -> None:
    folder.mkdir()
    (folder / "model").write_text("model")


def must_not_download(folder: Path) -> None:
    raise AssertionError("downloaded again")


def test_a_version_is_downloaded_once_even_over_restarts(tmp_path: Path) -> None:
    held = ModelCache(tmp_path).folder(make_version(), write_model)
    assert ModelCache(tmp_path).folder(make_version(), must_not_download) == held
    assert (held / "model").read_text() == "model"


def test_versions_and_runs_have_folders_of_their_own(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    versions = [make_version(), make_version(version="8"), make_version(run_id="another"), make_version("lasso")]
    assert len({cache.folder(version, write_model) for version in versions}) == 4


def test_a_download_cut_short_leaves_nothing_that_could_be_taken_for_a_model(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_model(folder)
        raise OSError("connection lost")

    cache = ModelCache(tmp_path)
    with pytest.raises(OSError, match="connection lost"):
        cache.folder(make_version(), fail)
    assert not list(tmp_path.rglob("model"))
    assert (cache.folder(make_version(), write_model) / "model").is_file()


def test_names_cannot_leave_the_root(tmp_path: Path) -> None:
    odd = make_version("../../x", "../7", run_id="..%2f/up")
    held = ModelCache(tmp_path / "cache").folder(odd, write_model)
    assert (tmp_path / "cache") in held.resolve().parents
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}


def test_only_the_newest_versions_are_kept(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    for number in range(KEPT_VERSIONS + 5):
        newest = cache.folder(make_version(version=str(number)), write_model)
    assert newest.is_dir()
    assert len(list(tmp_path.rglob("model"))) == KEPT_VERSIONS


def test_a_discarded_version_is_fetched_anew(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    held = cache.folder(make_version(), write_model)
    cache.discard(make_version())
    assert not held.exists()
    assert cache.folder(make_version(), write_model) == held


def test_workers_that_want_a_version_at_once_download_it_once(tmp_path: Path) -> None:
    downloads = []

    def slowly(folder: Path) -> None:
        downloads.append(folder)
        time.sleep(0.2)
        write_model(folder)

    with ThreadPoolExecutor(4) as workers:
        folders = list(workers.map(lambda _: ModelCache(tmp_path).folder(make_version(), slowly), range(4)))
    assert len(downloads) == 1
    assert len(set(folders)) == 1 and (folders[0] / "model").is_file()
