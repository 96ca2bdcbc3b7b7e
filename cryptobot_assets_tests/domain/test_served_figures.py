"""Served predictions beside their outcomes: each row once, and two versions on the same rows."""

from __future__ import annotations

import polars as pl
import pytest

from cryptobot_assets.domain.served_figures import by_day, by_version, compared
from cryptobot_assets_tests.dashboard.records import SERVED_DAYS, outcome_rows, served_rows

HOURS = SERVED_DAYS * 24


@pytest.fixture(scope="module")
def outcomes() -> pl.DataFrame:
    served = served_rows()
    known = outcome_rows(served)
    again = known["prediction_id"] == f"{HOURS:032x}"
    first = known.filter(prediction_id=f"{HOURS - 1:032x}").select("role", predicted="predicted_return")
    same = known.filter(again).join(first, on="role").with_columns(predicted_return="predicted").drop("predicted")
    return pl.concat([known.filter(~again), same.select(known.columns)])


def test_a_row_that_was_asked_for_twice_counts_once(outcomes: pl.DataFrame) -> None:
    answered, shadow = by_version(outcomes).to_dicts()
    assert (answered["version"], answered["served"], answered["answered"], answered["rows"]) == (
        "1", HOURS + 1, HOURS + 1, HOURS,
    )  # fmt: skip
    assert (shadow["version"], shadow["served"], shadow["answered"], shadow["rows"]) == ("2", HOURS + 1, 0, HOURS)
    once = outcomes.filter(version="1").unique("time")
    errors = (once["predicted_return"] - once["realised_return"]) ** 2
    rose = (once["realised_return"] > 0).mean()
    assert answered["mse"] == pytest.approx(errors.mean())
    assert answered["mse_zero"] == shadow["mse_zero"] == pytest.approx((once["realised_return"] ** 2).mean())
    assert answered["base_rate"] == pytest.approx(max(rose, 1 - rose))
    right = (once["predicted_return"] > 0) == (once["realised_return"] > 0)
    assert answered["hits"] == pytest.approx(right.mean())


def test_days_add_up_to_the_whole(outcomes: pl.DataFrame) -> None:
    days, (whole, _) = by_day(outcomes).filter(version="1"), by_version(outcomes).to_dicts()
    assert days.height == SERVED_DAYS and days["rows"].sum() == HOURS
    assert (days["mse"] * days["rows"]).sum() / HOURS == pytest.approx(whole["mse"])


def test_two_versions_are_compared_on_the_rows_that_both_scored(outcomes: pl.DataFrame) -> None:
    alone = outcomes.filter(~((pl.col("role") == "shadow") & (pl.col("time").dt.day() == 1)))
    (pair,) = compared(alone).to_dicts()
    assert (pair["answered"], pair["shadow"], pair["rows"]) == ("ridge 1", "ridge 2", HOURS - 24)
    assert pair["mse_shadow"] < pair["mse"] and pair["closer"] > 0.5
    assert compared(alone.filter(role="champion")).is_empty()
    assert by_version(outcomes.clear()).is_empty() and by_day(outcomes.clear()).is_empty()
