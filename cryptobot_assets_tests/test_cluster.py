"""Indicators made by worker processes: the rows of one process, whatever happens to the workers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cryptobot_assets.assets.features import indicate_here, indicated
from cryptobot_assets.assets.spread_tuning import FoldsElsewhere, folds_elsewhere
from cryptobot_assets.checks.features import IndicatorChecks
from cryptobot_assets.cluster import LentDataLost, open_cluster
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.contracts.models import make_returns, make_training_rows
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.errors import ProcessError, UsageError
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import defaults
from cryptobot_assets.models.preparation import search_space
from cryptobot_assets.models.tuning import Split, predict_folds, tune
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS, KLINES
from cryptobot_assets_tests.cluster_processes import running_cluster

DAYS = 40
NAMES = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
WRITES = [[Span(name, START + day * DAY, START + (day + 4) * DAY) for name in NAMES] for day in range(0, DAYS, 4)]
Cluster = tuple[Settings, Lake, list[subprocess.Popen[str]]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers over a lake of klines."""
    home = tmp_path_factory.mktemp("home")
    lake = Lake(str(home / "lake"))
    for seed, name in enumerate(NAMES):
        klines = make_klines(DAYS * 24, currency=name, seed=seed)
        lake.replace(KLINES, klines, start=None, end=None, currency=name)
    environment = {"CRYPTOBOT_HOME": str(home), "CRYPTOBOT_INTERVAL": "1h"}
    with running_cluster(2, environment) as (url, workers):
        yield Settings.load(home=home, interval="1h", cluster_url=url), lake, workers


def test_a_run_of_other_code_or_of_another_store_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    settings, lake, _ = cluster
    other = Settings.load(home=tmp_path, interval="1h", cluster_url=settings.cluster_url)
    with pytest.raises(UsageError, match="other code, another store or another interval"):
        list(indicated(WRITES, other, lake, IndicatorChecks("1h")))


def test_a_worker_killed_in_the_middle_leaves_the_rows_of_one_process(cluster: Cluster, tmp_path: Path) -> None:
    settings, lake, workers = cluster
    checks, stored = IndicatorChecks("1h"), []
    for block, _ in indicated(WRITES, settings, lake, checks):
        stored.append(block)
        if len(stored) == 1:
            workers[0].kill()
    assert workers[0].wait(60) < 0
    assert stored == [block for write in WRITES for block in write]

    alone, alone_checks = Lake(str(tmp_path / "alone")), IndicatorChecks("1h")
    for name in NAMES:
        alone.replace(KLINES, lake.read(KLINES, currency=name), start=None, end=None, currency=name)
    list(indicate_here(WRITES, "1h", alone, alone_checks))
    assert lake.read(INDICATORS).equals(alone.read(INDICATORS))
    assert [one.metadata for one in checks.results("indicators")] == [
        one.metadata for one in alone_checks.results("indicators")
    ]


def test_a_study_whose_folds_are_fitted_by_workers_has_the_bits_of_one_process(cluster: Cluster) -> None:
    settings, rows = cluster[0], make_training_rows(*make_returns())
    folds = [(np.arange(0, 576), np.arange(600, 1_000)), (np.arange(0, 976), np.arange(1_000, 1_500))]
    study = {"rows": rows, "folds": folds, "trials": 3, "seed": 1}
    with folds_elsewhere(settings, ALGORITHMS["xgboost"]) as elsewhere:
        assert elsewhere is not None
        spread = tune(ALGORITHMS["xgboost"], **study, elsewhere=elsewhere)
    alone = tune(ALGORITHMS["xgboost"], **study)
    assert [one.params for one in spread.trials] == [one.params for one in alone.trials]
    for one, other in zip(spread.trials, alone.trials, strict=True):
        assert one.value == other.value and np.array_equal(one.predicted, other.predicted)


def test_folds_whose_rows_went_with_a_worker_are_sent_again() -> None:
    class Forgetful:
        """A cluster that loses what it was lent the first time."""

        lent = 0

        def lend(self, data: object) -> object:
            self.lent += 1
            return data

        def spread(self, work: Callable, pieces: Iterable) -> Iterator:
            if self.lent == 2:
                raise LentDataLost("gone")
            return map(partial(work, None), pieces)

    rows, cluster = make_training_rows(*make_returns()), Forgetful()
    splits = [Split(rows.take(np.arange(500)), rows.take(np.arange(600, 700)))] * 2
    params = defaults(search_space(ALGORITHMS["ridge"], rows.features))
    found = FoldsElsewhere(cluster, ALGORITHMS["ridge"])(params, splits, 1)
    assert cluster.lent == 4
    np.testing.assert_array_equal(found, predict_folds(ALGORITHMS["ridge"], params, splits, 1))


def test_klines_that_are_not_sound_end_it_and_are_told(cluster: Cluster) -> None:
    settings, lake, _ = cluster
    late = START + (DAYS + 10) * DAY
    wrong = make_klines(24, currency="BTCUSDT").with_columns(time=late + timedelta(minutes=30))[:1]
    lake.replace(KLINES, wrong, start=late, end=late + DAY, currency="BTCUSDT")
    checks = IndicatorChecks("1h")
    assert not list(indicated([[Span("BTCUSDT", late, late + DAY)]], settings, lake, checks))
    assert not checks.input_is_sound


def test_an_address_without_encryption_is_for_this_machine_alone(tmp_path: Path) -> None:
    for url, said in (("tcp://10.0.0.7:8786", "let whoever reaches it"), ("tls://10.0.0.7:8786", "are not all set")):
        with pytest.raises(UsageError, match=said), open_cluster(Settings.load(home=tmp_path, cluster_url=url)):
            pass


def test_no_scheduler_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptobot_assets.cluster.CONNECT_SECONDS", 0.5)
    settings = Settings.load(home=tmp_path, cluster_url="tcp://127.0.0.1:9")
    with pytest.raises(ProcessError, match="no scheduler answers"), open_cluster(settings):
        pass
