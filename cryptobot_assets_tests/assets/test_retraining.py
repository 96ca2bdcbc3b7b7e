"""A version trained again from its tags alone: the same bits, whatever became of the store and the settings since."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.assets.retraining import Retrained, retrain
from cryptobot_assets.assets.training import training_assets
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.errors import NoModel, StoreError
from cryptobot_assets.partitions import Partitions, model_key
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import CURRENCIES, STORE_VERSION, RegisteredVersion
from cryptobot_assets.storage.store import INDICATORS, KLINES
from cryptobot_assets_tests.conftest import MakeDatabase

NAMES = ("ADAUSDT", "BTCUSDT")
DAYS, MORE = 62, 8
CUTOFF, HOLDOUT = START + 60 * DAY, START + 59 * DAY
ALGORITHMS = ("ridge", "xgboost", "catboost")


@dataclass(frozen=True)
class Place:
    """A home with versions trained by the assets, its store changed since."""

    home: Path
    registry: Registry

    @property
    def store(self) -> Lake:
        return Lake(str(self.home / "lake"))

    def version(self, algorithm: str) -> RegisteredVersion:
        return self.registry.version(f"cryptobot-ALL-{algorithm}", "1")

    def retrain(self, algorithm: str) -> Retrained:
        """By someone whose own settings are others."""
        settings = Settings.load(home=self.home, seed=99, trials=1, train_days=20, interval="1m")
        return retrain(self.version(algorithm), self.store, self.registry, settings, Silent())


def make_market(days: int) -> pl.DataFrame:
    return pl.concat([make_klines(days * 24, currency=name, seed=n) for n, name in enumerate(NAMES)])


def make_indicators(days: int) -> pl.DataFrame:
    return indicator_frame(make_market(days), "1h", START, START + days * DAY)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, mlflow_database: MakeDatabase) -> Place:
    home = tmp_path_factory.mktemp("home")
    place = Place(home, Registry(mlflow_database(home / "mlflow.db"), home / "mlflow"))
    settings = Settings.load(
        home=home, interval="1h", currencies=",".join(NAMES), start_day=START.date(), trials=2, folds=2, seed=3,
        max_training_rows=1_000, max_tuning_rows=1_000, second_look_rows=0,
        holdout_from=HOLDOUT.date(),
    )  # fmt: skip
    place.store.replace(KLINES, make_market(DAYS), start=None, end=None)
    place.store.replace(INDICATORS, make_indicators(DAYS), start=None, end=None)
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(
            training_assets(Partitions(settings)),
            selection=[f"{name}_model" for name in ALGORITHMS],
            partition_key=model_key("ALL", CUTOFF.date()),
            resources={"store": place.store, "registry": place.registry, "progress": Silent()},
            instance=instance,
        )
    change(place.store)
    place.store.maintain(INDICATORS, history=timedelta(0), keep=place.registry.trained_on()["indicators"])
    return place


def change(store: Lake) -> None:
    """Mend a day that the models learned from, and append what came later."""
    day = START + 50 * DAY
    mended = store.read(INDICATORS, start=day, end=day + DAY).with_columns(pl.col("close") * 1.01)
    store.replace(INDICATORS, mended, start=day, end=day + DAY)
    later = START + DAYS * DAY
    store.replace(INDICATORS, make_indicators(DAYS + MORE).filter(pl.col("time") >= later), start=later, end=None)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_version_comes_out_the_same_from_its_tags_alone(place: Place, algorithm: str) -> None:
    done = place.retrain(algorithm)
    assert (done.differing, done.largest) == (0, 0.0)
    assert len(done.training_set.samples) > 1_000, "thinned for the fit, and thinned alike"
    assert done.training_set.store_version != f"indicators@{place.store.version(INDICATORS)}"
    assert done.commits[0] == done.commits[1]
    assert [one.version for one in place.registry.versions("ALL", algorithm)] == ["1"]


@pytest.mark.parametrize("setting", ['"seed": 3', '"max_training_rows": 1000'])
def test_it_comes_out_otherwise_under_other_settings(
    place: Place, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    tags = place.registry.run_tags(place.version("catboost"))
    assert setting in tags["training_settings"]
    other = {**tags, "training_settings": tags["training_settings"].replace(setting, f"{setting}1")}
    monkeypatch.setattr(Registry, "run_tags", lambda registry, version: other)
    assert place.retrain("catboost").differing > 0


def test_a_store_without_old_versions_is_told_by_the_digest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lake, "as_of", lambda store, table, version: store)
    with pytest.raises(StoreError, match=r"models:/cryptobot-ALL-ridge/1 was trained on \(indicators@\d+\) are not"):
        place.retrain("ridge")


def test_a_version_of_the_store_that_is_gone_is_told(place: Place) -> None:
    with pytest.raises(StoreError, match=r"version 99 of indicators at .*/lake cannot be read any more") as refusal:
        place.store.as_of(INDICATORS, "99")
    assert "\n" not in str(refusal.value)


def test_a_version_that_does_not_tell_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "run_tags", lambda registry, version: {STORE_VERSION: "indicators@1"})
    with pytest.raises(NoModel, match=f"does not tell its training_set_digest, {CURRENCIES}, training_settings"):
        place.retrain("ridge")


def test_numbers_that_there_are_are_told(place: Place) -> None:
    with pytest.raises(NoModel, match="cryptobot-ALL-ridge has no version 7; it has: 1"):
        place.registry.version("cryptobot-ALL-ridge", "7")
    with pytest.raises(NoModel, match="nobody has no version 1; it has: none"):
        place.registry.version("nobody", "1")


def test_a_champion_is_the_version_it_copies(place: Place) -> None:
    champion = place.registry.promote(
        place.version("ridge"), alias="champion", verdict={"promote": True, "reasons": []}
    )
    found = place.registry.version("cryptobot-ALL", champion.version)
    assert place.registry.run_tags(found) == place.registry.run_tags(replace(found, version="1"))
