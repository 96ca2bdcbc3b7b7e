"""A market: the finished klines of every currency, in memory, ready to be read by range.

Times are open times in whole milliseconds since 1970 (UTC), the unit of the exchange's wire.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from cryptobot_assets.domain.intervals import DAY, INTERVALS, interval_delta
from cryptobot_assets.errors import UnknownCurrency, UsageError

QUOTE = "USDT"
ANSWERED = {**INTERVALS, "1d": DAY}
"""Intervals of klines that can be asked for."""
SYMBOL = re.compile(r"^[A-Z0-9]{2,26}USDT$")


def to_symbol(name: str) -> str:
    """The exchange's symbol of a currency written with or without its quote.

    >>> to_symbol("btc"), to_symbol("ETHUSDT")
    ('BTCUSDT', 'ETHUSDT')
    """
    upper = name.strip().upper()
    return upper if upper.endswith(QUOTE) and upper != QUOTE else upper + QUOTE


def interval_ms(interval: str) -> int:
    """Length of one kline in milliseconds."""
    span = ANSWERED.get(interval) or interval_delta(interval)
    return int(span.total_seconds() * 1000)


def to_ms(time: datetime) -> int:
    """An aware instant as whole milliseconds since 1970."""
    return round(time.timestamp() * 1000)


def from_ms(time_ms: int) -> datetime:
    """The aware UTC instant of whole milliseconds since 1970."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)


@dataclass(frozen=True, eq=False)
class Series:
    """Klines of one currency in time order, as parallel arrays of one length.

    `time_ms` int64; prices, `volume` (base), `quote_volume`, `taker_volume` (base bought by
    takers) and `taker_quote_volume` float64; `trades` int64. The last four are None where the
    source did not record them: the wire then shows no trades and no taker share, and a
    `quote_volume` of volume * (open + high + low + close) / 4.
    """

    time_ms: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    quote_volume: np.ndarray | None = None
    trades: np.ndarray | None = None
    taker_volume: np.ndarray | None = None
    taker_quote_volume: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.time_ms)

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """The recorded columns by name."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: column for name, column in pairs if column is not None}

    def rows(self, first: int, last: int) -> Series:
        """Rows `[first, last)` as views."""
        return Series(**{name: column[first:last] for name, column in self.columns.items()})

    def position(self, time_ms: int) -> int:
        """How many rows open before `time_ms`."""
        return int(np.searchsorted(self.time_ms, time_ms))

    def between(self, start_ms: int, end_ms: int) -> Series:
        """Rows whose open time is in `[start_ms, end_ms)`, in O(log n)."""
        return self.rows(self.position(start_ms), self.position(end_ms))


class Market:
    """Klines of several currencies on one interval's grid; immutable once made.

    Args:
        label: `simulated` or `replay`: where the figures come from.
        interval: `1m` or `1h`, the finest interval there is.
        series: klines by symbol; none may be empty.
        detail: what else tells this market from others, such as `seed=7`.
        forgotten: currencies that the exchange no longer lists or answers for; their archives stay.
    """

    def __init__(
        self,
        *,
        label: str,
        interval: str,
        series: Mapping[str, Series],
        detail: str = "",
        forgotten: Collection[str] = (),
    ) -> None:
        if not series or not all(len(klines) for klines in series.values()):
            raise UsageError("a market needs at least one kline of every currency")
        self.label = label
        self.interval = interval
        self.detail = detail
        self.forgotten = frozenset(forgotten)
        self._series = dict(series)
        self._folded: dict[str, Series] = {}

    @property
    def title(self) -> str:
        """What clients are told this market is: `simulated seed=7`, `replay`."""
        return f"{self.label} {self.detail}".strip()

    @property
    def currencies(self) -> tuple[str, ...]:
        return tuple(self._series)

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """Currencies that the exchange answers for."""
        return tuple(name for name in self._series if name not in self.forgotten)

    @property
    def intervals(self) -> tuple[str, ...]:
        """The intervals this market can answer: its own and every coarser one."""
        return tuple(name for name, span in ANSWERED.items() if span >= ANSWERED[self.interval])

    @property
    def rows(self) -> int:
        return sum(map(len, self._series.values()))

    @cached_property
    def first_ms(self) -> int:
        """Open time of the earliest kline."""
        return min(int(klines.time_ms[0]) for klines in self._series.values())

    @cached_property
    def end_ms(self) -> int:
        """First instant after the latest kline."""
        return max(int(klines.time_ms[-1]) for klines in self._series.values()) + interval_ms(self.interval)

    def series(self, currency: str, interval: str | None = None) -> Series:
        """All klines of a currency, folded to `interval` when that is coarser than the market's.

        Raises:
            UnknownCurrency: the market does not trade it.
            UsageError: the interval is finer than the market's.
        """
        if currency not in self._series:
            raise UnknownCurrency(currency, self._series)
        interval = interval or self.interval
        if interval not in self.intervals:
            raise UsageError(f"this market answers the intervals {', '.join(self.intervals)}, not {interval!r}")
        if interval == self.interval:
            return self._series[currency]
        if currency not in self._folded:
            self._folded[currency] = fold(self._series[currency], interval_ms(interval))
        return self._folded[currency]

    def unfinished(self, currency: str, interval: str, now_ms: int) -> Series:
        """The kline that contains `now_ms`, as far as it has come by then; no row if there is none."""
        step, grain = interval_ms(interval), interval_ms(self.interval)
        finished_ms = now_ms - now_ms % grain
        base = self.series(currency)
        newest = partial(base.between(finished_ms, finished_ms + 1), (now_ms - finished_ms) / grain)
        if step == grain:
            return newest
        return fold(concat(base.between(now_ms - now_ms % step, finished_ms), newest), step)


def concat(first: Series, second: Series) -> Series:
    """The rows of two series of the same columns, one after the other."""
    return Series(**{name: np.concatenate([part, second.columns[name]]) for name, part in first.columns.items()})


def partial(klines: Series, share: float) -> Series:
    """Klines as they stood when `share` (0 to 1) of their interval had passed.

    The price is taken to move straight from open to close, and trading to be even.
    """
    close = np.round(klines.open + share * (klines.close - klines.open), 8)
    amounts = {
        name: column * share if column.dtype == float else (column * share).astype(column.dtype)
        for name, column in klines.columns.items()
        if name not in ("time_ms", "open", "high", "low", "close")
    }
    return Series(
        time_ms=klines.time_ms,
        open=klines.open,
        high=np.maximum(klines.open, close),
        low=np.minimum(klines.open, close),
        close=close,
        **amounts,
    )


def fold(klines: Series, step_ms: int) -> Series:
    """Klines of `step_ms` from finer ones.

    A kline without trades carries the previous close in its prices, so it takes no part in a
    coarser kline that had trades; one made only of such klines carries their prices on. Sums are
    rounded to the 8 decimals they have on the exchange.
    """
    if not len(klines):
        return klines
    slot = klines.time_ms // step_ms
    starts = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    traded = klines.volume > 0
    counts = np.diff(starts, append=len(klines))
    used = traded | np.repeat(~np.logical_or.reduceat(traded, starts), counts)
    place = np.arange(len(klines))
    first = np.minimum.reduceat(np.where(used, place, len(klines)), starts)
    last = np.maximum.reduceat(np.where(used, place, -1), starts)
    prices = ("time_ms", "open", "high", "low", "close")
    sums = {
        name: np.round(np.add.reduceat(column, starts), 8)
        for name, column in klines.columns.items()
        if name not in prices
    }
    return Series(
        time_ms=slot[starts] * step_ms,
        open=klines.open[first],
        high=np.maximum.reduceat(np.where(used, klines.high, -np.inf), starts),
        low=np.minimum.reduceat(np.where(used, klines.low, np.inf), starts),
        close=klines.close[last],
        **sums,
    )
