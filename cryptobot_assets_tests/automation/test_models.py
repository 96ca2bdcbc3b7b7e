"""Models by the clock: when a market is evaluated, and when one is trained anew."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from cryptobot_assets.automation.models import can_train, models_of, trained_markets
from cryptobot_assets.contracts.factories import make_closes
from cryptobot_assets.domain.intervals import day_start
from cryptobot_assets.models.algorithms import DEFAULT_ALGORITHMS, usable_algorithms
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS
from cryptobot_assets_tests.automation.ticks import CURRENCIES, Platform, keys

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)
MONDAY = date(2024, 3, 4)
EVALUATION = ("evaluation_report", "pool_value", "champion_model")


def test_a_market_is_evaluated_when_there_are_predictions_it_was_not_told_of(platform: Platform) -> None:
    platform.record("ridge_model", ["2024-01-01|ALL", "2024-01-08|BTCUSDT", "2024-01-08|ALL"])
    assert isinstance(platform.tick("evaluation_schedule", "2024-01-05T02:00"), str), "no prediction yet"
    platform.record("predictions", keys(["2024-01-04"]))
    (request,) = platform.tick("evaluation_schedule", "2024-01-05T02:00")
    assert request.partition_key == "ALL", "of the other market no outcome is known"
    assert tuple(key.to_user_string() for key in request.asset_selection) == EVALUATION
    assert len(platform.tick("evaluation_schedule", "2024-01-10T02:00")) == 2
    for asset in EVALUATION:
        platform.record(asset, ["ALL"])
    (request,) = platform.tick("evaluation_schedule", "2024-01-10T02:00")
    assert (request.partition_key, request.run_key) == ("BTCUSDT", "champion_model 2024-01-10T02:00 BTCUSDT")


def test_a_week_s_training_is_of_the_pooled_market_and_of_those_with_models(platform: Platform) -> None:
    store_indicators(platform, days=60)
    (request,) = platform.tick("training_schedule", "2024-03-01T03:00")
    assert request.partition_key == "2024-03-01|ALL"
    wanted = {"training_set", "challenger_model", *(f"{name}_model" for name in usable_algorithms(len(CURRENCIES)))}
    assert {key.to_user_string() for key in request.asset_selection} == wanted
    platform.record("ridge_model", ["2024-02-01|BTCUSDT", "2024-03-01|ALL"])
    (request,) = platform.tick("training_schedule", "2024-03-01T15:00")
    assert request.partition_key == "2024-03-01|BTCUSDT"
    assert trained_markets(platform.instance) == {"BTCUSDT": {date(2024, 2, 1)}, "ALL": {date(2024, 3, 1)}}


@pytest.mark.parametrize(("market", "currencies", "ranked"), [("ALL", 5, True), ("ALL", 4, False), ("AUSDT", 5, False)])
def test_what_ranks_currencies_is_trained_where_there_are_several(market: str, currencies: int, ranked: bool):
    names = ",".join(f"{letter}USDT" for letter in "ABCDE"[:currencies])
    models = models_of(market, Settings.load(currencies=names), names.split(","))
    assert ("relativeridge_model" in models) is ranked
    assert (
        models[0] == "training_set"
        and models[-1] == "challenger_model"
        and len(models) == 2 + len(DEFAULT_ALGORITHMS) - (not ranked)
    )
    assert models_of("AUSDT", Settings.load(currencies=names, algorithms="relativeridge,ridge"), names.split(",")) == [
        "training_set",
        "ridge_model",
        "challenger_model",
    ]


def test_nothing_is_trained_without_history(platform: Platform) -> None:
    assert "indicators do not reach" in platform.tick("training_schedule", "2024-03-04T03:00")
    store_indicators(platform, days=20)
    assert "indicators do not reach" in platform.tick("training_schedule", "2024-01-21T03:00")


@pytest.mark.parametrize(
    ("days", "until", "expected"),
    [(35, 0, True), (34, 0, False), (90, 1, True), (90, 2, False)],
)
def test_history_must_reach_from_long_before_a_cutoff_to_the_day_before_it(days: int, until: int, expected: bool):
    start = day_start(MONDAY)
    span = (start - timedelta(days=days), start - timedelta(days=until))
    assert can_train({"BTCUSDT": span}, "ALL", MONDAY) is expected
    assert can_train({"BTCUSDT": span}, "BTCUSDT", MONDAY) is expected
    assert can_train({"BTCUSDT": span}, "ETHUSDT", MONDAY) is False


def store_indicators(platform: Platform, *, days: int) -> None:
    """Hourly indicators of each currency from the first day on, nothing but closes in them."""
    for currency in CURRENCIES:
        closes = make_closes(24 * days, currency=currency)
        empty = [name for name in INDICATORS.schema if name not in closes.columns]
        rows = closes.with_columns(**dict.fromkeys(empty)).select(list(INDICATORS.schema)).cast(INDICATORS.schema)
        platform.lake.replace(INDICATORS, rows, start=None, end=None, currency=currency)
