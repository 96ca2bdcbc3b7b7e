"""The training set as an asset: the rows every model of a cutoff learns from, and nothing known later."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.assets.training import training_assets
from cryptobot_assets.assets.training_set import TrainingSets
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.models.algorithms import features_of
from cryptobot_assets.partitions import Partitions, model_key
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS, KLINES

NAMES = ("ADAUSDT", "BTCUSDT", "ETHUSDT", "LTCUSDT", "XRPUSDT")
DAYS = 100
CUTOFF = START + 95 * DAY

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)


def make_store(home: Path, *, later: float = 1.0, earlier: float = 1.0) -> Lake:
    """Klines and indicators; prices at and after the cutoff, or those of the day before it, times a factor."""
    klines = pl.concat([make_klines(DAYS * 24, currency=name, seed=n) for n, name in enumerate(NAMES)])
    prices = [pl.col(name) for name in ("open", "high", "low", "close")]
    for start, end, factor in ((CUTOFF, None, later), (CUTOFF - DAY, CUTOFF, earlier)):
        within = (pl.col("time") >= start) & (pl.lit(True) if end is None else pl.col("time") < end)
        klines = klines.with_columns([pl.when(within).then(price * factor).otherwise(price) for price in prices])
    store = Lake(str(home / "lake"))
    store.replace(KLINES, klines, start=None, end=None)
    store.replace(INDICATORS, indicator_frame(klines, "1h", START, START + DAYS * DAY), start=None, end=None)
    return store


def materialize(store: Lake, settings: Settings, cutoff: datetime = CUTOFF, **options: bool) -> dg.AssetMaterialization:
    asset, *_ = training_assets(Partitions(settings))
    result = dg.materialize(
        [asset],
        partition_key=model_key("ALL", cutoff),
        instance=dg.DagsterInstance.ephemeral(),
        resources={"store": store},
        **options,
    )
    (made,) = result.asset_materializations_for_node("training_set")
    return made


def settings_of(home: Path, algorithms: Sequence[str] = ()) -> Settings:
    return Settings.load(
        home=home, interval="1h", currencies=",".join(NAMES), start_day=START.date(), algorithms=",".join(algorithms)
    )


def version_of(made: dg.AssetMaterialization) -> str:
    return made.tags["dagster/data_version"]


def test_it_tells_of_the_rows_the_models_learn_from(tmp_path: Path) -> None:
    store, settings = make_store(tmp_path), settings_of(tmp_path)
    made = materialize(store, settings)
    read = [
        TrainingSets(settings, features_of(name)).read(store, NAMES, "ALL", CUTOFF)
        for name in ("ridge", "relativeridge")
    ]
    assert made.metadata["dagster/row_count"].value == max(len(one.samples) for one in read)
    assert made.metadata["currencies"].value == len(NAMES)
    told = made.metadata["sets"].value
    for one in read:
        assert one.store_version in told and one.digest[:12] in told and f"{len(one.samples):,}" in told
    assert version_of(made) == hashlib.sha256("".join(one.digest for one in read).encode()).hexdigest()


def test_nothing_known_after_the_cutoff_changes_it_and_what_was_known_before_does(tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("as_it_was", "another_future", "another_past")}
    for home in homes.values():
        home.mkdir()
    changes = {"as_it_was": {}, "another_future": {"later": 3.0}, "another_past": {"earlier": 1.5}}
    made = {
        name: version_of(materialize(make_store(home, **changes[name]), settings_of(home)))
        for name, home in homes.items()
    }
    assert made["as_it_was"] == made["another_future"] != made["another_past"]


def test_it_is_of_the_features_of_the_algorithms_in_use(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    told = materialize(store, settings_of(tmp_path, ["momentum"])).metadata["sets"].value
    assert "| 5 |" in told and len(told.splitlines()) == 3


def test_too_little_history_is_told(tmp_path: Path) -> None:
    store, settings = make_store(tmp_path), settings_of(tmp_path)
    with pytest.raises(Exception, match="ingest at least"):
        materialize(store, settings, START + 20 * DAY)
