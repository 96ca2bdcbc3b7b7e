"""A market of recorded klines, read from Parquet files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import polars as pl

from cryptobot_assets.domain.intervals import INTERVALS
from cryptobot_assets.domain.klines import KLINE_CONSTRAINTS
from cryptobot_assets.errors import BadKlines, UsageError
from cryptobot_assets.exchange.market import QUOTE, SYMBOL, Market, Series, interval_ms

NUMBERS = ("open", "high", "low", "close", "volume")
REQUIRED = ("currency", "time", *NUMBERS)
OPTIONAL = {
    "quote_volume": pl.Float64(),
    "trades": pl.Int64(),
    "taker_volume": pl.Float64(),
    "taker_quote_volume": pl.Float64(),
}
SMALLEST_PRICE = 1e-8


def load_replay(paths: Sequence[Path]) -> Market:
    """The klines of Parquet files, or of every `*.parquet` below directories, as one market.

    Columns: `currency` (with or without `USDT`), `time` (open time; any datetime unit; without a
    zone it is UTC), `open`, `high`, `low`, `close`, `volume`; those of `OPTIONAL` are served when
    every file has them. The interval is the most common spacing of rows. A row that repeats
    another is dropped.

    Raises:
        UsageError: a path that is missing, not Parquet, empty, or lacks a column.
        BadKlines: a row breaks the kline contract, or two rows of one key disagree.
    """
    files = [file for path in paths for file in _parquet_files(Path(path))]
    if not files:
        raise UsageError("no klines to replay: name a Parquet file, or a directory that holds some")
    frames = [_read(file) for file in files]
    shared = [name for name in OPTIONAL if all(name in frame.columns for frame in frames)]
    klines = pl.concat([frame.select(*REQUIRED, *shared) for frame in frames])
    del frames
    parts = klines.partition_by("currency", as_dict=True, include_key=False)
    del klines
    by_currency = {name: parts.pop((name,)) for (name,) in sorted(parts, key=str)}
    for name, part in by_currency.items():
        by_currency[name] = _drop_repeats(str(name), part.sort("time").rechunk())
    interval = _interval(by_currency.values())
    for name, part in by_currency.items():
        _require_contract(str(name), part, interval)
    series = {name: _series(part) for name, part in by_currency.items()}
    return Market(label="replay", interval=interval, series=series)


def _parquet_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*.parquet") if file.is_file())
        if not found:
            raise UsageError(f"{path} holds no Parquet file to replay")
        return found
    if not path.is_file():
        raise UsageError(f"{path} does not exist: name a Parquet file, or a directory that holds some")
    return [path]


def _read(file: Path) -> pl.DataFrame:
    """One file's klines with the columns of the contract, times in ms UTC; not yet checked."""
    try:
        schema = pl.read_parquet_schema(file)
        names = [name for name in (*REQUIRED, *OPTIONAL) if name in schema]
        klines = pl.read_parquet(file, columns=names, use_statistics=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"{file} is not a Parquet file that can be read: {str(error).splitlines()[0]}") from error
    missing = [name for name in REQUIRED if name not in schema]
    if missing:
        raise UsageError(f"{file} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    if not klines.height:
        raise UsageError(f"{file} holds no klines")
    wrong = [name for name in names if not _fits(name, klines.schema[name])]
    if wrong:
        raise UsageError(f"{file}: column {wrong[0]} cannot be of type {klines.schema[wrong[0]]}")
    return klines.with_columns(
        _symbols(),
        _utc(zoned=getattr(klines.schema["time"], "time_zone", None) is not None),
        *(pl.col(name).cast(OPTIONAL.get(name, pl.Float64())) for name in names if name not in ("currency", "time")),
    )


def _fits(name: str, kind: pl.DataType) -> bool:
    if name == "currency":
        return isinstance(kind, pl.String | pl.Categorical | pl.Enum)
    return isinstance(kind, pl.Datetime) if name == "time" else kind.is_numeric()


def _symbols() -> pl.Expr:
    name = pl.col("currency").cast(pl.String).str.strip_chars().str.to_uppercase()
    return pl.when(name.str.ends_with(QUOTE) & (name != QUOTE)).then(name).otherwise(name + QUOTE).alias("currency")


def _utc(*, zoned: bool) -> pl.Expr:
    time = pl.col("time").dt
    return (time.convert_time_zone("UTC") if zoned else time.replace_time_zone("UTC")).dt.cast_time_unit("us")


def _drop_repeats(currency: str, klines: pl.DataFrame) -> pl.DataFrame:
    """Rows sorted by time without those that say again what the row before them says."""
    repeated = pl.col("time") == pl.col("time").shift(1)
    agrees = pl.all_horizontal(pl.exclude("time").eq_missing(pl.exclude("time").shift(1)))
    disagree = klines.filter(repeated & ~agrees)
    if disagree.height:
        raise BadKlines(f"two klines of {currency} at {disagree['time'][0]} disagree: keep one of them")
    return klines.filter(~repeated.fill_null(False))


def _interval(parts: Iterable[pl.DataFrame]) -> str:
    """The interval that most rows are apart; a market of lone rows is hourly if they are on the hour."""
    parts = list(parts)
    spacings: Counter[timedelta] = Counter()
    for part in parts:
        found = part["time"].diff().drop_nulls().value_counts()
        spacings.update(dict(zip(found["time"], found["count"], strict=True)))
    if not spacings:
        on_the_hour = all((part["time"].dt.epoch("s") % 3600 == 0).all() for part in parts)
        return "1h" if on_the_hour else "1m"
    common = spacings.most_common(1)[0][0]
    for name, span in INTERVALS.items():
        if span == common:
            return name
    raise UsageError(f"the klines are {common} apart: only intervals of {' and '.join(INTERVALS)} can be replayed")


def _require_contract(currency: str, klines: pl.DataFrame, interval: str) -> None:
    """Raise `BadKlines`, naming the first offending row, unless every row keeps the contract."""
    if not SYMBOL.match(currency):
        raise BadKlines(f"{currency!r} is no currency: write capital letters and digits, such as BTC or BTCUSDT")
    rules = {
        "a time": pl.col("time").is_not_null(),
        f"a time on the {interval} grid": pl.col("time").dt.epoch("us") % (interval_ms(interval) * 1000) == 0,
        "finite prices and volume": pl.all_horizontal(pl.col(NUMBERS).is_finite()),
        **{rule: pl.sql_expr(rule) for rule in KLINE_CONSTRAINTS.values()},
        f"low >= {SMALLEST_PRICE:.8f}, the smallest price on the wire": pl.col("low") >= SMALLEST_PRICE,
    }
    for rule, holds in rules.items():
        broken = klines.filter(~holds.fill_null(False))
        if broken.height:
            raise BadKlines(f"{broken.height} klines of {currency} lack {rule}; first at {broken['time'][0]}")


def _series(klines: pl.DataFrame) -> Series:
    recorded = {name: klines[name].to_numpy() for name in klines.columns if name != "time"}
    return Series(time_ms=klines["time"].dt.epoch("ms").to_numpy(), **recorded)
