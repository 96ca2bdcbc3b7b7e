"""Served predictions in the store, and what became of them, as Dagster makes both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.assets.served import read_outcomes, served_assets, write_outcomes
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.domain.served import PREDICTION_KEY
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.served_spool import FOLDER, Entry, Served, SpoolFile, as_rows, store_served
from cryptobot_assets.storage.store import KLINES, PREDICTION_OUTCOMES, SERVED_PREDICTIONS
from cryptobot_assets_tests.storage.test_served_spool import make_served

HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path, interval="1h", currencies="BTCUSDT,ETHUSDT")


@pytest.fixture
def store(settings: Settings) -> Lake:
    store = Lake(settings.lake_url)
    klines = pl.concat([make_klines(72, currency=name, seed=n) for n, name in enumerate(("BTCUSDT", "ETHUSDT"))])
    store.replace(KLINES, klines, start=None, end=None)
    return store


def serve(number: int, row: datetime, *currencies: str, **other: object) -> Served:
    """A reply for the row at an instant, served half an hour after it was known."""
    made = make_served(number, currencies=currencies)
    facts = {name: getattr(made, name) for name in Served.__struct_fields__}
    return Served(**facts | {"time": row, "known_at": row + HOUR, "served_at": row + 1.5 * HOUR, **other})


def close_at(store: Lake, currency: str, time: datetime) -> float:
    return store.read(KLINES, start=time, end=time + HOUR, currency=currency)["close"].item()


def test_an_outcome_is_the_return_of_the_24_hours_after_the_row(store: Lake, settings: Settings) -> None:
    whole, early = START + 5 * HOUR, START + 47 * HOUR
    replies = [
        serve(1, whole, "ETHUSDT", "BTCUSDT", "XRPUSDT"),
        serve(2, early, "BTCUSDT"),
        serve(3, early + HOUR, "BTCUSDT"),
        serve(4, whole, entries=()),
        serve(5, whole, entries=(Entry("BTCUSDT", None, None, None),)),
    ]
    store_served(store, as_rows(replies))
    rows = read_outcomes(store, settings, START, START + 100 * HOUR)
    assert [(row["position"], row["currency"], row["time"]) for row in rows.iter_rows(named=True)] == [
        (0, "ETHUSDT", whole),
        (1, "BTCUSDT", whole),
        (0, "BTCUSDT", early),
    ]
    for row in rows.iter_rows(named=True):
        now, later = (close_at(store, row["currency"], row["time"] + hours * HOUR) for hours in (0, 24))
        assert row["realised_return"] == pytest.approx(later / now - 1, abs=1e-15)
        assert row["label_end_time"] == row["time"] + 25 * HOUR


def test_outcomes_of_a_locked_holdout_are_not_read(store: Lake, settings: Settings) -> None:
    replies = [serve(n, START + n * HOUR, "BTCUSDT") for n in (22, 23, 24)]
    store_served(store, as_rows(replies))
    assert read_outcomes(store, settings, START, START + 100 * HOUR).height == 3
    locked = settings.model_copy(update={"holdout_from": (START + 48 * HOUR).date()})
    told = read_outcomes(store, locked, START, START + 100 * HOUR)
    assert told["time"].to_list() == [START + 22 * HOUR, START + 23 * HOUR]
    assert told["label_end_time"].max() == START + 48 * HOUR


def test_outcomes_follow_the_klines_and_are_written_once(store: Lake, settings: Settings) -> None:
    store_served(store, as_rows([serve(1, START, "BTCUSDT"), serve(2, START + 60 * HOUR, "BTCUSDT")]))
    now = START + 100 * HOUR
    assert write_outcomes(store, settings, now).height == 1
    version = store.version(PREDICTION_OUTCOMES)
    write_outcomes(store, settings, now)
    assert store.version(PREDICTION_OUTCOMES) == version
    more = make_klines(120, currency="BTCUSDT")
    store.replace(KLINES, more, start=None, end=None, currency="BTCUSDT")
    assert write_outcomes(store, settings, now).height == 2
    assert write_outcomes(store, settings, now + timedelta(days=400)).is_empty()
    assert store.read(PREDICTION_OUTCOMES).height == 2, "what is older than the days looked back at stays"


def test_both_assets_run_and_what_they_make_can_be_asked_in_sql(store: Lake, settings: Settings) -> None:
    file = SpoolFile(settings.home / FOLDER, START)
    file.append([serve(1, START, "BTCUSDT", "ETHUSDT", served_at=datetime.now(UTC))])
    file.close()
    resources = {"store": store}
    done = dg.materialize(served_assets(Partitions(settings)), resources=resources, selection="*prediction_outcomes")
    told = {
        event.asset_key.to_user_string(): {name: value.value for name, value in event.materialization.metadata.items()}
        for event in done.get_asset_materialization_events()
    }
    assert told["served_predictions"] == {"rows": 2, "files": 1, "cut_off": 0, "unreadable": 0}
    assert told["prediction_outcomes"]["champion/rows"] == 2
    query = (
        "SELECT count(*) AS n FROM served_predictions JOIN prediction_outcomes USING (prediction_id, role, position)"
    )
    assert store.query(query)["n"].item() == 2
    assert store.read(SERVED_PREDICTIONS).sort(PREDICTION_KEY)["caller"].to_list() == ["alice", "alice"]
