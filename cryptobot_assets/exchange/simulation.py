"""A seeded market that behaves like the real one where it matters, with a known truth in it.

Log price p of currency i over one hour, in steps of the interval:

    p(t + 1h) - p(t) = drift_i(t) + beta_i * m(t) + e_i(t) + jumps
    drift_i(t) = predictability * REVERSION * ln(close_i(t - 25h) / close_i(t))

The logarithm is `close_lag_25h` of the platform (close 25 h earlier / close - 1) to first order,
so the truth is linear in a feature that a model is given: what rose over the last 25 hours tends
to fall back. Over the next 24 hours the lag fades as its window moves on, so that the expected
24 h return is about 10 * REVERSION = 0.13 times `close_lag_25h`.

m and e_i are Gaussian with variance that wanders (AR(1) log volatility, half-life about a day,
one common and one own process) and has the season of the day; jumps come to the market every few
weeks and to a currency about once a week. None of these can be predicted in sign. With
`predictability` 1 the mean cross-sectional IC of `close_lag_25h` with the next 24 h return is
about 0.12, with 2 about 0.20; 0 gives a market without any truth; below 0 what rose goes on
rising, and the volatility grows with it. Over a short span luck has its part: 60 days of 8
currencies show 0.07 to 0.15. A regime changes the strength, and the size of m, e_i and jumps, from
a day on, and leaves what was before as it is, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

import numpy as np

from cryptobot_assets.domain.intervals import rows_per_hour
from cryptobot_assets.errors import UsageError
from cryptobot_assets.exchange.market import QUOTE, SYMBOL, Market, Series, interval_ms, to_ms, to_symbol
from cryptobot_assets.exchange.regime import LEAST, MOST, Regime, course

REVERSION = 0.013
LAG_HOURS = 25
START = datetime(2025, 1, 1, tzinfo=UTC)

KNOWN_PRICES = {
    "BTC": 60_000.0, "ETH": 3_000.0, "BNB": 580.0, "XRP": 0.62, "SOL": 150.0, "ADA": 0.45,
    "DOGE": 0.12, "LTC": 82.0, "LINK": 14.0, "TRX": 0.13, "DOT": 6.4, "AVAX": 31.0,
    "BCH": 430.0, "UNI": 9.1, "XLM": 0.11, "ATOM": 8.3, "ETC": 27.0, "XMR": 165.0,
    "AAVE": 96.0, "FIL": 5.2, "NEAR": 6.1, "ALGO": 0.17, "VET": 0.031, "ICP": 11.5,
    "EOS": 0.72, "XTZ": 0.93, "SAND": 0.38, "MANA": 0.4, "THETA": 1.9, "SHIB": 0.0000215,
}  # fmt: skip
"""Where the prices of well-known currencies begin; in this order they are simulated."""

MARKET_DAILY_VOLATILITY = 0.025
VOLATILITY_MEMORY = 0.97
MARKET_JUMPS_PER_HOUR, MARKET_JUMP_SIZE = 1 / 500, 0.015
TRADES_PER_HOUR, QUOTE_PER_TRADE = 30_000, 600
OWN_JUMPS_PER_HOUR, OWN_JUMP_SIZE = 1 / 170, 0.025


@dataclass(frozen=True)
class Grid:
    """The steps of a simulation: `hours` hours of `per_hour` klines each from `start_ms` on."""

    start_ms: int
    hours: int
    per_hour: int
    step_ms: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.hours, self.per_hour

    @property
    def root_step_days(self) -> float:
        """What turns the volatility of a day into that of a step."""
        return 1 / math.sqrt(24 * self.per_hour)

    def season(self, peak_hour: float, depth: float) -> np.ndarray:
        """A daily cosine around 1 by step, highest at `peak_hour` UTC."""
        hour = (self.start_ms / 3_600_000 + np.arange(self.hours * self.per_hour) / self.per_hour) % 24
        return (1 + depth * np.cos(2 * np.pi * (hour - peak_hour) / 24)).reshape(self.shape)


def simulate(
    seed: int,
    currencies: int | Sequence[str] = 8,
    *,
    days: int,
    interval: str = "1m",
    start: datetime = START,
    predictability: float = 1.0,
    regime: Regime | None = None,
) -> Market:
    """A simulated market: the same arguments give the same klines, bit for bit.

    A currency's own draws depend on `seed` and its place alone, so more currencies leave the
    earlier ones as they were. From six currencies on, one in six (the last ones) lists late, by
    2 to 4 % of the span. Once, within the first day and a half, the exchange is out for 1 to 3
    hours (1 hour in spans of up to 3 days) and no currency has rows. Thinly traded klines may
    have no trade: volume 0, prices carried on.

    Args:
        seed: 0 or more.
        currencies: how many, or their names (with or without `USDT`).
        days: whole days from `start` on.
        interval: `1m` or `1h`; the two are different markets even under one seed.
        start: first instant, on a whole hour.
        predictability: strength of the truth described above.
        regime: from when on the market is another.

    Raises:
        UsageError: an argument out of its range.
    """
    symbols = _symbols(currencies)
    _require_sane(seed=seed, days=days, start=start, predictability=predictability)
    per_hour = rows_per_hour(interval)
    grid = Grid(to_ms(start), days * 24, per_hour, interval_ms(interval))
    strength, level = course(grid.hours, grid.start_ms, predictability, regime)
    pulls = (REVERSION * strength).tolist()
    common = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    outage = _outage(common, grid, days)
    volatility = _volatility(common, grid, sigma=0.35)
    factor = MARKET_DAILY_VOLATILITY * grid.root_step_days * volatility * common.standard_normal(grid.shape)
    factor += _jumps(common, grid, MARKET_JUMPS_PER_HOUR, MARKET_JUMP_SIZE)
    listed = _listing_steps(common, grid, len(symbols))
    series = {}
    for place, symbol in enumerate(symbols):
        random = np.random.default_rng(np.random.SeedSequence([seed, 1 + place]))
        klines = _currency(random, grid, symbol, place, factor, volatility, level, pulls)
        kept = np.ones(len(klines), bool)
        kept[outage] = False
        kept[: listed[place]] = False
        series[symbol] = Series(**{name: column[kept] for name, column in klines.columns.items()})
    detail = f"seed={seed}" + (f" regime={regime}" if regime else "")
    return Market(label="simulated", interval=interval, series=series, detail=detail)


def _symbols(currencies: int | Sequence[str]) -> tuple[str, ...]:
    if isinstance(currencies, int):
        if not 1 <= currencies <= 999:
            raise UsageError(f"cannot simulate {currencies} currencies: ask for 1 to 999")
        known = [name + QUOTE for name in KNOWN_PRICES]
        return tuple(known + [f"SIM{n:03d}{QUOTE}" for n in range(len(known) + 1, currencies + 1)])[:currencies]
    symbols = tuple(dict.fromkeys(to_symbol(name) for name in currencies))
    wrong = [symbol for symbol in symbols if not SYMBOL.match(symbol)]
    if wrong or not symbols:
        raise UsageError(f"not currencies: {', '.join(wrong) or 'none named'}; write for example BTC,ETH")
    return symbols


def _require_sane(*, seed: int, days: int, start: datetime, predictability: float) -> None:
    if seed < 0:
        raise UsageError(f"seed {seed} is negative: use 0 or more")
    if not 1 <= days <= 3660:
        raise UsageError(f"cannot simulate {days} days: ask for 1 to 3660")
    if start.tzinfo is None or to_ms(start) % 3_600_000:
        raise UsageError("a simulation starts at a whole hour, with a time zone")
    if not LEAST <= predictability <= MOST:
        raise UsageError(f"predictability {predictability} is not between {LEAST:g} and {MOST:g}")


def _outage(random: np.random.Generator, grid: Grid, days: int) -> slice:
    """Steps without rows for anyone."""
    hour = int(random.integers(6, 12 if days == 1 else 34))
    length = grid.per_hour if days <= 3 else int(random.integers(grid.per_hour, 3 * grid.per_hour + 1))
    begin = hour * grid.per_hour + int(random.integers(0, grid.per_hour))
    return slice(begin, begin + length)


def _listing_steps(random: np.random.Generator, grid: Grid, currencies: int) -> np.ndarray:
    """First step of each currency: 0 but for the last sixth of them."""
    shares = random.uniform(0.02, 0.04, currencies)
    late = np.arange(currencies) >= currencies - currencies // 6
    return np.where(late, np.ceil(shares * grid.hours).astype(int), 0) * grid.per_hour


def _volatility(random: np.random.Generator, grid: Grid, *, sigma: float) -> np.ndarray:
    """Volatility by step around 1: exp of an hourly AR(1) of deviation `sigma`, times the day's season."""
    shocks = random.standard_normal(grid.hours) * sigma * math.sqrt(1 - VOLATILITY_MEMORY**2)
    shocks[0] = sigma * random.standard_normal()
    wander = accumulate(shocks.tolist(), lambda level, shock: VOLATILITY_MEMORY * level + shock)
    level = np.exp(np.fromiter(wander, float, grid.hours) - sigma**2)
    rate: np.ndarray = level[:, None] * grid.season(15, 0.3)
    return rate


def _jumps(random: np.random.Generator, grid: Grid, per_hour: float, size: float) -> np.ndarray:
    """Jumps by step, zero nearly everywhere."""
    jumps = np.zeros(grid.shape)
    hours = np.flatnonzero(random.random(grid.hours) < per_hour)
    jumps[hours, random.integers(0, grid.per_hour, len(hours))] = size * random.standard_normal(len(hours))
    return jumps


def _currency(
    random: np.random.Generator, grid: Grid, symbol: str, place: int, factor: np.ndarray,
    market_volatility: np.ndarray, level: np.ndarray, pulls: Sequence[float],
) -> Series:  # fmt: skip
    """Every step of one currency, as if it had always traded."""
    name = symbol.removesuffix(QUOTE)
    first_price = KNOWN_PRICES.get(name, float(10 ** random.uniform(-2, 2)))
    beta, own_daily = (0.85, 0.010) if name == "BTC" else (random.uniform(0.8, 1.4), random.uniform(0.022, 0.04))
    step_own, step_market = own_daily * grid.root_step_days, MARKET_DAILY_VOLATILITY * grid.root_step_days
    own = _volatility(random, grid, sigma=0.4)
    noise = beta * factor + step_own * own * random.standard_normal(grid.shape)
    noise += _jumps(random, grid, OWN_JUMPS_PER_HOUR, OWN_JUMP_SIZE)
    noise *= level[:, None]
    path = _path(noise, pulls)
    scale = (level[:, None] * np.hypot(beta * step_market * market_volatility, step_own * own)).ravel()
    decimals = min(max(4 - math.floor(math.log10(first_price)), 2), 8)
    trades = _trades(random, grid, place, market_volatility * own, np.abs(noise).ravel() / scale)
    return _klines(random, grid, first_price, path, scale, trades, decimals)


def _path(noise: np.ndarray, pulls: Sequence[float]) -> np.ndarray:
    """Log price after each step, from 0: noise plus each hour's drift towards 25 hours earlier.

    Hour by hour this is the linear recursion p(t) = p(t-1) + pull * (p(t-26) - p(t-1)) + noise(t),
    with p = 0 up to the first hour.
    """
    prices = [0.0] * (LAG_HOURS + 1)
    for pull, shock in zip(pulls, noise.sum(axis=1).tolist(), strict=True):
        prices.append(prices[-1] + pull * (prices[-1 - LAG_HOURS] - prices[-1]) + shock)
    ends = np.array(prices[LAG_HOURS:])
    begin = ends[:-1]
    drift = np.diff(ends) - noise.sum(axis=1)
    steps = noise + drift[:, None] / noise.shape[1]
    path: np.ndarray = (begin[:, None] + np.cumsum(steps, axis=1)).ravel()
    return path


def _trades(
    random: np.random.Generator, grid: Grid, place: int, volatility: np.ndarray, surprise: np.ndarray
) -> np.ndarray:
    """Number of trades by step: more for the first currencies, in the afternoon, and when prices move."""
    rate = TRADES_PER_HOUR / (1 + place) ** 1.1 / grid.per_hour
    activity = volatility.ravel() ** 1.2 * grid.season(15, 0.35).ravel() * (0.5 + 0.6 * surprise)
    trades: np.ndarray = random.poisson(rate * activity * random.gamma(4.0, 0.25, len(activity)))
    return trades


def _klines(
    random: np.random.Generator, grid: Grid, first_price: float, path: np.ndarray, scale: np.ndarray,
    trades: np.ndarray, decimals: int,
) -> Series:  # fmt: skip
    """Klines around a log path: the extremes are those of a Brownian bridge from open to close."""
    steps = len(path)
    traded = trades > 0
    last_traded = np.maximum.accumulate(np.where(traded, np.arange(1, steps + 1), 0))
    log_close = np.concatenate([[0.0], path])[last_traded]
    log_open = np.concatenate([[0.0], log_close[:-1]])
    reach = -2 * scale**2 * np.log(random.random((2, steps)))
    middle, move = (log_open + log_close) / 2, log_close - log_open
    extent = np.where(traded, np.sqrt(move**2 + reach) / 2, 0.0)
    log_prices = (log_open, middle + extent[0], middle - extent[1], log_close)
    smallest = 10.0**-decimals
    open_, high, low, close = (
        np.maximum(np.round(first_price * np.exp(log_price), decimals), smallest) for log_price in log_prices
    )
    turnover = trades * QUOTE_PER_TRADE * random.gamma(8.0, 1 / 8, steps)
    volume = np.where(traded, np.maximum(np.round(turnover / close, 5), 0.00001), 0.0)
    taker = np.clip(0.5 + 0.1 * move / scale + 0.1 * random.standard_normal(steps), 0.05, 0.95)
    quote_volume = np.round(volume * (open_ + close) / 2, 8)
    return Series(
        time_ms=grid.start_ms + grid.step_ms * np.arange(steps),
        open=open_,
        high=np.maximum(high, np.maximum(open_, close)),
        low=np.minimum(low, np.minimum(open_, close)),
        close=close,
        volume=volume,
        quote_volume=quote_volume,
        trades=trades.astype(np.int64),
        taker_volume=np.round(volume * taker, 5),
        taker_quote_volume=np.round(quote_volume * taker, 8),
    )
