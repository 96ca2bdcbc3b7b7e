"""Sums of days: any range of days is the sum of its days."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import hours_after, make_scored
from cryptobot_assets.domain.day_facts import SUMS, day_facts, error_course
from cryptobot_assets.domain.metrics import classify, score


def make_rows(days: int = 6) -> pl.DataFrame:
    draw = np.random.default_rng(3)
    names = ("ADAUSDT", "BTCUSDT", "ETHUSDT")
    said = {name: draw.normal(size=days * 24) for name in names}
    return make_scored(said, {name: draw.normal(size=days * 24) for name in names})


def test_days_add_up_to_the_figures_of_all_rows() -> None:
    rows = make_rows()
    days = day_facts(rows)
    assert days["time"].to_list() == [hours_after(24 * day) for day in range(6)]
    total = days.select(pl.col(name).sum() for name in SUMS).row(0, named=True)
    whole, classes = score(rows, "1h", seed=0, draws=0), classify(rows, "1h")
    assert total["rows"] == rows.height
    assert total["squared_error"] / total["rows"] == pytest.approx(whole.mse)
    assert total["squared_zero"] / total["rows"] == pytest.approx(whole.mse_zero)
    assert total["went_up"] / total["rows"] == pytest.approx(classes.base_rate)
    assert total["right"] / total["rows"] == pytest.approx(classes.accuracy)


def test_the_course_ends_at_the_error_of_all_days() -> None:
    rows = make_rows()
    course = error_course(day_facts(rows))
    whole = score(rows, "1h", seed=0, draws=0)
    assert course["so_far"][-1] == pytest.approx(whole.mse / whole.mse_zero - 1)
    first = score(rows.filter(pl.col("time") < hours_after(24)), "1h", seed=0, draws=0)
    assert course.row(0)[1:] == pytest.approx((first.mse, first.mse_zero, first.mse / first.mse_zero - 1))
