"""The `listings` asset, run by Dagster against an exchange on a socket."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from cryptobot_assets.assets.listings import MOST_TOLD, as_table, listing_assets
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.archive_index import ArchiveIndex
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.listings import ListingSource, read_listings
from cryptobot_assets.storage.store import LISTINGS
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.storage.universes import LIVES, clock_at, make_universe

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialize(lake: Lake, url: str, *, index: str | None = "", **config: str) -> dict[str, dg.MetadataValue]:
    """Run the asset; its metadata. The archives' directory is at the exchange's address unless told otherwise."""
    address = url if index == "" else index
    source = ListingSource(Exchange(url), ArchiveIndex(address, retries=0) if address else None, "1h")
    run_config = QUIET | ({"ops": {"listings": {"config": config}}} if config else {})
    result = dg.materialize(
        listing_assets(Partitions(Settings.load())),
        resources={"listing_source": source, "store": lake},
        run_config=run_config,
    )
    (event,) = result.asset_materializations_for_node("listings")
    return dict(event.metadata)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_run_stores_every_listing_and_tells_what_is_new(lake: Lake, make_exchange: MakeExchange) -> None:
    market = make_universe()
    told = materialize(lake, make_exchange(market, clock=clock_at(24 * 39)))
    figures = {name: value.value for name, value in told.items()}
    assert (figures["dagster/row_count"], figures["trading"], figures["delisted"]) == (7, 5, 2)
    assert (figures["kind_coin"], figures["kind_leveraged"], figures["kind_stable"]) == (4, 1, 2)
    assert (figures["new_listings"], figures["newly_delisted"]) == (7, 0)
    assert "LUNAUSDT" in figures["new"] and "ended" not in figures and "not_seen" not in figures
    later = materialize(lake, make_exchange(market))
    assert (later["new_listings"].value, later["newly_delisted"].value) == (2, 1)
    assert "NEWUSDT" in later["new"].value and "ENDUSDT" in later["ended"].value
    assert {one.currency for one in read_listings(lake)} == set(LIVES)


def test_a_run_that_sees_nothing_new_writes_nothing(lake: Lake, make_exchange: MakeExchange) -> None:
    url = make_exchange(make_universe())
    materialize(lake, url)
    rows, version = read_listings(lake), lake.version(LISTINGS)
    materialize(lake, url)
    assert (read_listings(lake), lake.version(LISTINGS)) == (rows, version)


def test_a_silent_directory_is_told_and_what_the_exchange_says_is_kept(lake: Lake, make_exchange: MakeExchange) -> None:
    url = make_exchange(make_universe())
    told = materialize(lake, url, index="http://127.0.0.1:9")
    assert "archive directory http://127.0.0.1:9 gave no usable answer" in told["not_seen"].value
    assert {one.currency for one in read_listings(lake)} == set(LIVES) - {"GONEUSDT"}


def test_a_run_can_look_at_some_alone(lake: Lake, make_exchange: MakeExchange) -> None:
    materialize(lake, make_exchange(make_universe()), currencies="endusdt, BTCUSDT")
    assert {one.currency for one in read_listings(lake)} == {"ENDUSDT", "BTCUSDT"}


def test_a_table_is_cut_where_it_grows_long(make_exchange: MakeExchange, lake: Lake) -> None:
    materialize(lake, make_exchange(make_universe()))
    (row, *_) = read_listings(lake)
    assert as_table([row] * MOST_TOLD).count("\n") == MOST_TOLD + 1
    assert as_table([row] * (MOST_TOLD + 7)).endswith("and 7 more")
