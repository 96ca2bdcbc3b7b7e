"""Nine currencies in three groups, one of them delisted: ingested, indicated, trained on, predicted, evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets import partitions as layout
from cryptobot_assets import universe
from cryptobot_assets.cli.backfill import expected_rows, look_at_listings
from cryptobot_assets.cli.ranges import missing_ranges, whole_ranges
from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.deployment import Deployment
from cryptobot_assets.domain.intervals import DAY, HOUR, day_start
from cryptobot_assets.exchange.market import Market
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.leaderboard import evaluate_market
from cryptobot_assets.partitions import POOLED_MARKET, model_key
from cryptobot_assets.report import data_report
from cryptobot_assets.settings import EVERY, Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES, LISTINGS, PREDICTIONS
from cryptobot_assets.universe import open_partitions
from cryptobot_assets_tests.conftest import MakeDatabase, MakeExchange

pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
]

DAYS, ENDED_HOUR, CUTOFF = 59, 24 * 53 + 7, datetime(2025, 2, 13, tzinfo=UTC)
FIRST, LAST = date(2025, 1, 1), date(2025, 2, 28)
COUNT, MANY, GONE = 9, 4, "LINKUSDT"
Open = Callable[[str], Deployment]


def make_market() -> Market:
    """Nine currencies over two months, the last of them delisted some days before their end, and one stablecoin."""
    whole = simulate(7, COUNT, days=DAYS, interval="1h")
    series = {name: whole.series(name) for name in whole.currencies}
    series[GONE] = series[GONE].rows(0, series[GONE].position(whole.first_ms + ENDED_HOUR * 3_600_000))
    series["USDCUSDT"] = series.pop("ETHUSDT")
    return Market(label="simulated", interval="1h", series=series, detail="seed=7")


@pytest.fixture
def open_home(
    make_exchange: MakeExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: MakeDatabase
) -> Iterator[Open]:
    """Open a home over that market, its records in memory, where four currencies are many."""
    monkeypatch.setitem(layout.GROUP_SIZES, "month", MANY)
    monkeypatch.setattr(layout, "CURRENCIES_WITH_MODELS", MANY)
    monkeypatch.setattr(universe, "ROOM", 5 * MANY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_database(tmp_path / "mlflow.db"))
    url = make_exchange(make_market())
    with dg.DagsterInstance.ephemeral() as instance:

        def open_one(currencies: str) -> Deployment:
            settings = Settings.load(
                home=tmp_path, exchange_url=url, currencies=currencies, interval="1h", start_day=FIRST,
                trials=1, folds=1, algorithms="ridge", pictures=0, second_look_rows=500,
            )  # fmt: skip
            partitions = open_partitions(settings)
            return Deployment(settings, partitions, instance, build_definitions(settings, partitions))

        yield open_one


def hours_of(gap: dict[str, str]) -> int:
    """Length of a gap of the report."""
    return (datetime.fromisoformat(gap["to"]) - datetime.fromisoformat(gap["from"])) // HOUR


def fill(deployment: Deployment) -> None:
    """Ingest and indicate everything that is missing."""
    for layer in ("klines", "indicators"):
        for one in missing_ranges(deployment, layer, deployment.partitions.currencies, FIRST, LAST):
            deployment.materialize([one.asset], key_range=one.keys)


def test_a_universe_of_all_in_three_groups_learns_from_coins_alone_the_delisted_one_included(open_home: Open) -> None:
    names = make_market().currencies
    deployment = look_at_listings(open_home("all"), EVERY)
    assert [len(group.currencies) for group in deployment.partitions.groups] == [4, 4, 1, 0, 0, 0, 0, 0]
    assert set(deployment.partitions.currencies) == set(names)

    fill(deployment)
    lake = Lake(deployment.settings.lake_url)
    out = lake.read(GAPS).filter(pl.col("kind").is_null())["missing"].sum()
    assert out > 0
    assert lake.read(KLINES, columns=["time"]).height == expected_rows(deployment, names, FIRST, LAST) - out
    assert lake.read(INDICATORS, columns=["currency"])["currency"].n_unique() == COUNT
    for layer in ("klines", "indicators"):
        assert missing_ranges(deployment, layer, names, FIRST, LAST) == [], "also of the one that was delisted"
        assets = [group.asset(layer) for group in deployment.partitions.groups]
        assert [len(deployment.materialized(asset)) for asset in assets] == [8, 8, 2, 0, 0, 0, 0, 0]

    deployment.materialize(["ridge_model"], key=model_key(POOLED_MARKET, CUTOFF))
    for one in whole_ranges(deployment, "predictions", CUTOFF.date(), LAST):
        deployment.materialize([one.asset], key_range=one.keys)
    predicted = lake.read(PREDICTIONS, market=POOLED_MARKET)
    assert set(predicted["currency"]) == set(names) - {"USDCUSDT"}
    (ended,) = lake.read(LISTINGS, currency=GONE)["end"]
    assert predicted.filter(pl.col("currency") == GONE)["time"].max() == ended - HOUR
    (evaluation,) = evaluate_market(lake, deployment.settings, POOLED_MARKET, draws=0)
    assert evaluation.hours.currencies == tuple(sorted(set(names) - {"USDCUSDT"}))


def test_named_currencies_in_groups_are_filled_and_the_delisted_one_is_not_asked_for_again(
    open_home: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(layout.GROUP_SIZES, "month", 2)
    names = (GONE, "BTCUSDT", "LTCUSDT")
    deployment = look_at_listings(open_home(",".join(names)), names)
    assert [group.currencies for group in deployment.partitions.groups] == [(GONE, "BTCUSDT"), ("LTCUSDT",)]
    fill(deployment)
    assert [len(deployment.materialized(group.asset("klines"))) for group in deployment.partitions.groups] == [4, 2]
    later = LAST.replace(month=4)
    asked = [one.keys for one in missing_ranges(deployment, "klines", names, FIRST, later)]
    assert asked == [(f"{name}|2025-03-01", f"{name}|2025-04-01") for name in ("BTCUSDT", "LTCUSDT")]
    lake = Lake(deployment.settings.lake_url)
    whole = lake.read(GAPS, currency=GONE).filter(pl.col("kind") == "delisted")
    assert whole["missing"].sum() == 24 * DAYS - ENDED_HOUR, "what follows its end is no outage"
    figures = data_report(lake, deployment.settings, start=day_start(FIRST), end=day_start(LAST) + DAY)["klines"]
    out = lake.read(GAPS).filter(pl.col("kind").is_null())["missing"].sum()
    assert figures["expected"] == expected_rows(deployment, names, FIRST, LAST)
    assert figures["missing"] == out == sum(hours_of(gap) for gap in figures["gaps"])
