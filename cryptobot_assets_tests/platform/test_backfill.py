"""`cryptobot backfill` from an exchange named in the environment: only what is missing, and nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES
from cryptobot_assets_tests.platform.commands import left_behind, run, running_exchange

pytestmark = [pytest.mark.platform, pytest.mark.timeout(600)]

SEED, DAYS, MINUTES = 5, 6, 24 * 60
FAULTS = "reset:0.05,500:0.05,truncate:0.05,seed=3"


@dataclass(frozen=True)
class Place:
    """A home and the exchange it is filled from."""

    home: Path
    url: str

    def backfill(self, currencies: str, first: int, last: int) -> str:
        """Backfill from one day of January 2025 to another; what the command said."""
        days = ("--from", f"2025-01-{first:02}", "--to", f"2025-01-{last:02}")
        settings = {"CRYPTOBOT_EXCHANGE_URL": self.url, "CRYPTOBOT_CURRENCIES": "BTCUSDT"}
        return run(self.home, "backfill", "--currencies", currencies, *days, **settings)

    def rows(self, currency: str) -> pl.DataFrame:
        """Stored klines of a currency."""
        return Lake(str(self.home / "lake")).read(KLINES, currency=currency)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("backfill")
    market = ("--simulate", SEED, "--currencies", 3, "--days", DAYS, "--faults", FAULTS)
    with running_exchange(folder / "exchange", *market) as url:
        yield Place(folder / "home", url)


def rows_said(out: str, stage: str) -> int:
    """Rows a stage says it wrote."""
    return int(re.search(rf"{stage}: ([\d,]+) rows", out)[1].replace(",", ""))


def expected_klines(currency: str, first: int, last: int) -> pl.DataFrame:
    """Time and close of a currency over days of January 2025, from the market itself."""
    series = simulate(SEED, 3, days=DAYS, interval="1m").series(currency)
    times = pl.from_epoch(pl.Series("time", series.time_ms), time_unit="ms").dt.cast_time_unit("us")
    whole = pl.DataFrame({"time": times.dt.replace_time_zone("UTC"), "close": series.close})
    start, end = datetime(2025, 1, first, tzinfo=UTC), datetime(2025, 1, last, tzinfo=UTC) + timedelta(days=1)
    return whole.filter(pl.col("time").is_between(start, end, closed="left"))


def require_stored(place: Place, currency: str, first: int, last: int) -> None:
    """Nothing, when exactly these days are stored, with the indicators of these klines and gaps for the rest."""
    expected = expected_klines(currency, first, last)
    stored = place.rows(currency)
    assert stored["time"].to_list() == expected["time"].to_list()
    assert (stored["close"] - expected["close"]).abs().max() < 1e-6 * expected["close"].max()
    lake = Lake(str(place.home / "lake"))
    start, end = (datetime(2025, 1, day, tzinfo=UTC) for day in (first, last + 1))
    truth = indicator_frame(stored.select("currency", "time", "close"), "1m", start, end)
    assert_frame_equal(lake.read(INDICATORS, currency=currency), truth)
    missing = lake.read(GAPS, currency=currency)["missing"].sum()
    assert stored.height + missing == (last - first + 1) * MINUTES


def test_a_fresh_home_is_filled_with_exactly_those_days(place: Place) -> None:
    out = place.backfill("BTCUSDT", 2, 3)
    require_stored(place, "BTCUSDT", 2, 3)
    assert rows_said(out, "Ingest klines") == rows_said(out, "Build indicators") == place.rows("BTCUSDT").height


def test_a_longer_range_adds_only_the_days_not_recorded(place: Place) -> None:
    before = place.rows("BTCUSDT")
    out = place.backfill("BTCUSDT", 1, 4)
    require_stored(place, "BTCUSDT", 1, 4)
    assert rows_said(out, "Ingest klines") == place.rows("BTCUSDT").height - before.height


def test_another_currency_leaves_the_first_one_alone(place: Place) -> None:
    before = place.rows("BTCUSDT")
    place.backfill("ETHUSDT", 2, 3)
    require_stored(place, "ETHUSDT", 2, 3)
    assert place.rows("BTCUSDT").equals(before)


def test_what_is_recorded_of_every_currency_is_not_done_again(place: Place) -> None:
    before = [place.rows(name) for name in ("BTCUSDT", "ETHUSDT")]
    out = place.backfill("BTCUSDT,ETH", 2, 3)
    assert out.count("every partition is recorded already") == 2
    assert "rows/s" not in out
    assert all(rows.equals(place.rows(rows["currency"][0])) for rows in before)


def test_no_process_is_left_behind(place: Place) -> None:
    assert left_behind(place.home) == []
