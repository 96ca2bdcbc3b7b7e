"""A market with every kind of gap, ingested, and ways to lose rows of it behind the platform's back."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from cryptobot_assets.assets.features import indicate
from cryptobot_assets.assets.gap_mending import Mended, mend_month
from cryptobot_assets.assets.gap_months import Month, read_market, write_month
from cryptobot_assets.assets.market_data import store_klines
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.exchange.market import Market, Series, to_ms
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import COVERAGE, GAPS, INDICATORS, KLINES, Table
from cryptobot_assets_tests.exchange.markets import make_market, make_series

FIRST, END = datetime(2024, 11, 1, tzinfo=UTC), datetime(2025, 2, 20, tzinfo=UTC)
MONTHS = ("2024-11-01", "2024-12-01", "2025-01-01", "2025-02-01")
NAMES = ("BTCUSDT", "ETHUSDT", "LTCUSDT", "XRPUSDT")
OUTAGE = datetime(2024, 11, 30, 22, tzinfo=UTC), datetime(2024, 12, 1, 3, tzinfo=UTC)
HALT = datetime(2025, 1, 7, 5, tzinfo=UTC), datetime(2025, 1, 7, 9, tzinfo=UTC)
LISTED, DELISTED = datetime(2024, 11, 12, 7, tzinfo=UTC), datetime(2025, 2, 1, 11, tzinfo=UTC)
TABLES = (KLINES, INDICATORS, GAPS, COVERAGE)
EXCHANGES_OWN = {
    *((name, *OUTAGE, "outage") for name in NAMES),
    ("ETHUSDT", *HALT, "halt"),
    ("LTCUSDT", FIRST, LISTED, "not_listed"),
    ("XRPUSDT", DELISTED, END, "delisted"),
}
"""Every gap that is no fault of ours: currency, first instant, end, kind."""


def make_gapped_market() -> Market:
    """Four currencies at 1h: an outage of all, a halt of ETH, LTC listed late, XRP delisted early."""
    whole = make_series((END - FIRST) // HOUR, start_ms=to_ms(FIRST), interval="1h")
    noise = np.random.default_rng(3).normal(0, 0.3, len(whole.time_ms))
    whole = replace(whole, **{name: whole.columns[name] + noise for name in ("open", "high", "low", "close")})

    def without(*spans: tuple[datetime, datetime]) -> Series:
        here = np.ones(len(whole.time_ms), bool)
        for first, end in spans:
            here &= (whole.time_ms < to_ms(first)) | (whole.time_ms >= to_ms(end))
        return Series(**{name: column[here] for name, column in whole.columns.items()})

    series = {
        "BTCUSDT": without(OUTAGE),
        "ETHUSDT": without(OUTAGE, HALT),
        "LTCUSDT": without(OUTAGE, (FIRST, LISTED)),
        "XRPUSDT": without(OUTAGE, (DELISTED, END)),
    }
    return make_market(series, interval="1h")


@dataclass(frozen=True)
class Place:
    """A lake of that market."""

    folder: Path
    url: str

    @cached_property
    def lake(self) -> Lake:
        return Lake(str(self.folder))

    @cached_property
    def partitions(self) -> Partitions:
        settings = {"interval": "1h", "currencies": ",".join(NAMES), "start_day": date(2024, 11, 1)}
        return Partitions(Settings.load(home=self.folder.parent, **settings))

    @property
    def history(self) -> History:
        return History(Exchange(self.url))

    def copy(self, folder: Path) -> Place:
        """The same rows elsewhere."""
        shutil.copytree(self.folder, folder / "lake")
        return replace(self, folder=folder / "lake")

    def ingest(self) -> None:
        """Klines and gaps of everything, as the asset stores them."""
        spans = self.partitions.spans_of(f"{name}|{month}" for name in NAMES for month in MONTHS)
        for block in self.history.fetch(spans, "1h", Silent()):
            store_klines([block], "1h", self.lake)

    def indicate(self, *currencies: str) -> None:
        """Indicators of everything stored."""
        for span in self.partitions.spans_of(f"{name}|{month}" for name in currencies or NAMES for month in MONTHS):
            indicate(span, "1h", self.lake)

    def look(self, *, asked: pl.DataFrame | None = None) -> dict[str, Month]:
        """The ledger over all months."""
        keys = [f"{name}|{month}" for name in NAMES for month in MONTHS]
        market = read_market(self.lake, self.partitions, self.partitions.spans_of(keys))
        return {key: write_month(self.lake, market, *self.partitions.month(key), asked=asked) for key in MONTHS}

    def mend(self, history: History | None = None) -> list[Mended]:
        """Repair over all months, and the ledger again."""
        asked = history or self.history
        mended = [
            one
            for key in MONTHS
            for one in mend_month(
                *self.partitions.month(key),
                [],
                self.partitions,
                lambda spans: asked.fetch(spans, "1h", Silent()),
                self.lake,
                Silent(),
            )
        ]
        self.look(asked=pl.concat([one.unanswered for one in mended]) if mended else None)
        return mended

    def lose(self, first: datetime, end: datetime, *currencies: str, table: Table = KLINES) -> int:
        """Delete stored rows behind the platform's back; returns how many."""
        lost = 0
        for currency in currencies:
            lost += self.lake.read(table, start=first, end=end, currency=currency).height
            self.lake.replace(table, pl.DataFrame(schema=table.schema), start=first, end=end, currency=currency)
        return lost

    def tables(self) -> dict[str, pl.DataFrame]:
        """Every table that the ledger and repair write."""
        return {table.name: self.lake.read(table) for table in TABLES}

    def kinds(self) -> set[tuple[str, datetime, datetime, str | None]]:
        """Every gap as `EXCHANGES_OWN` tells them; those that a month's border cuts are joined."""
        joined: list[list] = []
        for currency, first, end, kind in self.lake.read(GAPS).select("currency", "time", "end", "kind").iter_rows():
            if joined and joined[-1][0] == currency and joined[-1][2] == first and joined[-1][3] == kind:
                joined[-1][2] = end
            else:
                joined.append([currency, first, end, kind])
        return {tuple(one) for one in joined}
