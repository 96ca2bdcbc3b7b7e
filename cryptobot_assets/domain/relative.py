"""Relative features: where a currency stands among all currencies of the same hour.

What predicts next-day returns of currencies is mostly cross-sectional: which of them have run,
how much they swing, how much of them is traded, each against the others. A relative feature is the
rank of such a figure among the currencies of the hour, from -0.5 (lowest) to 0.5 (highest): it
knows no level, no trend of the whole market and no outlier.

Rows are whole hours, at which sleeves decide, whatever interval is stored. Every figure reads the
hourly closes and the value traded up to the close of its row alone, at most 28 days back, and only
the window itself, so that no value depends on where a load began.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.labels import label_array
from cryptobot_assets.domain.samples import Samples

FEWEST_CURRENCIES = 5
"""A rank among fewer says little."""

LONGEST_HOURS = 672
KNOWN_SHARE = 0.8
"""Share of a window's hours that must be known, else the figure is not."""

Figure = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Relative:
    """One figure, before it is ranked: of closes and traded value (n, hours) gives (n, hours)."""

    name: str
    figure: Figure


def _past_return(hours: int) -> Figure:
    def figure(closes: np.ndarray, traded: np.ndarray) -> np.ndarray:
        gain: np.ndarray = closes / _earlier(closes, hours) - 1
        return gain

    return figure


def _volatility(hours: int) -> Figure:
    def figure(closes: np.ndarray, traded: np.ndarray) -> np.ndarray:
        returns = _log_returns(closes)
        mean = _window_mean(returns, hours)
        spread: np.ndarray = np.sqrt(np.maximum(_window_mean(returns**2, hours) - mean**2, 0.0))
        return spread

    return figure


def _traded_mean(hours: int) -> Figure:
    def figure(closes: np.ndarray, traded: np.ndarray) -> np.ndarray:
        return _window_mean(traded, hours)

    return figure


def _largest_return(hours: int) -> Figure:
    def figure(closes: np.ndarray, traded: np.ndarray) -> np.ndarray:
        return _window_max(_log_returns(closes), hours)

    return figure


def _below_high(hours: int) -> Figure:
    def figure(closes: np.ndarray, traded: np.ndarray) -> np.ndarray:
        below: np.ndarray = closes / _window_max(closes, hours) - 1
        return below

    return figure


RELATIVES: tuple[Relative, ...] = (
    *(Relative(f"rank_return_{hours}h", _past_return(hours)) for hours in (1, 6, 24, 48, 168, 672)),
    *(Relative(f"rank_volatility_{hours}h", _volatility(hours)) for hours in (24, 168, 672)),
    *(Relative(f"rank_traded_{hours}h", _traded_mean(hours)) for hours in (24, 168, 672)),
    Relative("rank_largest_return_168h", _largest_return(168)),
    Relative("rank_below_high_672h", _below_high(672)),
)
RELATIVE_FEATURES: tuple[str, ...] = tuple(one.name for one in RELATIVES)


def is_relative(features: tuple[str, ...]) -> bool:
    """Whether these are the relative features, which are computed for all currencies together."""
    return features == RELATIVE_FEATURES


@dataclass(frozen=True)
class HourlyMarket:
    """Closes and traded value of several currencies at consecutive whole hours.

    Attributes:
        currencies: n names.
        start: open time of the row of the first hour.
        closes, traded: (n, hours); NaN where not known.
    """

    currencies: tuple[str, ...]
    start: datetime
    closes: np.ndarray
    traded: np.ndarray


def relative_samples(market: HourlyMarket, *, start: datetime, end: datetime) -> Samples:
    """Ranked rows with time in [start, end), with their labels, sorted by time and then currency.

    Args:
        market: hours from at least 28 days before `start`; what follows a row in it feeds its label
            alone. A row lacking a figure is left out and counted, and no other is ranked against it.
    """
    first = max(-(-(start - market.start) // HOUR), 0)
    last = min(-(-(end - market.start) // HOUR), market.closes.shape[1])
    figures = np.stack([one.figure(market.closes, market.traded)[:, first:last] for one in RELATIVES])
    whole = np.isfinite(figures).all(axis=0)
    whole &= whole.sum(axis=0) >= FEWEST_CURRENCIES
    ranked = np.stack([ranks(np.where(whole, figure, np.nan)) for figure in figures])
    labels = np.stack([label_array(closes[:, None])[:, 0] for closes in market.closes])[:, first:last]
    hours, places = np.nonzero(whole.T)
    origin = np.datetime64(market.start.replace(tzinfo=None), "us")
    present = np.isfinite(market.closes[:, first:last])
    return Samples(
        features=RELATIVE_FEATURES,
        currency=np.array(market.currencies, dtype=object)[places],
        time=origin + (first + hours) * np.timedelta64(1, "h").astype("timedelta64[us]"),
        X=ranked[:, places, hours].T,
        y=labels[places, hours],
        dropped=int(present.sum() - whole.sum()),
    )


def less_the_market(samples: Samples) -> np.ndarray:
    """Labels less the mean label of the same hour: what each row gained on the others, (n,)."""
    frame = pl.DataFrame({"time": samples.time, "y": samples.y})
    return frame.select(pl.col("y") - pl.col("y").mean().over("time")).to_series().to_numpy()


def ranks(figures: np.ndarray) -> np.ndarray:
    """Rank of each (n, hours) figure among its hour's finite ones, in (-0.5, 0.5), ties shared; NaN elsewhere.

    >>> ranks(np.array([[3.0], [1.0], [np.nan], [2.0]])).ravel().round(3).tolist()
    [0.333, -0.333, nan, 0.0]
    """
    frame = pl.DataFrame(figures.T, schema=[str(n) for n in range(len(figures))]).with_row_index("hour")
    long = frame.unpivot(index="hour").with_columns(pl.col("value").fill_nan(None))
    place = (pl.col("value").rank("average") - 0.5) / pl.col("value").count() - 0.5
    return long.select(place.over("hour")).to_series().to_numpy().reshape(figures.shape)


def _earlier(values: np.ndarray, hours: int) -> np.ndarray:
    moved = np.full_like(values, np.nan)
    moved[:, hours:] = values[:, :-hours]
    return moved


def _log_returns(closes: np.ndarray) -> np.ndarray:
    steps: np.ndarray = np.log(closes / _earlier(closes, 1))
    return steps


def _window_mean(values: np.ndarray, hours: int) -> np.ndarray:
    """Mean of the known among the last `hours` values, NaN where too few are."""
    known = np.isfinite(values)
    counts = _window_sum(known.astype(float), hours)
    sums = _window_sum(np.where(known, values, 0.0), hours)
    return np.where(counts >= KNOWN_SHARE * hours, sums / np.maximum(counts, 1), np.nan)


def _window_sum(values: np.ndarray, hours: int) -> np.ndarray:
    """Sums over the last `hours` values; NaN before so many are there."""
    made = np.full(values.shape, np.nan)
    if values.shape[1] >= hours:
        made[:, hours - 1 :] = np.lib.stride_tricks.sliding_window_view(values, hours, axis=1).sum(axis=-1)
    return made


def _window_max(values: np.ndarray, hours: int) -> np.ndarray:
    """Largest of the known among the last `hours` values, NaN where too few are."""
    known = np.isfinite(values)
    made = np.full(values.shape, np.nan)
    if values.shape[1] >= hours:
        windows = np.lib.stride_tricks.sliding_window_view(np.where(known, values, -np.inf), hours, axis=1)
        made[:, hours - 1 :] = windows.max(axis=-1)
    counts = _window_sum(known.astype(float), hours)
    return np.where(counts >= KNOWN_SHARE * hours, made, np.nan)
