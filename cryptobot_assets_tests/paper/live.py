"""A small live market: an exchange on a socket whose clock is moved by hand, its klines ingested hour by hour."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from cryptobot_assets.assets.features import compute, store_indicators
from cryptobot_assets.assets.market_data import store_klines
from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.labels import PREDICTION_DEFINITION
from cryptobot_assets.domain.paper_ledger import Ledger
from cryptobot_assets.domain.samples import make_samples
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.exchange.market import Market, to_ms
from cryptobot_assets.exchange.simulation import START, simulate
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.card import ModelCard, warmup
from cryptobot_assets.paper import Booked, PaperBot
from cryptobot_assets.profile import HomeProfile, write_profile
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.paper_ledger import LEDGER_TABLES
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion, Training
from cryptobot_assets.storage.store import INDICATORS, Store, open_store

CURRENCIES = ("ADAUSDT", "BTCUSDT", "ETHUSDT", "LTCUSDT")
DAYS = 36
CUTOFF = START + 34 * DAY
ASLEEP, AWAKE = CUTOFF + 6 * HOUR, CUTOFF + 24 * HOUR
SWITCHED, END = CUTOFF + 27 * HOUR, CUTOFF + 38 * HOUR
BOOKED = 37
"""Hours: the first row after the cutoff is known an hour later, and the newest kline has closed."""
HALTED = "ETHUSDT"
HALT = CUTOFF + 32 * HOUR, CUTOFF + 34 * HOUR


def make_paper_market() -> Market:
    """Four simulated currencies at 1h; one has no klines for two hours after the cutoff."""
    market = simulate(7, CURRENCIES, days=DAYS, interval="1h")
    series = {name: market.series(name) for name in CURRENCIES}
    halted = series[HALTED]
    here = (halted.time_ms < to_ms(HALT[0])) | (halted.time_ms >= to_ms(HALT[1]))
    series[HALTED] = type(halted)(**{name: column[here] for name, column in halted.columns.items()})
    return Market(label="simulated", interval="1h", series=series, detail="seed=7")


class HandClock:
    """The exchange's present, moved by hand."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> int:
        return to_ms(self.now)


@dataclass(frozen=True)
class Life:
    """One home that lives through the market."""

    settings: Settings
    clock: HandClock

    @cached_property
    def store(self) -> Store:
        return open_store(self.settings)

    @cached_property
    def registry(self) -> Registry:
        return Registry(f"sqlite:///{self.settings.home / 'mlflow.db'}", artifact_root=self.settings.home / "mlflow")

    @property
    def bot(self) -> PaperBot:
        """A new bot: what it knows it reads from the store and the registry."""
        return PaperBot(self.store, self.registry, self.settings)

    def ingest(self, first: datetime, currencies: Sequence[str] = CURRENCIES) -> None:
        """What the exchange has finished of the days from `first` to its present, with indicators."""
        store, end = self.store, (self.clock.now - HOUR).replace(hour=0) + DAY
        history = History(Exchange(self.settings.exchange_url))
        spans = [Span(name, first.replace(hour=0), end) for name in currencies]
        store_klines(list(history.fetch(spans, "1h", Silent())), "1h", store)
        store_indicators([(span, compute(span, "1h", store)) for span in spans], store)

    def book(self) -> Booked:
        return self.bot.book(Silent())

    def live(self, until: datetime) -> list[int]:
        """Hour by hour: ingest what has finished, book what is due; how many hours each booking booked."""
        booked = []
        while self.clock.now < until:
            self.clock.now += HOUR
            self.ingest(self.clock.now - HOUR)
            booked.append(self.book().hours)
        return booked

    def sleep(self, until: datetime) -> None:
        """Nothing is ingested or booked up to an hour before; then all of it at once."""
        slept, self.clock.now = self.clock.now, until
        self.ingest(slept)
        self.book()

    def ledger(self) -> Ledger:
        store = self.store
        return {table.name: store.read(table) for table in LEDGER_TABLES}

    def copy(self, home: Path) -> Life:
        """The same home elsewhere, with a clock of its own."""
        shutil.copytree(self.settings.home, home)
        return replace(self, settings=self.settings.but({"home": str(home)}), clock=HandClock(self.clock.now))


def begin(home: Path, url: str, clock: HandClock) -> Life:
    """A home with the market's past up to the cutoff and a champion trained on it."""
    settings = Settings.load(
        home=home, exchange_url=url, interval="1h", partition="day", currencies=",".join(CURRENCIES),
        start_day=START.date(), paper_rule="top", fee_bps=10.0, slippage_bps=2.0,
    )  # fmt: skip
    home.mkdir(exist_ok=True)
    write_profile(home, HomeProfile("1h", "day", CURRENCIES, START.date(), "simulated", {"kind": "simulated"}))
    life = Life(settings, clock)
    life.ingest(START)
    life.registry.promote(train(life), alias="champion", verdict={"promote": True, "reasons": ["planted"]})
    return life


def train(life: Life, *, seed: int = 0) -> RegisteredVersion:
    """A ridge model registered as of the cutoff, fitted to what was known then (a noise of its own for other seeds)."""
    frame = life.store.read(INDICATORS, end=CUTOFF)
    samples = make_samples(frame, features=DEFAULT_FEATURES, interval="1h", start=START, end=CUTOFF)
    known = samples.take(np.isfinite(samples.y))
    y = known.y if not seed else np.random.default_rng(seed).normal(0, 0.02, len(known))
    space = ALGORITHMS["ridge"].space
    model = ALGORITHMS["ridge"].fit(known.X, y, params={name: one.default for name, one in space.items()}, seed=7)
    card = ModelCard(
        algorithm="ridge", market="ALL", cutoff=CUTOFF, interval="1h", features=DEFAULT_FEATURES, horizon_hours=24,
        prediction=PREDICTION_DEFINITION, residual_quantiles={"0.05": -0.03, "0.95": 0.04},
        **warmup(model, known.X[:5]),
    )  # fmt: skip
    registry = life.registry
    with registry.training_run(Training(market="ALL", algorithm="ridge", cutoff=CUTOFF, fingerprint=str(seed))) as run:
        return run.finish(model, card, params={}, metrics={}, plots={}, tables={})


def forget(life: Life, since: datetime) -> None:
    """The ledger as it was before an hour was booked."""
    for table in LEDGER_TABLES:
        life.store.replace(table, pl.DataFrame(schema=table.schema), start=since, end=None)
