from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.errors import UnknownCurrency, UsageError
from cryptobot_assets.exchange.market import Market, Series, fold, partial, to_symbol
from cryptobot_assets_tests.exchange.markets import HOUR_MS, MINUTE_MS, START_MS, make_market, make_series


def row(klines: Series, place: int = 0) -> list[float]:
    return [float(klines.columns[name][place]) for name in ("open", "high", "low", "close", "volume")]


@pytest.mark.parametrize(
    ("name", "symbol"), [("btc", "BTCUSDT"), ("ETHUSDT", "ETHUSDT"), ("USDT", "USDTUSDT"), (" 1inch ", "1INCHUSDT")]
)
def test_a_currency_may_be_written_without_its_quote(name: str, symbol: str) -> None:
    assert to_symbol(name) == symbol


def test_an_hour_is_first_open_extremes_last_close_and_sums() -> None:
    hours = fold(make_series(90), HOUR_MS)
    assert hours.time_ms.tolist() == [START_MS, START_MS + HOUR_MS]
    assert row(hours) == pytest.approx([100, 102.59, 99, 101.59, 60 + sum(range(60)) / 1000])
    assert row(hours, 1)[0] == pytest.approx(100.6)


def test_a_kline_without_trades_leaves_an_hour_as_it_is() -> None:
    klines = make_series(
        4,
        open=[500, 100, 101, 103],
        high=[500, 102, 104, 103],
        low=[500, 99, 100, 103],
        close=[500, 101, 103, 103],
        volume=[0, 1, 2, 0],
    )
    assert row(fold(klines, HOUR_MS)) == [100, 104, 99, 103, 3]


def test_an_hour_of_klines_without_trades_carries_their_price() -> None:
    flat = [7.0, 7.0]
    klines = make_series(2, open=flat, high=flat, low=flat, close=flat, volume=[0, 0])
    assert row(fold(klines, HOUR_MS)) == [7, 7, 7, 7, 0]


def test_a_kline_in_the_making_stays_within_what_it_becomes() -> None:
    whole = make_series(1, open=[100], high=[110], low=[90], close=[104], volume=[8])
    assert row(partial(whole, 0.25)) == [100, 101, 100, 101, 2]
    assert row(partial(whole, 0.0)) == [100, 100, 100, 100, 0]


def test_the_unfinished_hour_holds_only_what_has_happened() -> None:
    market = make_market(count=600)
    now = START_MS + 2 * HOUR_MS + 90_000
    hour = market.unfinished("BTCUSDT", "1h", now)
    minutes = market.series("BTCUSDT").rows(120, 122)
    assert hour.time_ms.tolist() == [START_MS + 2 * HOUR_MS]
    assert hour.volume[0] == pytest.approx(minutes.volume[0] + minutes.volume[1] / 2)
    assert hour.close[0] == pytest.approx(minutes.open[1] + 0.5)
    assert hour.high[0] == minutes.high[0]


def test_ranges_are_half_open() -> None:
    klines = make_series(10)
    picked = klines.between(START_MS + 2 * MINUTE_MS, START_MS + 5 * MINUTE_MS)
    assert np.array_equal(picked.time_ms, klines.time_ms[2:5])


def test_a_market_says_what_it_lacks() -> None:
    market = make_market(count=60, interval="1h")
    with pytest.raises(UnknownCurrency, match="did you mean BTCUSDT"):
        market.series("BTCUSD")
    with pytest.raises(UsageError, match="1h"):
        market.series("BTCUSDT", "1m")
    with pytest.raises(UsageError, match="at least one kline"):
        Market(label="replay", interval="1m", series={"BTCUSDT": make_series(0)})
