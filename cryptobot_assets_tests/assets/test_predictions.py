"""Predictions: each row by the version in force at its time, none before the first cutoff.

cutoff A          cutoff B
|--- version A ---|--- version B ---> time
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.assets import predictions
from cryptobot_assets.assets.predictions import Lineup, predict_block, read_lineup
from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.partitions import Span
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS

HOURS = 24 * 12
END = START + 12 * DAY
FIRST, SECOND = START + 4 * DAY, START + 8 * DAY + 7 * HOUR
BLOCK = Span("BTCUSDT", START, END)


@dataclass(frozen=True)
class Scorer:
    """Predicts its number plus what its feature says."""

    number: float
    features: tuple[str, ...] = ("close_lag_25h",)

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.number + X[:, 0]


def reader(lake: Lake) -> SampleReader:
    return SampleReader(lake, "1h", ("BTCUSDT",))


def make_version(
    version: int, cutoff: datetime, *, algorithm: str = "ridge", market: str = "ALL", tags: dict[str, str] | None = None
) -> RegisteredVersion:
    return RegisteredVersion(
        name=f"cryptobot-{market}-{algorithm}",
        version=str(version),
        market=market,
        algorithm=algorithm,
        cutoff=cutoff,
        run_id=f"run {version}",
        source_uri="",
        created=START,
        tags=tags or {},
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    rows = make_rows(INDICATORS, HOURS)
    lake.replace(INDICATORS, rows.filter(pl.col("time") != hours_after(200)), start=None, end=None)
    return lake


@pytest.fixture
def lineup() -> Lineup:
    return {"ridge": [(make_version(1, FIRST), Scorer(10.0)), (make_version(2, SECOND), Scorer(20.0))]}


def test_each_row_is_scored_by_the_version_in_force(lake: Lake, lineup: Lineup) -> None:
    times = predict_block(lineup, "ALL", BLOCK, reader(lake), lake)
    rows = lake.read(PREDICTIONS).sort("time")
    assert times.sort().to_list() == rows["time"].to_list()
    assert rows["time"].min() == FIRST
    assert rows.filter(pl.col("time") < SECOND)["version"].unique().to_list() == ["1"]
    assert rows.filter(pl.col("time") >= SECOND)["version"].unique().to_list() == ["2"]
    assert rows.filter(pl.col("version") == "1")["predicted_return"].is_between(9, 11).all()
    assert rows.filter(pl.col("version") == "2")["predicted_return"].is_between(19, 21).all()
    assert (rows["cutoff"] == pl.Series([FIRST if one == "1" else SECOND for one in rows["version"]])).all()


def test_a_row_that_lacks_a_feature_is_absent(lake: Lake, lineup: Lineup) -> None:
    predict_block(lineup, "ALL", BLOCK, reader(lake), lake)
    hours = {(time - START) // HOUR for time in lake.read(PREDICTIONS)["time"]}
    assert hours == set(range(4 * 24, HOURS)) - {200, 225}, "the gap itself, and the row whose lag reaches it"


def test_predictions_and_outcomes_are_those_of_the_closes(lake: Lake, lineup: Lineup) -> None:
    predict_block(lineup, "ALL", BLOCK, reader(lake), lake)
    closes = dict(lake.read(INDICATORS, columns=["time", "close"]).iter_rows())
    for row in lake.read(PREDICTIONS).iter_rows(named=True):
        time, close = row["time"], closes[row["time"]]
        lag = closes[time - 25 * HOUR] / close - 1
        assert row["predicted_return"] == pytest.approx(10 * int(row["version"]) + lag)
        later = closes.get(time + 24 * HOUR)
        assert row["realised_return"] == (None if later is None else pytest.approx(later / close - 1))


def test_blocks_give_what_the_whole_gives_and_again_changes_nothing(lake: Lake, lineup: Lineup) -> None:
    predict_block(lineup, "ALL", BLOCK, reader(lake), lake)
    whole = lake.read(PREDICTIONS)
    for _ in range(2):
        for day in range(12):
            block = Span("BTCUSDT", START + day * DAY, START + (day + 1) * DAY)
            predict_block(lineup, "ALL", block, reader(lake), lake)
    assert lake.read(PREDICTIONS).equals(whole)


def test_a_newer_version_takes_over_from_its_cutoff_on(lake: Lake, lineup: Lineup) -> None:
    predict_block({"ridge": lineup["ridge"][:1]}, "ALL", BLOCK, reader(lake), lake)
    before = lake.read(PREDICTIONS)
    predict_block(lineup, "ALL", BLOCK, reader(lake), lake)
    after = lake.read(PREDICTIONS)
    assert after.height == before.height, "the older version's rows from there on are gone"
    assert after.filter(pl.col("time") < SECOND).equals(before.filter(pl.col("time") < SECOND))


def test_algorithms_with_other_features_and_cutoffs_stand_side_by_side(lake: Lake, lineup: Lineup) -> None:
    lineup["lasso"] = [(make_version(1, SECOND, algorithm="lasso"), Scorer(30.0, ("close_lag_1h",)))]
    predict_block(lineup, "ALL", BLOCK, reader(lake), lake)
    rows = lake.read(PREDICTIONS)
    assert rows.filter(algorithm="lasso")["time"].min() == SECOND
    assert rows.filter(algorithm="ridge")["time"].min() == FIRST
    assert rows.filter(algorithm="lasso")["predicted_return"].is_between(29, 31).all()


def test_nothing_is_predicted_before_the_first_cutoff_or_without_models(lake: Lake, lineup: Lineup) -> None:
    for models in (lineup, {}):
        assert predict_block(models, "ALL", Span("BTCUSDT", START, FIRST), reader(lake), lake).is_empty()
    assert lake.read(PREDICTIONS).is_empty()


def test_the_lineup_has_one_version_a_cutoff_the_newest_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FakeRegistry:
        def versions(self, market: str) -> list[RegisteredVersion]:
            days = {9: SECOND, 10: SECOND, 2: FIRST, 3: FIRST - timedelta(days=1)}
            return [make_version(number, cutoff) for number, cutoff in days.items()]

        def download(self, version: RegisteredVersion, dest: Path) -> Path:
            return dest

    monkeypatch.setattr(predictions, "load_scorer", lambda folder: folder.relative_to(tmp_path).as_posix())
    lineup = read_lineup(FakeRegistry(), "ALL", tmp_path)
    assert [(version.version, scorer) for version, scorer in lineup["ridge"]] == [
        ("3", "cryptobot-ALL-ridge/3"),
        ("2", "cryptobot-ALL-ridge/2"),
        ("10", "cryptobot-ALL-ridge/10"),
    ]
    assert all(version.cutoff.tzinfo is UTC for version, _ in lineup["ridge"])
