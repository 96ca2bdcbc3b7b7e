"""The ledger's tick: one run over this month and the one before."""

from __future__ import annotations

import pytest

from cryptobot_assets_tests.automation.ticks import RANGE, Platform

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")


@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        ("2024-03-15T01:30", "2024-02-01", "2024-03-01"),
        ("2024-03-01T01:30", "2024-02-01", "2024-03-01"),
        ("2024-01-20T01:30", "2024-01-01", "2024-01-01"),
    ],
)
def test_a_tick_asks_for_this_month_and_the_one_before(platform: Platform, moment: str, first: str, last: str) -> None:
    (request,) = platform.tick("gaps_schedule", moment)
    assert [request.tags[name] for name in RANGE] == [first, last]
    (again,) = platform.tick("gaps_schedule", moment)
    assert request.run_key == again.run_key
    job = platform.repository.get_job("gaps_job")
    keys = job.asset_layer.executable_asset_keys
    assert sorted(key.to_user_string() for key in keys) == ["gap_ledger", "gap_repair"]
