"""How fast the indicators are, beside the definitions in plain loops and beside plain polars.

    python benchmarks/indicators.py [--days 365] [--currencies 1] [--json result.json]

Simulated closes with gaps, one process. Three ways to the same columns:

- ours: `indicator_frame`, point in time, the same bits whatever the load;
- plain polars: rolling windows over the minute of the hour and of the day, as one would write them
  first. Its RSI and MACD are exponential averages over all of history, which is cheaper than the 672
  hours of the definition and depends on where the load began; its other columns are checked to be ours.
  It rolls over the 99 days of lookback too, so short ranges cost it relatively more;
- the definitions in loops (`slow_indicators`), on a few rows.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from cryptobot_assets.domain.indicators import LONGEST_LOOKBACK, indicator_frame
from cryptobot_assets.domain.intervals import DAY, interval_delta, rows_per_hour
from cryptobot_assets.exchange.simulation import START, simulate
from cryptobot_assets_tests.domain.slow_indicators import slow_indicators

DIFFERENCES = {"ma7_25h": (7, 25, 1), "ma25_99h": (25, 99, 1), "ma7_25d": (7, 25, 24), "ma25_99d": (25, 99, 24)}
SAME_COLUMNS = [*DIFFERENCES, "close_minmax_scale", "bollinger_20h"]


@dataclass(frozen=True)
class Speed:
    """One interval's figures; rows a minute of one process, and how many times slower the others are."""

    interval: str
    rows: int
    ours_rows_per_minute: float
    polars_rows_per_minute: float
    loops_rows_per_minute: float
    polars_times_slower: float
    loops_times_slower: float
    largest_difference: float


def simulated_closes(interval: str, days: int, currencies: int, seed: int) -> pl.DataFrame:
    """Closes of `days` days after the longest lookback, columns currency, time, close."""
    market = simulate(seed, currencies, days=days + LONGEST_LOOKBACK.days, interval=interval)
    parts = []
    for name in market.currencies:
        series = market.series(name)
        times = pl.from_epoch(pl.Series("time", series.time_ms), time_unit="ms").dt.cast_time_unit("us")
        parts.append(pl.DataFrame({"time": times.dt.replace_time_zone("UTC"), "close": series.close}))
        parts[-1] = parts[-1].select(pl.lit(name).alias("currency"), "time", "close")
    return pl.concat(parts)


def plain_polars(closes: pl.DataFrame, interval: str, start: datetime, end: datetime) -> pl.DataFrame:
    """The indicators as rolling expressions over a gap-filled grid."""
    step, per_hour = interval_delta(interval), rows_per_hour(interval)
    grid = pl.DataFrame({"time": pl.datetime_range(start - LONGEST_LOOKBACK, end - step, step, eager=True)})
    parts = [
        _rolled(grid.join(rows, on="time", how="left").sort("time"), per_hour).with_columns(currency=pl.lit(name))
        for (name,), rows in closes.group_by(["currency"])
    ]
    whole = pl.concat(parts).filter(pl.col("time") >= start, pl.col("close").is_not_null())
    return whole.sort("currency", "time")


def _rolled(rows: pl.DataFrame, per_hour: int) -> pl.DataFrame:
    close, change = pl.col("close"), pl.col("close").diff().over("hourly")
    rows = rows.with_columns(
        hourly=pl.int_range(pl.len()) % per_hour,
        daily=pl.int_range(pl.len()) % (24 * per_hour),
        low=close.rolling_min(672 * per_hour),
        high=close.rolling_max(672 * per_hour),
    )
    means = {
        name: close.rolling_mean(short).over(lane) - close.rolling_mean(long).over(lane)
        for name, (short, long, hours) in DIFFERENCES.items()
        for lane in ["hourly" if hours == 1 else "daily"]
    }
    gain = change.clip(lower_bound=0).ewm_mean(alpha=1 / 14, adjust=False).over("hourly")
    loss = (-change).clip(lower_bound=0).ewm_mean(alpha=1 / 14, adjust=False).over("hourly")
    line = close.ewm_mean(span=12, adjust=False) - close.ewm_mean(span=26, adjust=False)
    deviation = close.rolling_std(20, ddof=0).over("hourly")
    made = rows.with_columns(
        **means,
        close_minmax_scale=(close - pl.col("low")) / (pl.col("high") - pl.col("low")),
        rsi_14h=100 * gain / (gain + loss),
        macd_12_26_9h=(line - line.ewm_mean(span=9, adjust=False)).over("hourly") / close,
        bollinger_20h=(close - close.rolling_mean(20).over("hourly") + 2 * deviation) / (4 * deviation),
    )
    return made.with_columns((pl.col(name) / close).alias(f"{name}_scale") for name in DIFFERENCES)


def best_seconds(work: Callable[[], object], repeat: int) -> float:
    """Shortest time of several runs."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def largest_difference(ours: pl.DataFrame, other: pl.DataFrame) -> float:
    """Over the columns of one definition, relative to the price where they are in its units."""
    worst = 0.0
    for name in SAME_COLUMNS:
        one, two = ours[name].to_numpy(), other[name].to_numpy()
        if not np.array_equal(np.isnan(one), np.isnan(two)):
            raise SystemExit(f"{name}: plain polars knows other rows than ours")
        scale = ours["close"].to_numpy() if name in DIFFERENCES else 1.0
        worst = max(worst, float(np.nanmax(np.abs(one - two) / scale, initial=0.0)))
    return worst


def measure(interval: str, *, days: int, currencies: int, repeat: int, loop_rows: int, seed: int) -> Speed:
    """Time the three ways at one interval."""
    closes = simulated_closes(interval, days, currencies, seed)
    start = START + LONGEST_LOOKBACK
    end = start + days * DAY
    ours = indicator_frame(closes, interval, start, end)
    difference = largest_difference(ours, plain_polars(closes, interval, start, end))
    if difference > 1e-6:
        raise SystemExit(f"plain polars and ours differ by {difference:g}")
    ours_seconds = best_seconds(lambda: indicator_frame(closes, interval, start, end), repeat)
    polars_seconds = best_seconds(lambda: plain_polars(closes, interval, start, end), repeat)
    first = closes["currency"][0]
    mine = closes.filter(pl.col("currency") == first)
    by_time = dict(zip(mine["time"], mine["close"], strict=True))
    times = (
        ours.filter(pl.col("currency") == first)["time"].gather_every(max(ours.height // loop_rows, 1)).head(loop_rows)
    )
    loop_seconds = best_seconds(lambda: [slow_indicators(by_time, one, interval) for one in times], 1)
    seconds = ((ours.height, ours_seconds), (ours.height, polars_seconds), (len(times), loop_seconds))
    ours_rate, polars_rate, loops_rate = (rows / taken * 60 for rows, taken in seconds)
    return Speed(
        interval, ours.height, ours_rate, polars_rate, loops_rate, ours_rate / polars_rate, ours_rate / loops_rate,
        difference,
    )  # fmt: skip


def main() -> None:
    """Measure, and print a table; with `--json` write the figures as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365, help="days of indicators (default 365)")
    parser.add_argument("--currencies", type=int, default=1, help="how many (default 1)")
    parser.add_argument("--interval", choices=["1m", "1h"], action="append", help="default both")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the best counts (default 3)")
    parser.add_argument("--loop-rows", type=int, default=10, help="rows for the loops (default 10)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures there")
    chosen = parser.parse_args()
    options = {name: getattr(chosen, name) for name in ("days", "currencies", "repeat", "loop_rows", "seed")}
    speeds = [measure(interval, **options) for interval in chosen.interval or ["1m", "1h"]]
    print(f"{'interval':8} {'rows':>9} {'ours':>14} {'plain polars':>14} {'loops':>10}   rows a minute")
    for one in speeds:
        print(
            f"{one.interval:8} {one.rows:9,} {one.ours_rows_per_minute:14,.0f} {one.polars_rows_per_minute:14,.0f} "
            f"{one.loops_rows_per_minute:10,.0f}   ours is {one.polars_times_slower:.1f} x plain polars, "
            f"{one.loops_times_slower:,.0f} x the loops"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(one) for one in speeds], indent=2) + "\n")


if __name__ == "__main__":
    main()
