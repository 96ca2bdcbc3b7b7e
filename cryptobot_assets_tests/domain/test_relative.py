"""Relative features: by hand, and that a row knows neither the future nor where the load began."""

from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.domain.relative import (
    FEWEST_CURRENCIES,
    LONGEST_HOURS,
    RELATIVE_FEATURES,
    HourlyMarket,
    less_the_market,
    ranks,
    relative_samples,
)
from cryptobot_assets.domain.samples import Samples

HOURS = LONGEST_HOURS + 72
FROM = LONGEST_HOURS + 10


def make_market(currencies: int = 6, hours: int = HOURS, seed: int = 0) -> HourlyMarket:
    draw = np.random.default_rng(seed)
    closes = np.exp(np.cumsum(draw.normal(0, 0.01, (currencies, hours)), axis=1))
    traded = np.exp(draw.normal(10, 1, (currencies, hours)))
    return HourlyMarket(tuple(f"C{n}USDT" for n in range(currencies)), START, closes, traded)


def rows(market: HourlyMarket, first: int = FROM, last: int = FROM + 30) -> Samples:
    return relative_samples(market, start=hours_after(first), end=hours_after(last))


def feature(samples: Samples, name: str) -> np.ndarray:
    return samples.X[:, RELATIVE_FEATURES.index(name)]


def test_ranks_share_ties_and_leave_out_what_is_not_known():
    figures = np.array([[1.0, 2.0], [1.0, np.nan], [5.0, 1.0]])
    assert ranks(figures)[:, 0] == pytest.approx([-1 / 6, -1 / 6, 1 / 3])
    assert ranks(figures)[:, 1] == pytest.approx([0.25, np.nan, -0.25], nan_ok=True)


def test_rows_are_every_currency_of_every_hour_with_labels_of_24_hours():
    market = make_market()
    made = rows(market)
    assert len(made) == 30 * 6 and made.dropped == 0
    assert np.isfinite(made.X).all() and np.abs(made.X).max() < 0.5
    assert made.currency[:6].tolist() == list(market.currencies)
    assert made.time[0] == np.datetime64(hours_after(FROM).replace(tzinfo=None), "us")
    expected = market.closes[:, FROM + 24] / market.closes[:, FROM] - 1
    assert made.y[:6] == pytest.approx(expected)
    assert np.isnan(rows(market, HOURS - 24, HOURS).y).all()


def test_figures_are_what_they_are_called():
    market = make_market()
    made = rows(market, FROM, FROM + 1)
    closes, traded = market.closes[:, : FROM + 1], market.traded[:, : FROM + 1]
    returns = np.diff(np.log(closes), axis=1)
    figures = {
        "rank_return_24h": closes[:, -1] / closes[:, -25],
        "rank_return_672h": closes[:, -1] / closes[:, -673],
        "rank_volatility_168h": returns[:, -168:].std(axis=1),
        "rank_traded_24h": traded[:, -24:].mean(axis=1),
        "rank_largest_return_168h": returns[:, -168:].max(axis=1),
        "rank_below_high_672h": closes[:, -1] / closes[:, -672:].max(axis=1),
    }
    for name, values in figures.items():
        assert feature(made, name) == pytest.approx(ranks(values[:, None])[:, 0]), name


def test_no_row_knows_the_future():
    market = make_market()
    changed = make_market()
    changed.closes[:, FROM + 10 :] *= np.random.default_rng(9).uniform(0.2, 5, (6, HOURS - FROM - 10))
    changed.traded[:, FROM + 10 :] = 1.0
    before, after = rows(market), rows(changed)
    assert np.array_equal(before.X[: 10 * 6], after.X[: 10 * 6])
    assert not np.array_equal(before.X, after.X)


def test_no_row_knows_where_the_load_began():
    market = make_market()
    later = HourlyMarket(market.currencies, hours_after(5), market.closes[:, 5:], market.traded[:, 5:])
    assert np.array_equal(rows(market).X, rows(later).X)


def test_the_past_matters_for_28_days():
    market, changed = make_market(), make_market()
    changed.closes[0, FROM - LONGEST_HOURS] *= 3
    assert not np.array_equal(rows(market, FROM, FROM + 1).X, rows(changed, FROM, FROM + 1).X)
    assert np.array_equal(rows(market, FROM + 1, FROM + 2).X, rows(changed, FROM + 1, FROM + 2).X)


def test_a_currency_without_history_is_left_out_and_ranks_nobody():
    market = make_market(7)
    market.closes[6, : FROM - 100] = np.nan
    market.traded[6, : FROM - 100] = np.nan
    made = rows(market)
    alone = make_market(7)
    alone = HourlyMarket(alone.currencies[:6], START, alone.closes[:6], alone.traded[:6])
    assert "C6USDT" not in made.currency
    assert made.dropped == 30
    assert np.array_equal(made.X, rows(alone).X)


def test_too_few_currencies_are_not_ranked():
    assert len(rows(make_market(FEWEST_CURRENCIES))) == 30 * FEWEST_CURRENCIES
    assert len(rows(make_market(FEWEST_CURRENCIES - 1))) == 0


def test_labels_less_the_market_are_zero_in_the_mean_of_each_hour():
    made = rows(make_market())
    gained = less_the_market(made).reshape(30, 6)
    assert gained.mean(axis=1) == pytest.approx(np.zeros(30))
    assert gained[0] == pytest.approx(made.y[:6] - made.y[:6].mean())
