"""A champion looked at: what is found is planted, what is read was known, the holdout is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
import polars as pl
import pytest

from cryptobot_assets import decay
from cryptobot_assets.assets.decay import CHECKS, RETRAIN, decay_assets
from cryptobot_assets.contracts.factories import START, make_closes, make_predictions
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.decay import look_at_champion
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.errors import NoModel
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry_records import CURRENCIES, INTERVAL_HIGH, INTERVAL_LOW, RegisteredVersion
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS
from cryptobot_assets_tests.assets.test_predictions import make_version

DAYS, CUTOFF_DAY, SHIFT_DAY = 240, 160, 233
CUTOFF = START + CUTOFF_DAY * DAY
NAMES = ("BTCUSDT", "ETHUSDT")


@dataclass
class FakeRegistry:
    """A registry of one champion, or of none."""

    held: RegisteredVersion | None

    def champion(self, market: str) -> RegisteredVersion | None:
        return self.held


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path, currencies=",".join(NAMES), interval="1h", start_day=START.date(), drift_days=7)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    """A champion trained on 160 days of one feature, whose interval is 3.5 % wide on each side."""
    tags = {INTERVAL_LOW: "-0.035", INTERVAL_HIGH: "0.035"}
    params = {"features": "rsi_14h", "start_time": START.isoformat(), "end_time": (CUTOFF - HOUR).isoformat()}
    run = SimpleNamespace(params=params, tags={CURRENCIES: ",".join(NAMES)})
    monkeypatch.setattr(decay, "read_run", lambda registry, version: run)
    return FakeRegistry(make_version(1, CUTOFF, tags=tags))


def fill(lake: Lake, *, decayed: bool) -> None:
    """A feature of noise and predictions of it; where it decayed, both go astray in the last week or weeks."""
    random = np.random.default_rng(3)
    hours = np.arange(DAYS * 24)
    for seed, name in enumerate(NAMES):
        feature = random.normal(50, 10, DAYS * 24) + (40 if decayed else 0) * (hours >= SHIFT_DAY * 24)
        rows = make_rows(INDICATORS, DAYS * 24, currency=name, seed=seed).with_columns(rsi_14h=pl.Series(feature))
        lake.replace(INDICATORS, rows, start=None, end=None, currency=name)
        closes = make_closes(DAYS * 24, currency=name, seed=seed).filter(pl.col("time") >= CUTOFF)
        noise = np.where(np.arange(closes.height) < 45 * 24, 0.002, 0.05 if decayed else 0.002)
        made = make_predictions(closes, random.normal(size=closes.height) * noise, cutoff=CUTOFF)
        lake.replace(PREDICTIONS, made, start=None, end=None, currency=name)


def test_a_champion_that_holds_gives_no_reason(settings: Settings, registry: FakeRegistry) -> None:
    lake = Lake(settings.lake_url)
    fill(lake, decayed=False)
    found = look_at_champion(lake, registry, settings, "ALL")
    assert found.features is not None and len(found.features.usual) == 22
    assert found.errors is not None and not found.errors.worsened
    assert found.coverage.realised > 0.9 and found.reasons == ()


def test_planted_decay_is_found_told_and_fails_the_checks(settings: Settings, registry: FakeRegistry) -> None:
    lake = Lake(settings.lake_url)
    fill(lake, decayed=True)
    result = dg.materialize(
        decay_assets(Partitions(settings)), resources={"store": lake, "registry": registry}, partition_key="ALL"
    )
    [event] = result.get_asset_materialization_events()
    why = event.materialization.metadata[RETRAIN].value
    assert all(part in why for part in ("features: ", "rsi_14h", "errors: ", "intervals: "))
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks == dict.fromkeys(CHECKS, False)


def test_a_version_that_does_not_tell_whose_rows_it_read_is_looked_at_all_the_same(
    settings: Settings, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(settings.lake_url)
    monkeypatch.setattr(decay, "read_run", lambda registry, version: SimpleNamespace(params={}, tags={}))
    found = look_at_champion(lake, registry, settings, "ALL")
    assert (found.features, found.errors, found.coverage, found.reasons) == (None, None, None, ())


def test_the_holdout_is_not_read(settings: Settings, registry: FakeRegistry) -> None:
    lake = Lake(settings.lake_url)
    fill(lake, decayed=True)
    locked = settings.but({"holdout_from": (CUTOFF + 44 * DAY).date().isoformat()})
    assert isinstance(locked.holdout_from, date)
    found = look_at_champion(lake, registry, locked, "ALL")
    assert not found.features.changed and not found.errors.worsened
    with pytest.raises(NoModel, match="no champion"):
        look_at_champion(lake, FakeRegistry(None), settings, "ALL")
