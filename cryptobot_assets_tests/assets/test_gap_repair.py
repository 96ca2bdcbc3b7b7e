"""The ledger and repair as Dagster runs them: what they tell, and of which partitions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.assets.gap_ledger import MOST_CURRENCIES_TOLD, currency_table, gap_ledger_assets
from cryptobot_assets.assets.gap_repair import gap_repair_assets
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.ledger import COUNTED
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.progress import Silent
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import COVERAGE, KLINES
from cryptobot_assets_tests.assets.gap_market import MONTHS, Place

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")

THIRD = datetime(2025, 1, 3, tzinfo=UTC)
REPAIR = {"mended_klines", "indicators_computed_anew", "klines_the_exchange_has_not", "currencies_refused"}
Told = dict[str, dict[str, object]]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(place: Place, instance: dg.DagsterInstance, first: str = MONTHS[0], store: Lake | None = None) -> list[Told]:
    """Materialize the ledger and repair over the months from `first` on; metadata by partition of each."""
    result = dg.materialize(
        [*gap_ledger_assets(place.partitions), *gap_repair_assets(place.partitions)],
        instance=instance,
        resources={"history": place.history, "store": store or place.lake, "progress": Silent()},
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": MONTHS[-1]},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return [
        {
            event.partition: {name: value.value for name, value in event.metadata.items()}
            for event in result.asset_materializations_for_node(name)
            if event.asset_key == dg.AssetKey(name)
        }
        for name in ("gap_ledger", "gap_repair")
    ]


def test_a_run_tells_of_each_month_and_of_the_partitions_it_mended(
    ingested: Place, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    place = ingested.copy(tmp_path)
    place.lose(THIRD, THIRD + DAY, "BTCUSDT")
    found, mended = run(place, instance)
    january = found["2025-01-01"]
    assert {name: value for name, value in january.items() if name not in ("gaps", "picture")} == {
        "expected": 31 * 24 * 4, "stored": 31 * 24 * 4 - 28, "outage": 0, "halt": 0, "not_listed": 0, "delisted": 0,
        "missing": 28, "surplus_rows": 0,
    }  # fmt: skip
    assert january["gaps"].splitlines()[2:] == [
        "BTCUSDT | 744 | 720 | 24 | 0 | 0 | 0 | 0",
        "ETHUSDT | 744 | 740 | 4 | 0 | 0 | 0 | 0",
    ]
    assert january["picture"].startswith("![Klines lacking, 4 currencies](data:image/png;base64,")
    told = mended["2025-01-01"]
    assert {name: told[name] for name in sorted(REPAIR)} | {"missing": told["missing"], "halt": told["halt"]} == {
        "currencies_refused": 0, "indicators_computed_anew": 31 * 24 + 19 * 24, "klines_the_exchange_has_not": 4,
        "mended_klines": 24, "missing": 0, "halt": 4,
    }  # fmt: skip
    assert set(mended["2024-12-01"]) == REPAIR, "nothing was to be repaired there"
    assert newest(instance, "klines", "BTCUSDT|2025-01-01") == {"dagster/row_count": 744, "mended_klines": 24}
    assert newest(instance, "indicators", "BTCUSDT|2025-02-01") == {"dagster/row_count": 19 * 24}


def newest(instance: dg.DagsterInstance, asset: str, partition: str) -> dict[str, object]:
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
    (record,) = instance.fetch_materializations(wanted, limit=1).records
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_a_partition_that_dagster_knows_and_the_store_lost_whole_is_missing(
    repaired: Place, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    place = repaired.copy(tmp_path)
    for table in (KLINES, COVERAGE):
        place.lose(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC), "BTCUSDT", table=table)
    found, _ = run(place, instance, "2025-01-01")
    assert found["2025-01-01"]["missing"] == 0, "nobody knows of it"
    instance.report_runless_asset_event(dg.AssetMaterialization("klines", partition="BTCUSDT|2025-01-01"))
    found, mended = run(place, instance, "2025-01-01")
    assert found["2025-01-01"]["missing"] == mended["2025-01-01"]["mended_klines"] == 744


def test_without_klines_it_says_what_to_do(ingested: Place, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    with pytest.raises(NotEnoughHistory, match="materialize `klines` first"):
        run(ingested, instance, MONTHS[-1], Lake(str(tmp_path / "empty")))


def test_a_long_table_is_cut_and_those_that_miss_most_come_first() -> None:
    counts = dict.fromkeys(COUNTED, 0)
    rows = [{"currency": f"C{n:03}", "time": THIRD, **counts, "expected": 24, "missing": n} for n in range(30)]
    lines = currency_table(pl.DataFrame(rows, schema=COVERAGE.schema)).splitlines()
    assert lines[2].startswith("C029 | 24 | 0 | 29 |")
    assert len(lines) == 2 + MOST_CURRENCIES_TOLD + 1
    assert lines[-1] == "and 9 more"
