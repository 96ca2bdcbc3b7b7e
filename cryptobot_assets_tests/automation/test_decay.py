"""From decay to a training: looked at after a verdict, asked for with a reason, and not too often."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from cryptobot_assets.assets.decay import RETRAIN
from cryptobot_assets.automation import decay
from cryptobot_assets.automation.decay import REASON_TAG
from cryptobot_assets.domain.intervals import day_start
from cryptobot_assets_tests.automation.test_models import MONDAY, store_indicators
from cryptobot_assets_tests.automation.ticks import Platform


def report(platform: Platform, reason: str | None) -> None:
    """A drift report of the pooled market is recorded."""
    metadata = {RETRAIN: reason} if reason else {}
    platform.instance.report_runless_asset_event(
        dg.AssetMaterialization("drift_report", partition="ALL", metadata=metadata)
    )


def test_a_verdict_is_followed_by_a_look_and_decay_by_one_training(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_indicators(platform, days=63)
    today = day_start(MONDAY)
    monkeypatch.setattr(decay, "market_now", lambda settings, store, moment: today)
    platform.record("ridge_model", [f"{MONDAY - timedelta(days=5)}|ALL"])
    asked, cursor = platform.look("drift_sensor", None)
    assert "no verdict is new" in asked
    platform.record("champion_model", ["ALL"])
    [look], cursor = platform.look("drift_sensor", cursor)
    assert (look.partition_key, [key.to_user_string() for key in look.asset_selection]) == ("ALL", ["drift_report"])
    report(platform, None)
    asked, cursor = platform.look("drift_sensor", cursor)
    assert isinstance(asked, str), "nothing was found"
    report(platform, "errors: they rose")
    [training], cursor = platform.look("drift_sensor", cursor)
    assert training.partition_key == f"{MONDAY}|ALL" and training.tags[REASON_TAG] == "errors: they rose"
    asked = {key.to_user_string() for key in training.asset_selection}
    assert {"training_set", "ridge_model", "challenger_model"} <= asked
    platform.record("ridge_model", [f"{MONDAY}|ALL"])
    report(platform, "errors: they rose")
    asked, _ = platform.look("drift_sensor", cursor)
    assert isinstance(asked, str), "trained today"
