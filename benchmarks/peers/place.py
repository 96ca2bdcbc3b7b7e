"""What every part of the comparison is given: a scratch folder, klines, a size, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from cryptobot_assets.domain.intervals import rows_per_hour
from cryptobot_assets.exchange.market import Market
from cryptobot_assets.exchange.simulation import simulate

SEED = 7
START = datetime(2019, 1, 1, tzinfo=UTC)
"""So early that the longest market ends before today: nothing is trained as of a day to come."""


@dataclass(frozen=True)
class Size:
    """How much is measured; `FULL` is what the published figures are of, `SMALL` tries every part in minutes."""

    currencies: int
    hours: int
    symbols: int
    days: int
    years_1m: float
    turns: int
    growth_currencies: int
    growth_days: int
    growth: tuple[int, ...]
    overhead_days: int
    load_seconds: float


FULL = Size(
    currencies=87, hours=12_400, symbols=800, days=3_400, years_1m=5, turns=5,
    growth_currencies=8, growth_days=120, growth=(1, 4, 16), overhead_days=30, load_seconds=4,
)  # fmt: skip
SMALL = Size(
    currencies=6, hours=2_000, symbols=20, days=400, years_1m=0.1, turns=2,
    growth_currencies=3, growth_days=90, growth=(1, 2), overhead_days=6, load_seconds=1,
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a part works.

    Attributes:
        folder: empty, for the part alone; removed afterwards.
        klines: Parquet of hourly klines: currency, time (UTC), open, high, low, close, volume.
        environments: folder with the environments of the peers, `.venv-<name>` each.
        told: takes a line of progress.
    """

    folder: Path
    klines: Path
    environments: Path
    size: Size
    turns: int
    told: Callable[[str], None]

    def python(self, peer: str) -> Path:
        """The interpreter of a peer's environment."""
        return self.environments / f".venv-{peer}" / "bin" / "python"


def hourly_klines(folder: Path, size: Size, recorded: Path | None) -> Path:
    """The klines of a session: simulated, or the newest hours of a recorded file's currencies."""
    path = folder / "klines.parquet"
    if recorded is None:
        frame = simulated_klines(size.currencies, size.hours)
    else:
        frame = pl.read_parquet(recorded)
        names = frame["currency"].unique().sort().head(size.currencies)
        frame = frame.filter(pl.col("currency").is_in(names.implode())).sort("currency", "time")
        frame = frame.group_by("currency", maintain_order=True).tail(size.hours)
    frame.write_parquet(path)
    return path


def simulated_klines(currencies: int, hours: int, interval: str = "1h") -> pl.DataFrame:
    """Klines of a simulated market from `START` on; the same for the same arguments."""
    market = simulate(SEED, currencies, days=-(-hours // 24), interval=interval, start=START)
    rows = hours * rows_per_hour(interval)
    return pl.concat(_series(market, name).head(rows) for name in market.currencies)


def _series(market: Market, name: str) -> pl.DataFrame:
    one = market.series(name)
    columns = {key: getattr(one, key) for key in ("open", "high", "low", "close", "volume")}
    times = pl.from_epoch(pl.Series("time", one.time_ms), time_unit="ms").dt.cast_time_unit("us")
    return pl.DataFrame({"time": times.dt.replace_time_zone("UTC"), **columns}).select(
        pl.lit(name).alias("currency"), pl.all()
    )
