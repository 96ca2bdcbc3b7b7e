"""The kline contract: columns, units, keys and what a stored row promises.

A kline is keyed by (currency, time); `time` is its first instant (UTC, inclusive) and it may be
used from `known_at = time + interval` on. Prices are quote per base, `volume` is base traded.
An interval without trades that the exchange reported is a row with volume 0; one that it never
reported is a gap and has no row.
"""

from __future__ import annotations

import polars as pl

from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.errors import BadKlines

UTC_TIME = pl.Datetime("us", "UTC")

KLINE_SCHEMA: dict[str, pl.DataType] = {
    "currency": pl.String(),
    "time": UTC_TIME,
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
    "quote_volume": pl.Float64(),
    "trades": pl.Int64(),
    "source": pl.String(),
}

KLINE_KEY = ("currency", "time")

KLINE_CONSTRAINTS: dict[str, str] = {
    "high_is_highest": "high >= open AND high >= close",
    "low_is_lowest": "low <= open AND low <= close",
    "low_is_positive": "low > 0",
    "volume_is_not_negative": "volume >= 0",
}
"""SQL row constraints that every store enforces on `klines`, beside finite numbers in every column."""


def require_klines(klines: pl.DataFrame, interval: str) -> pl.DataFrame:
    """Return `klines`, sorted by key, when every row keeps the contract.

    Args:
        klines: any number of rows with the columns of `KLINE_SCHEMA`.
        interval: the grid their times must lie on.

    Raises:
        BadKlines: naming the first broken rule, how many rows break it and an example.
    """
    missing = [name for name in KLINE_SCHEMA if name not in klines.columns]
    if missing:
        raise BadKlines(f"klines lack the columns {', '.join(missing)}")
    klines = klines.select(pl.col(name).cast(kind) for name, kind in KLINE_SCHEMA.items())
    step = int(interval_delta(interval).total_seconds() * 1_000_000)
    numbers = ("open", "high", "low", "close", "volume")
    rules = {
        "a currency, a time, prices and a volume": pl.all_horizontal(
            pl.col("currency", "time", *numbers).is_not_null(), pl.col(numbers).is_finite()
        ),
        f"a time on the {interval} grid": pl.col("time").dt.epoch("us") % step == 0,
        "high >= max(open, close)": pl.col("high") >= pl.max_horizontal("open", "close"),
        "low <= min(open, close)": pl.col("low") <= pl.min_horizontal("open", "close"),
        "low > 0": pl.col("low") > 0,
        "volume >= 0": pl.col("volume") >= 0,
    }
    if klines.select(pl.all_horizontal(*rules.values(), _keys_rise()).fill_null(False).all()).item():
        return klines
    rules["a key of its own"] = ~pl.struct(KLINE_KEY).is_duplicated()
    for rule, holds in rules.items():
        broken = klines.filter(~holds.fill_null(False))
        if broken.height:
            row = broken.row(0, named=True)
            first = f"{row['currency']} {row['time']}"
            raise BadKlines(f"{broken.height} of {klines.height} klines lack {rule}; first: {first}")
    return klines.sort(KLINE_KEY)


def _keys_rise() -> pl.Expr:
    """Where a row's key is above that of the row before it: sorted, and none twice."""
    currency, time = (pl.col(name) for name in KLINE_KEY)
    same_currency = currency == currency.shift(1)
    return ((currency > currency.shift(1)) | (same_currency & (time > time.shift(1)))).fill_null(True)
