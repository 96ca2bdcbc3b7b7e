"""Sensors that let each layer follow the one before it: what wakes them, what they ask for."""

import json

import dagster as dg
import pytest

from cryptobot_assets.automation.following import Landed, landings
from cryptobot_assets.automation.records import PROCESS_TAG
from cryptobot_assets_tests.automation.ticks import Platform, keys, ranges_asked

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)
NOTHING = "no klines landed that indicators should follow"
DAYS = [f"2024-01-{day:02}" for day in range(1, 6)]


def wake(platform: Platform, sensor: str = "indicators_sensor") -> str:
    """A sensor's cursor once it has seen everything recorded so far."""
    _, cursor = platform.look(sensor, None)
    return cursor


def test_what_was_recorded_before_the_first_look_is_left_to_the_schedule(platform: Platform) -> None:
    platform.record("klines", keys(DAYS))
    asked, cursor = platform.look("indicators_sensor", None)
    assert isinstance(asked, str) and json.loads(cursor)["klines"] > 0
    assert platform.look("indicators_sensor", cursor) == (NOTHING, cursor)


def test_indicators_follow_exactly_the_klines_that_landed(platform: Platform) -> None:
    cursor = wake(platform)
    platform.record("klines", ["ETHUSDT|2024-01-02", "ETHUSDT|2024-01-03", "LTCUSDT|2024-01-02"])
    asked, after = platform.look("indicators_sensor", cursor)
    assert ranges_asked(asked) == [
        ("ETHUSDT|2024-01-02", "ETHUSDT|2024-01-03"),
        ("LTCUSDT|2024-01-02", "LTCUSDT|2024-01-02"),
    ]
    assert [one.asset_selection for one in asked] == [[dg.AssetKey("indicators")]] * 2
    assert platform.look("indicators_sensor", after)[0] == NOTHING


def test_a_day_read_again_changes_the_days_made_after_it(platform: Platform) -> None:
    platform.record("klines", keys(DAYS))
    platform.record("indicators", keys(DAYS[:4]))
    cursor = wake(platform)
    platform.record("klines", ["BTCUSDT|2024-01-02"])
    asked, _ = platform.look("indicators_sensor", cursor)
    assert ranges_asked(asked) == [
        ("BTCUSDT|2024-01-02", "BTCUSDT|2024-01-05"),
        ("ETHUSDT|2024-01-05", "LTCUSDT|2024-01-05"),
    ], "and the recent day that was left out is made up for"


def run_klines(platform: Platform, place: int, **tags: str) -> tuple[Landed | None, Landed | None]:
    """What a look sees while a run has recorded a partition and goes on, and once it has ended."""

    @dg.asset(name="klines", partitions_def=platform.partitions.market_data(platform.partitions.groups[0]))
    def klines(context: dg.AssetExecutionContext) -> Landed | None:
        context.log_event(dg.AssetMaterialization("klines", partition="BTCUSDT|2024-01-01"))
        return landings(platform.instance, "klines", place)

    result = dg.materialize(
        [klines], instance=platform.instance, partition_key="BTCUSDT|2024-01-02", tags=tags,
        resources={"io_manager": dg.mem_io_manager},
    )  # fmt: skip
    return result.output_for_node("klines"), landings(platform.instance, "klines", place)


def test_a_run_still_recording_is_waited_for(platform: Platform) -> None:
    during, after = run_klines(platform, 0)
    assert during is None
    assert after.keys == {"2024-01-01", "2024-01-02"}


def test_what_a_command_materializes_itself_is_left_to_it(platform: Platform) -> None:
    cursor = wake(platform)
    during, after = run_klines(platform, 0, **{PROCESS_TAG: "1"})
    assert during.keys == after.keys == frozenset()
    assert 0 < during.place < after.place
    assert platform.look("indicators_sensor", cursor)[0] == NOTHING


def test_predictions_follow_once_there_is_a_model(platform: Platform) -> None:
    platform.record("indicators", keys(DAYS[:2]))
    cursor = wake(platform, "predictions_sensor")
    platform.record("indicators", keys(DAYS[2:3]))
    asked, _ = platform.look("predictions_sensor", cursor)
    assert isinstance(asked, str)
    platform.record("ridge_model", ["2024-01-01|ALL"])
    asked, _ = platform.look("predictions_sensor", cursor)
    assert ranges_asked(asked) == [("BTCUSDT|2024-01-01", "LTCUSDT|2024-01-03")]
    assert [one.asset_selection for one in asked] == [[dg.AssetKey("predictions")]]


def test_a_day_that_ends_makes_the_outcomes_of_the_day_before_known(platform: Platform) -> None:
    platform.record("ridge_model", ["2024-01-01|ALL"])
    platform.record("indicators", keys(DAYS[:3]))
    platform.record("predictions", keys(DAYS[:3]))
    cursor = wake(platform, "predictions_sensor")
    platform.record("indicators", keys(DAYS[3:4]))
    asked, _ = platform.look("predictions_sensor", cursor)
    assert ranges_asked(asked) == [("BTCUSDT|2024-01-03", "LTCUSDT|2024-01-04")]
