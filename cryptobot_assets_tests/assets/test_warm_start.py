"""Trainings that begin with tuned values: weekly ones where the week before ended, ensembles with their members'."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.assets import fitting
from cryptobot_assets.assets.members import members_start
from cryptobot_assets.assets.retraining import retrain
from cryptobot_assets.assets.warm_start import warm_start
from cryptobot_assets.contracts.factories import START
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.errors import NoModel
from cryptobot_assets.models.ensemble import own
from cryptobot_assets.models.loading import warm_up
from cryptobot_assets.models.starting_point import NOWHERE
from cryptobot_assets.progress import Silent
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import STARTING_POINT, TUNED
from cryptobot_assets.storage.store import INDICATORS
from cryptobot_assets_tests.assets.trained import Trained
from cryptobot_assets_tests.conftest import MakeDatabase

MARKET = "BTCUSDT"
FIRST, SECOND = START + 50 * DAY, START + 57 * DAY
MEMBERS = ("lasso", "ridge")
TOGETHER = (*MEMBERS, "neural", "ensemble")

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, mlflow_database: MakeDatabase) -> Trained:
    """Four algorithms as of the first cutoff; ridge as of the second too, first by somebody without a warm start."""
    home = tmp_path_factory.mktemp("home")
    place = Trained.of(home, MARKET, Registry(mlflow_database(home / "mlflow.db"), home / "mlflow"))
    place.train(SECOND, "ridge", warm_start=False)
    checks = place.train(FIRST, *TOGETHER, second_look_rows=500).get_asset_check_evaluations()
    assert {one.asset_key.path[0] for one in checks} == {f"{name}_model" for name in TOGETHER}
    assert all(one.passed for one in checks)
    place.train(SECOND, "ridge")
    return place


def test_a_tuning_begins_with_the_values_of_the_cutoff_before(place: Trained) -> None:
    assert STARTING_POINT not in place.tags("ridge", 1)
    assert STARTING_POINT not in place.tags("ridge", 2), "a version of a later cutoff is none to begin with"
    began, tuned = json.loads(place.tags("ridge", 3)[STARTING_POINT]), json.loads(place.tags("ridge", 2)[TUNED])
    assert began == {"values": tuned, "sources": ["models:/cryptobot-BTCUSDT-ridge/2"], "left_out": {}}
    trials = pl.read_csv(place.registry.read_table(place.version("ridge", 3), "trials.csv"))
    assert trials.height == 2, "the first counts too"
    assert trials.row(0, named=True)["param_penalty"] == tuned["penalty"]
    assert [place.version("ridge", number).cutoff for number in (1, 2, 3)] == [SECOND, FIRST, SECOND]


def test_the_same_training_with_another_beginning_is_another(place: Trained) -> None:
    first, third = (place.version("ridge", number).tags["fingerprint"] for number in (1, 3))
    assert first != third
    place.train(SECOND, "ridge")
    place.train(SECOND, "ridge", warm_start=False)
    assert len(place.registry.versions(MARKET, "ridge")) == 3, "both are there already"


def test_a_version_comes_out_the_same_when_the_one_it_began_with_is_gone(
    place: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = place.version("ridge", 3)
    monkeypatch.setattr(Registry, "versions", lambda *_: [])
    began: list[object] = []
    tune = fitting.tune
    monkeypatch.setattr(fitting, "tune", lambda *a, first, **o: began.append(first) or tune(*a, first=first, **o))
    done = retrain(version, place.store, place.registry, place.settings(seed=99, warm_start=False), Silent())
    assert done.differing == 0
    assert began == [json.loads(place.tags("ridge", 2)[TUNED])]


@pytest.mark.parametrize("earlier", [timedelta(), timedelta(days=7)])
def test_no_version_of_the_same_cutoff_or_a_later_one_is_begun_with(place: Trained, earlier: timedelta) -> None:
    assert warm_start(place.registry, MARKET, "ridge", FIRST - earlier, place.settings()) == NOWHERE
    held = warm_start(place.registry, MARKET, "ridge", SECOND + DAY - earlier, place.settings())
    assert held.sources == (f"models:/cryptobot-BTCUSDT-ridge/{2 if earlier else 3}",)


def test_a_version_that_knows_the_holdout_is_passed_over(place: Trained) -> None:
    def sources(day: datetime) -> tuple[str, ...]:
        settings = place.settings(holdout_from=day.date())
        return warm_start(place.registry, MARKET, "ridge", SECOND + DAY, settings).sources

    assert sources(SECOND) == ("models:/cryptobot-BTCUSDT-ridge/3",)
    assert sources(SECOND - DAY) == ("models:/cryptobot-BTCUSDT-ridge/2",)
    assert sources(FIRST - DAY) == ()


def test_values_that_no_longer_fit_are_left_out_and_told(place: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = place.registry.run_tags
    old = json.dumps({"penalty": 1e9, "weighting": "uniqueness", "depth": 4})
    monkeypatch.setattr(place.registry, "run_tags", lambda version: {**tags(version), TUNED: old})
    start = warm_start(place.registry, MARKET, "ridge", SECOND, place.settings())
    assert start.left_out == {"penalty": 1e9, "depth": 4}
    assert start.values["weighting"] == "uniqueness"
    assert start.values["penalty"] == 0.3


def numbered(name: str) -> int:
    """Number of the version as of the first cutoff."""
    return 2 if name == "ridge" else 1


def test_an_ensemble_tells_its_members_and_the_values_each_was_tuned_to(place: Trained) -> None:
    start = json.loads(place.tags("ensemble")[STARTING_POINT])
    assert start["sources"] == [place.version(name, numbered(name)).uri for name in MEMBERS]
    for name in MEMBERS:
        assert own(start["values"], name) == json.loads(place.tags(name, numbered(name))[TUNED])
    assert json.loads(place.tags("ensemble")[TUNED]) == start["values"]
    assert [place.version(name).tags["trials"] for name in ("ensemble", "neural")] == ["1", "2"]
    run = place.registry.client.get_run(place.version("ensemble").run_id)
    assert run.data.metrics.keys() >= {"cv_mse", "cpcv_gain"}


def test_an_ensemble_predicts_the_mean_of_its_registered_members(place: Trained) -> None:
    X = np.array(place.scorer("ensemble").card.warmup_rows)
    members = [place.scorer(name, numbered(name)).predict(X) for name in MEMBERS]
    np.testing.assert_allclose(warm_up(place.scorer("ensemble")).predict(X), np.mean(members, axis=0), rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["ensemble", "neural"])
def test_it_comes_out_the_same_from_its_tags_alone(place: Trained, algorithm: str) -> None:
    done = retrain(place.version(algorithm), place.store, place.registry, place.settings(seed=99), Silent())
    assert (done.differing, done.largest) == (0, 0.0)


def test_nothing_changes_with_what_comes_after_the_cutoff(place: Trained, tmp_path: Path) -> None:
    other = Trained.of(tmp_path, "ETHUSDT", place.registry, turn=FIRST)
    other.train(FIRST, *TOGETHER)
    assert other.store.read(INDICATORS)["close"].max() > 2 * place.store.read(INDICATORS)["close"].max()
    for name in TOGETHER:
        theirs, ours = other.tags(name), place.tags(name, numbered(name))
        assert theirs[TUNED] == ours[TUNED]
        card = place.scorer(name, numbered(name)).card
        assert other.scorer(name).card == replace(card, market="ETHUSDT")


def test_an_ensemble_without_members_is_told_what_to_train(place: Trained) -> None:
    with pytest.raises(NoModel, match=r"trained for BTCUSDT as of .*, and there are 0: train some of xgboost, cat"):
        members_start(place.registry, MARKET, "ensemble", FIRST - DAY, place.settings())


def test_members_that_know_the_holdout_are_left_out(place: Trained) -> None:
    locked = [place.settings(holdout_from=day.date()) for day in (FIRST, FIRST - DAY)]
    assert len(members_start(place.registry, MARKET, "ensemble", FIRST, locked[0]).sources) == 2
    with pytest.raises(NoModel, match="there are 0"):
        members_start(place.registry, MARKET, "ensemble", FIRST, locked[1])
