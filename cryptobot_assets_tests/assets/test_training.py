"""Trainings whose rows know too much: each planted fault fails its check, and nothing is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from cryptobot_assets.assets import fitting as module
from cryptobot_assets.assets.training import model_asset_name, training_assets
from cryptobot_assets.assets.training_set import TrainingSet, TrainingSets
from cryptobot_assets.checks.findings import Check
from cryptobot_assets.checks.training import AHEAD, APART, CUTS, HANDED, LABELS, PURGE, TRAINING_CHECKS
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.domain.cpcv import Combinatorial, combinatorial_folds
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.splits import Fold, walk_forward
from cryptobot_assets.models import second_look, tuning
from cryptobot_assets.models.algorithms import ALGORITHMS, features_of
from cryptobot_assets.models.base import TrialRecord
from cryptobot_assets.partitions import POOLED_MARKET, Partitions, model_key
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import INDICATORS, KLINES
from cryptobot_assets.storage.trial_history import read_trial_days
from cryptobot_assets_tests.conftest import MakeDatabase

NAMES = ("ADAUSDT", "BTCUSDT", "ETHUSDT")
DAYS = 60
CUTOFF = START + 56 * DAY

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)


class Quiet(Progress):
    """Progress nobody watches."""

    def advance(self, *_: object, **__: object) -> None: ...


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Klines and indicators of sixty days."""
    home = tmp_path_factory.mktemp("trained")
    klines = pl.concat([make_klines(DAYS * 24, currency=name, seed=n) for n, name in enumerate(NAMES)])
    store = Lake(str(home / "lake"))
    store.replace(KLINES, klines, start=None, end=None)
    store.replace(INDICATORS, indicator_frame(klines, "1h", START, START + DAYS * DAY), start=None, end=None)
    return home


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, mlflow_database: MakeDatabase) -> Registry:
    folder = tmp_path_factory.mktemp("registry")
    return Registry(mlflow_database(folder / "mlflow.db"), folder / "artifacts")


@pytest.fixture
def settings(market: Path) -> Settings:
    return Settings.load(
        home=market, interval="1h", currencies=",".join(NAMES), start_day=START.date(), trials=2, folds=2
    )


Train = Callable[..., dict[str, bool]]


@pytest.fixture
def train(settings: Settings, registry: Registry) -> Train:
    """Materialize a ridge of a market; returns what each of its checks said."""

    def run(name: str = POOLED_MARKET, *, store: Lake | None = None) -> dict[str, bool]:
        asset = next(one for one in training_assets(Partitions(settings)) if one.key.path[-1] == "ridge_model")
        result = dg.materialize(
            [asset],
            partition_key=model_key(name, CUTOFF),
            instance=dg.DagsterInstance.ephemeral(),
            resources={"store": store or Lake(settings.lake_url), "registry": registry, "progress": Quiet()},
            raise_on_error=False,
        )
        said = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
        assert set(said) == {one.name for one in TRAINING_CHECKS}
        assert result.success is all(said.values())
        assert bool(result.asset_materializations_for_node(model_asset_name("ridge"))) is all(said.values())
        return said

    return run


def failing(said: dict[str, bool]) -> set[str]:
    return {name for name, passed in said.items() if not passed}


def test_every_check_blocks_and_is_shown_with_its_asset(settings: Settings) -> None:
    _, *models = training_assets(Partitions(settings))
    for asset in models:
        specs = list(asset.check_specs)
        assert {one.name for one in specs} == {one.name for one in TRAINING_CHECKS}
        assert all(one.blocking and one.description for one in specs)


def test_a_training_as_it_is_passes_is_registered_and_is_kept(train: Train, registry: Registry) -> None:
    assert failing(train("BTCUSDT")) == set()
    assert [one.version for one in registry.versions("BTCUSDT")] == ["1"]
    assert failing(train("BTCUSDT")) == set()
    assert [one.version for one in registry.versions("BTCUSDT")] == ["1"]


def test_a_training_that_is_killed_after_its_tuning_goes_on_from_its_trials(
    train: Train, settings: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object, **__: object) -> None:
        raise RuntimeError("the machine went away")

    tried: list[int] = []
    attempt = tuning._attempt

    def count(*arguments: object, number: int, **options: object) -> TrialRecord:
        tried.append(number)
        return attempt(*arguments, number=number, **options)

    monkeypatch.setattr(tuning, "_attempt", count)
    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(module, "out_of_fold_residuals", kill)
        train("ADAUSDT")
    assert registry.versions("ADAUSDT") == []
    assert len(list((settings.home / "tuning").glob("*/trial-*"))) == settings.trials
    assert failing(train("ADAUSDT")) == set()
    assert tried == [0, 1, 1], "the last trial is done anew, for the checks to see"
    assert not list((settings.home / "tuning").iterdir())


def late_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    read = TrainingSets.read

    def reading(self: TrainingSets, store, currencies, market, cutoff) -> TrainingSet:
        return read(self, store, currencies, market, cutoff + timedelta(hours=5))

    monkeypatch.setattr(TrainingSets, "read", reading)


def no_purge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "walk_forward", lambda times, folds, horizon: walk_forward(times, folds=folds, horizon=timedelta())
    )


def shuffled_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(times: np.ndarray, folds: int, horizon: timedelta) -> list[Fold]:
        order = np.random.default_rng(0).permutation(len(times))
        return [Fold(train=np.sort(order[: len(order) // 2]), test=np.sort(order[len(order) // 2 :]))]

    monkeypatch.setattr(module, "walk_forward", cut)


def currencies_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows come sorted by time and currency: every third is of one currency, cut two days later than the rest."""

    def cut(times: np.ndarray, folds: int, horizon: timedelta) -> list[Fold]:
        made = walk_forward(times, folds=folds, horizon=horizon)
        early = times < times[made[0].test].min() + np.timedelta64(2, "D")
        first = (np.arange(len(times)) % 3 == 0) & early
        return [Fold(train=one.train, test=one.test[~first[one.test]]) for one in made]

    monkeypatch.setattr(module, "walk_forward", cut)


def scaled_before(monkeypatch: pytest.MonkeyPatch) -> None:
    tune = module.tune

    def tuning(algorithm, rows, *rest, **options):
        X = (rows.X - rows.X.mean(axis=0)) / rows.X.std(axis=0)
        return tune(algorithm, replace(rows, X=X), *rest, **options)

    monkeypatch.setattr(module, "tune", tuning)


class ScalerOfAll:
    """A ridge that scales by the mean of rows it remembers."""

    def __init__(self) -> None:
        self._ridge = ALGORITHMS["ridge"].load()
        self._mean: np.ndarray | None = None

    name = "ridge"

    @property
    def space(self):
        return self._ridge.space

    def fit(self, X, y, **options):
        self._mean = X.mean(axis=0) if self._mean is None else self._mean
        model = self._ridge.fit(X, y, **options)
        model.pipeline["scaler"].mean_ = self._mean
        return model


def scaler_of_other_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALGORITHMS", {**module.ALGORITHMS, "ridge": ScalerOfAll()})


def target_of_another_row(monkeypatch: pytest.MonkeyPatch) -> None:
    tune = module.tune

    def tuning(algorithm, rows, *rest, **options):
        return tune(algorithm, replace(rows, target=np.roll(rows.target, 24)), *rest, **options)

    monkeypatch.setattr(module, "tune", tuning)


FAULTS = {
    late_labels: {LABELS.name},
    no_purge: {PURGE.name},
    shuffled_folds: {PURGE.name, CUTS.name},
    currencies_cut_apart: {CUTS.name},
    scaled_before: {HANDED.name},
    scaler_of_other_rows: {HANDED.name},
    target_of_another_row: {HANDED.name},
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_fails_its_check_and_nothing_is_registered(
    plant: Callable, train: Train, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert failing(train()) == FAULTS[plant]
    assert registry.versions(POOLED_MARKET) == []
    assert registry.champion(POOLED_MARKET) is None


def test_indicators_that_know_the_next_hour_are_seen(
    train: Train, registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    held = Lake(settings.lake_url)
    store = Lake(str(tmp_path / "lake"))
    store.replace(KLINES, held.read(KLINES), start=None, end=None)
    rows = held.read(INDICATORS).sort("currency", "time")
    ahead = rows.with_columns(pl.col("ma7_25h_scale").shift(-1).over("currency"))
    store.replace(INDICATORS, ahead, start=None, end=None)
    assert failing(train(store=store)) == {AHEAD.name}
    assert registry.versions(POOLED_MARKET) == []


def test_relative_rows_are_computed_again_from_klines_of_their_time(market: Path) -> None:
    settings = Settings.load(home=market, interval="1h", currencies=",".join(NAMES))
    store = Lake(settings.lake_url)
    names = [f"C{n}USDT" for n in range(5)]
    klines = pl.concat([make_klines(DAYS * 24, currency=name, seed=n) for n, name in enumerate(names)])
    store.replace(KLINES, klines, start=None, end=None, currency=names)
    sets = TrainingSets(settings, features_of("relativeridge"))
    made = sets.read(store, names, POOLED_MARKET, CUTOFF)
    assert sets.look_ahead(store, names, made).is_empty()
    made.samples.X[-1, 0] += 0.1
    told = sets.look_ahead(store, names, replace(made, digest="another"))
    assert told["what"].to_list() == ["not so: rank_return_1h"]


def test_chosen_parameters_are_tried_again_on_other_folds(train: Train, registry: Registry) -> None:
    train("ETHUSDT")
    run = registry.client.get_run(registry.versions("ETHUSDT")[-1].run_id)
    assert run.data.metrics["cpcv_paths"] == 4
    assert run.data.metrics.keys() >= {"cpcv_gain", "cpcv_gain_lowest", "cpcv_ic", "cpcv_ic_lowest"}
    assert "strangers_ic" not in run.data.metrics


def test_the_daily_skill_of_every_trial_is_kept(train: Train, registry: Registry, tmp_path: Path) -> None:
    train("ADAUSDT")
    versions = registry.versions("ADAUSDT")
    for _ in range(2):
        (days,) = read_trial_days(registry, versions, tmp_path).values()
        assert days.columns == ["day", "trial_0", "trial_1"]
        assert days.schema["day"] == pl.Date
        assert days["trial_0"].abs().max() > 0
        assert (days["day"].diff().drop_nulls().dt.total_days() == 1).all()
    assert registry.read_table(versions[0], "nothing.csv") is None
    assert [one.name for one in tmp_path.iterdir()] == [f"{versions[0].run_id}.csv"]


def no_purge_of_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(times: np.ndarray, **options: object) -> Combinatorial:
        return combinatorial_folds(times, **{**options, "horizon": timedelta(), "embargo": timedelta()})

    monkeypatch.setattr(second_look, "combinatorial_folds", cut)


def strangers_among_the_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_look, "currencies_apart", lambda folds, currencies, parts: folds)


@pytest.mark.parametrize(("plant", "check"), [(no_purge_of_paths, PURGE), (strangers_among_the_fitted, APART)])
def test_the_second_look_is_audited_too(
    plant: Callable, check: Check, train: Train, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert failing(train()) == {check.name}
    assert registry.versions(POOLED_MARKET) == []
