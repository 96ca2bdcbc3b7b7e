"""Metadata of single partitions reaches their events, at once as long as Dagster keeps it where it does."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from cryptobot_assets.assets import partition_metadata
from cryptobot_assets.assets.partition_metadata import Told, add_at_once, add_partition_metadata
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")

DAYS = 40
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LAST = "ETHUSDT|2025-02-09"
Add = Callable[[dg.AssetExecutionContext, Told], object]


def recorded(home: Path, add: Add) -> dict[str, dict[str, object]]:
    """Metadata by partition of a run over 40 days of two currencies; `add` is called for all, then for the last."""
    partitions = Partitions(Settings.load(home=home, start_day="2025-01-01", currencies="BTCUSDT,ETHUSDT"))

    @dg.asset(
        partitions_def=partitions.market_data(partitions.groups[0]), backfill_policy=dg.BackfillPolicy.single_run()
    )
    def told(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        add(context, {str(key): {"number": number} for number, key in enumerate(context.partition_keys)})
        add(context, {LAST: {"last": True}})
        return dg.MaterializeResult(metadata={"source": "here"})

    ends = {"dagster/asset_partition_range_start": "BTCUSDT|2025-01-01", "dagster/asset_partition_range_end": LAST}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([told], instance=instance, tags=ends, run_config=QUIET)
    return {
        event.partition: {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
    }


def require_told(told: dict[str, dict[str, object]]) -> None:
    assert len(told) == 2 * DAYS
    assert sorted(figures.pop("number") for figures in told.values()) == list(range(2 * DAYS))
    assert told.pop(LAST) == {"source": "here", "last": True}
    assert all(figures == {"source": "here"} for figures in told.values())


def test_each_partition_has_its_own_beside_that_of_the_run(tmp_path: Path) -> None:
    require_told(recorded(tmp_path, add_partition_metadata))


def test_this_version_of_dagster_takes_it_at_once(tmp_path: Path) -> None:
    """Fails when Dagster keeps metadata elsewhere: long runs then need another way, or much time."""
    took: list[bool] = []
    require_told(recorded(tmp_path, lambda context, told: took.append(add_at_once(context, told))))
    assert took == [True, True]


def test_another_version_of_dagster_is_told_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_metadata, "add_at_once", lambda context, told: False)
    require_told(recorded(tmp_path, add_partition_metadata))
