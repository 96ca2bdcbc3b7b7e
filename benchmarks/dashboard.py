"""Server time of the dashboard's charts, against reading what is stored naively and drawing every row.

    python benchmarks/dashboard.py --currencies 10 --days 31 --algorithms 9

Makes a lake of 1m predictions and indicators in a temporary directory, then times, for one month of
one currency: what the page Predictions reads, thins and turns into the JSON that a browser is sent;
the choices at the side; and the page Skill over the whole market. Naive: every column of every row
of the days, filtered in memory, all points drawn. Times are of this machine; ratios are of one session.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from cryptobot_assets.dashboard import judging, queries
from cryptobot_assets.dashboard.figures import price_figure, return_figure
from cryptobot_assets.dashboard.queries import Selection, span_of
from cryptobot_assets.domain.indicators import INDICATOR_SCHEMA
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.thinning import line_points
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS, Store

START = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REPEATS = 5
PIECE_DAYS = 10
"""Days of one write, as a run of the platform writes them."""


def make_store(folder: str, currencies: int, days: int, algorithms: int) -> Store:
    """A lake of so many currencies and days, each scored by so many algorithms."""
    store = Lake(folder)
    for number in range(currencies):
        name = f"C{number:02}USDT"
        for first in range(0, days, PIECE_DAYS):
            start, end = START + first * DAY, START + min(first + PIECE_DAYS, days) * DAY
            _write(store, name, start, end, algorithms, np.random.default_rng([number, first]))
    return store


def _write(store: Store, name: str, start: datetime, end: datetime, algorithms: int, draw: np.random.Generator) -> None:
    times = pl.datetime_range(start, end, MINUTE, closed="left", eager=True, time_unit="us").alias("time")
    closes = 100 * np.exp(np.cumsum(draw.normal(0, 5e-4, len(times))))
    columns = {
        column: draw.normal(size=len(times)) for column in INDICATOR_SCHEMA if column not in ("currency", "time")
    }
    rows = pl.DataFrame({"time": times, **columns, "close": closes}).with_columns(currency=pl.lit(name))
    store.replace(INDICATORS, rows.select(list(INDICATOR_SCHEMA)), start=start, end=end, currency=name)
    scored = [
        pl.DataFrame(
            {
                "time": times,
                "predicted_return": draw.normal(0, 0.003, len(times)),
                "realised_return": draw.normal(0, 0.02, len(times)),
            }
        ).with_columns(
            market=pl.lit("ALL"),
            algorithm=pl.lit(f"model{number}"),
            version=pl.lit("1"),
            currency=pl.lit(name),
            cutoff=pl.lit(START).cast(PREDICTIONS.schema["cutoff"]),
        )
        for number in range(algorithms)
    ]
    every = pl.concat(scored).select(list(PREDICTIONS.schema))
    store.replace(PREDICTIONS, every, start=start, end=end, market="ALL", currency=name)


def draw_predictions(store: Store, chosen: Selection) -> int:
    """The page Predictions; returns bytes sent."""
    rows = queries.prediction_rows(store, chosen)
    closes = queries.close_rows(store, chosen.currency, chosen.span)
    cutoffs = queries.cutoffs_within(rows, chosen.span)
    price = price_figure(line_points(closes, "close", step=MINUTE), cutoffs, chosen.currency)
    predicted, realised = (line_points(rows, name, step=MINUTE) for name in ("predicted_return", "realised_return"))
    return len(price.to_json()) + len(return_figure(predicted, realised, cutoffs).to_json())


def draw_naively(store: Store, chosen: Selection) -> int:
    """The same charts of whole tables, every row drawn."""
    span = chosen.span
    rows = store.read(PREDICTIONS, start=span.start, end=span.end)
    rows = rows.filter(market=chosen.market, algorithm=chosen.algorithm, currency=chosen.currency)
    closes = store.read(INDICATORS, start=span.start, end=span.end).filter(currency=chosen.currency)
    cutoffs = queries.cutoffs_within(rows, span)
    return len(price_figure(closes, cutoffs, chosen.currency).to_json()) + len(
        return_figure(rows, rows, cutoffs).to_json()
    )


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Median seconds."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def main() -> None:
    """Make the lake, time the charts, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--currencies", type=int, default=10)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--algorithms", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings.load(home=home, interval="1m", store_url=str(home / "lake"))
        store = make_store(settings.lake_url, options.currencies, options.days, options.algorithms)
        last = START + (options.days - 1) * DAY
        first = max(START, last - 30 * DAY)
        chosen = Selection("C00USDT", "ALL", "model0", None, span_of(settings, first.date(), last.date()))
        rows = options.currencies * options.days * 1440 * options.algorithms
        print(f"{rows:,} predictions of {options.currencies} currencies; one currency, {chosen.span.days}")
        drawn, naive = draw_predictions(store, chosen), draw_naively(store, chosen)
        ours = seconds_of(lambda: draw_predictions(store, chosen), REPEATS)
        theirs = seconds_of(lambda: draw_naively(store, chosen), 1)
        choices = seconds_of(lambda: queries.scored_by(store, chosen.currency, chosen.span), REPEATS)
        skill = seconds_of(lambda: judging.skill(store, settings, chosen, alone=False), 1)
        print(f"page Predictions   {ours:7.3f} s, {drawn / 1e6:.2f} MB sent")
        print(f"naively            {theirs:7.3f} s, {naive / 1e6:.2f} MB sent: {theirs / ours:.1f} times as long")
        print(f"choices at the side{choices:7.3f} s")
        print(f"page Skill, market {skill:7.3f} s (kept until the tables change)")


if __name__ == "__main__":
    main()
