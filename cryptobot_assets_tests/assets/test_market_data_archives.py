"""The `klines` asset, run by Dagster: what it stores, and what it tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.assets.market_data import MOST_FALLBACKS_TOLD, market_data_assets, told_fallbacks
from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.exchange.market import Market, Series, to_ms
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.archive import Archive
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, KLINES
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market, make_series

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")

FIRST = datetime(2024, 11, 1, tzinfo=UTC)
END = datetime(2025, 1, 11, tzinfo=UTC)
HOLE = (datetime(2024, 11, 30, 22, tzinfo=UTC), datetime(2024, 12, 1, 3, tzinfo=UTC))
KEYS = [f"{name}|{month}" for name in ("BTCUSDT", "ETHUSDT") for month in ("2024-11-01", "2024-12-01", "2025-01-01")]
Run = Callable[..., dict[str, dg.MetadataValue]]


def make_holed_market(*, times: float = 1.0) -> Market:
    """Two currencies with a hole across a month's border; prices `times` as high."""
    whole = make_series((END - FIRST) // timedelta(hours=1), start_ms=to_ms(FIRST), interval="1h")
    here = (whole.time_ms < to_ms(HOLE[0])) | (whole.time_ms >= to_ms(HOLE[1]))
    columns = {name: column[here] * (1 if name == "time_ms" else times) for name, column in whole.columns.items()}
    return make_market(dict.fromkeys(("BTCUSDT", "ETHUSDT"), Series(**columns)), interval="1h")


@pytest.fixture
def partitions(tmp_path: Path) -> Partitions:
    return Partitions(
        Settings.load(home=tmp_path, interval="1h", currencies="BTCUSDT,ETHUSDT", start_day=date(2024, 11, 1))
    )


@pytest.fixture
def run(partitions: Partitions) -> Iterator[Run]:
    """Materialize every partition in one run; returns the metadata that holds for the run."""
    with dg.DagsterInstance.ephemeral() as instance:

        def materialize(history: History, store: Lake) -> dict[str, dg.MetadataValue]:
            result = dg.materialize(
                market_data_assets(partitions),
                instance=instance,
                resources={"history": history, "store": store, "progress": Silent()},
                tags={
                    "dagster/asset_partition_range_start": KEYS[0],
                    "dagster/asset_partition_range_end": KEYS[-1],
                },
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
            events = {event.partition: event for event in result.asset_materializations_for_node("klines")}
            assert sorted(events) == KEYS
            return {key: dict(event.metadata) for key, event in events.items()}

        yield materialize


def both(url: str, **options: object) -> History:
    return History(Exchange(url), Archive(url, **options))


def stored(store: Lake) -> pl.DataFrame:
    return store.read(KLINES)


def test_archives_and_rest_fill_the_same_tables(make_exchange: MakeExchange, run: Run, tmp_path: Path):
    url = make_exchange(make_holed_market())
    bulk, paged = Lake(str(tmp_path / "bulk")), Lake(str(tmp_path / "paged"))
    told = run(both(url), bulk)
    run(History(Exchange(url)), paged)
    rows = stored(bulk)
    assert rows.schema == pl.Schema(KLINE_SCHEMA)
    assert_frame_equal(rows.drop("source"), stored(paged).drop("source"), check_exact=True)
    assert_frame_equal(bulk.read(GAPS), paged.read(GAPS))
    newest = pl.col("time") >= datetime(2025, 1, 1, tzinfo=UTC)
    assert rows.filter(newest)["source"].unique().to_list() == ["replay"]
    assert rows.filter(~newest)["source"].unique().to_list() == ["archive"]
    assert stored(paged)["source"].unique().to_list() == ["replay"]
    december = {name: value.value for name, value in told["ETHUSDT|2024-12-01"].items() if name != "picture"}
    assert december["dagster/row_count"] == december["rows_from_archives"] == 31 * 24 - 3
    assert december["missing_klines"] == 3
    assert december["source"] == f"archives at {url}, else replay"
    january = told["BTCUSDT|2025-01-01"]
    assert (january["dagster/row_count"].value, january["rows_from_archives"].value) == (240, 0)
    assert "archive_fallbacks" not in january


def test_materializing_again_reads_what_was_replaced(make_exchange: MakeExchange, run: Run, tmp_path: Path):
    store = Lake(str(tmp_path / "lake"))
    run(both(make_exchange(make_holed_market())), store)
    before = stored(store)
    run(both(make_exchange(make_holed_market(times=2))), store)
    after = stored(store)
    assert after.height == before.height
    assert (after["close"] / before["close"]).to_list() == pytest.approx([2.0] * after.height)


def test_files_that_cannot_be_believed_are_told(make_exchange: MakeExchange, run: Run, tmp_path: Path):
    market = make_holed_market()
    url = make_exchange(market, faults=parse_faults("checksum:1"), clock=fixed_clock(to_ms(END)))
    store = Lake(str(tmp_path / "lake"))
    told = run(both(url), store)
    assert stored(store)["source"].unique().to_list() == ["replay"]
    assert stored(store).height == market.rows
    assert told[KEYS[0]]["archive_fallbacks_of_the_run"].value == 2 * (1 + 30 + 1 + 31)
    assert "BTCUSDT-1h-2024-11.zip: its checksum is another's" in told[KEYS[0]]["archive_fallbacks"].value


def test_long_lists_of_fallbacks_are_cut():
    lines = [f"file {n}" for n in range(MOST_FALLBACKS_TOLD + 5)]
    told = told_fallbacks(lines)
    assert told["archive_fallbacks_of_the_run"] == len(lines)
    assert told["archive_fallbacks"].value.splitlines()[-1] == "- and 5 more"
    assert len(told["archive_fallbacks"].value.splitlines()) == MOST_FALLBACKS_TOLD + 1
    assert told_fallbacks([]) == {}
