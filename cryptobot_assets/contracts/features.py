"""What every feature must pass: point in time, whoever brings it.

A test class inherits `FeatureContract` and gives a fixture `feature`, the name: of a stored indicator, of a
lag, or of a feature that an installed package brings.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import START, make_closes
from cryptobot_assets.domain.features import lookback, require_features
from cryptobot_assets.domain.indicators import INDICATOR_SCHEMA, indicator_frame
from cryptobot_assets.domain.intervals import DAY, HOUR, interval_delta
from cryptobot_assets.domain.samples import Samples, make_samples
from cryptobot_assets.plugged import FEATURES

ROWS_DAYS = 2
"""Days that are looked at, after a lookback."""


def make_rows(feature: str, closes: pl.DataFrame, interval: str, start: datetime, end: datetime) -> Samples:
    """Rows of one feature with time in [start, end), of klines that tell nothing but closes."""
    day = start.replace(hour=0, minute=0)
    made = indicator_frame(closes, interval, day, end.replace(hour=0, minute=0) + DAY)
    earlier = closes.filter(pl.col("time") < day).select(
        pl.col(name) if name in closes.columns else pl.lit(None, kind).alias(name)
        for name, kind in INDICATOR_SCHEMA.items()
    )
    frame = pl.concat([earlier, made])
    return make_samples(frame, features=(feature,), interval=interval, start=start, end=end, derived=FEATURES)


class FeatureContract:
    """One test each; `feature` comes as a fixture from the suite that inherits."""

    @pytest.fixture(params=["1h", "1m"])
    def interval(self, request: pytest.FixtureRequest) -> str:
        """Every interval that is stored."""
        return str(request.param)

    @pytest.fixture
    def start(self, feature: str) -> datetime:
        """The first day whose rows have their whole lookback."""
        return START + -(-lookback((feature,), FEATURES) // DAY) * DAY + DAY

    @pytest.fixture
    def closes(self, interval: str, start: datetime) -> pl.DataFrame:
        """Closes of one currency without a gap."""
        return make_closes(int((start + ROWS_DAYS * DAY - START) / interval_delta(interval)), interval=interval, seed=4)

    def test_it_is_known_by_its_name(self, feature: str) -> None:
        assert require_features((feature,), FEATURES) == (feature,)
        assert timedelta(0) <= lookback((feature,), FEATURES)

    def test_every_row_with_its_whole_lookback_has_a_finite_value(
        self, feature: str, closes: pl.DataFrame, interval: str, start: datetime
    ) -> None:
        rows = make_rows(feature, closes, interval, start, start + ROWS_DAYS * DAY)
        assert (len(rows), rows.dropped) == (ROWS_DAYS * DAY // interval_delta(interval), 0)
        assert rows.X.dtype == np.float64 and np.isfinite(rows.X).all()
        assert np.ptp(rows.X) > 0, "it says the same of every row"

    def test_the_future_changes_nothing(
        self, feature: str, closes: pl.DataFrame, interval: str, start: datetime
    ) -> None:
        """Rows up to an instant, in the middle of a block that is computed at once."""
        now = start + 29 * HOUR + (13 * timedelta(minutes=1) if interval == "1m" else timedelta(0))
        end = start + ROWS_DAYS * DAY
        then = pl.col("time") > now
        tripled = closes.with_columns(pl.when(then).then(pl.col("close") * 3).otherwise("close").alias("close"))
        truth, other, cut = (
            make_rows(feature, one, interval, start, end) for one in (closes, tripled, closes.filter(~then))
        )
        known = truth.time <= np.datetime64(now.replace(tzinfo=None), "us")
        assert known.sum() == len(cut), "a row is only whole with closes that were not known yet"
        np.testing.assert_array_equal(other.X[known], truth.X[known], "it read closes that were not known yet")
        np.testing.assert_array_equal(cut.X, truth.X[known], "it read closes that were not known yet")

    def test_nothing_before_its_lookback_changes_it(
        self, feature: str, closes: pl.DataFrame, interval: str, start: datetime
    ) -> None:
        now = start + 31 * HOUR
        whole, alone = (
            make_rows(feature, one, interval, now, now + interval_delta(interval))
            for one in (closes, closes.filter(pl.col("time") > now - lookback((feature,), FEATURES)))
        )
        assert len(whole) == 1
        np.testing.assert_array_equal(alone.X, whole.X, "it reads further back than its lookback says")

    def test_a_hole_makes_no_number_of_nothing(
        self, feature: str, closes: pl.DataFrame, interval: str, start: datetime
    ) -> None:
        """Where a close is lacking a value is what it was, or the row is left out."""
        hole = start + 3 * HOUR
        holed = closes.filter((pl.col("time") < hole) | (pl.col("time") >= hole + 2 * HOUR))
        end = start + ROWS_DAYS * DAY
        truth, found = (make_rows(feature, one, interval, start, end) for one in (closes, holed))
        assert np.isfinite(found.X).all()
        before = truth.time < np.datetime64(hole.replace(tzinfo=None), "us")
        np.testing.assert_array_equal(found.X[: before.sum()], truth.X[before])
