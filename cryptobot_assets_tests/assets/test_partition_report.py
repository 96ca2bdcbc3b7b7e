"""Figures of single partitions: each tells its own, and a picture is stored once a currency."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.assets.links import mlflow_address
from cryptobot_assets.assets.partition_report import ROWS, PartitionReport
from cryptobot_assets.assets.pictures import MOST_POINTS
from cryptobot_assets.contracts.factories import make_times
from cryptobot_assets.domain.gaps import find_gaps, missing_times
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")

START = datetime(2025, 1, 1, tzinfo=UTC)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
Told = dict[str, dict[str, object]]


def make_partitions(home: Path, *, interval: str = "1m", currencies: int = 2) -> Partitions:
    names = ",".join(f"C{number:03}USDT" for number in range(currencies))
    return Partitions(Settings.load(home=home, interval=interval, start_day="2025-01-01", currencies=names))


def paint(rows: pl.DataFrame, count: int) -> str:
    assert rows.height <= 2 * MOST_POINTS
    return f"picture of {count}"


def run(partitions: Partitions, first: str, last: str, *, hours: int) -> Told:
    """Run an asset that finds `hours` hourly rows from the start on, for each currency; metadata by partition."""

    @dg.asset(
        partitions_def=partitions.market_data(partitions.groups[0]), backfill_policy=dg.BackfillPolicy.single_run()
    )
    def counted(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        report = PartitionReport(partitions, (ROWS, "missing"))
        for currency in sorted({key.split("|")[0] for key in context.partition_keys}):
            times = make_times(hours, start=START)
            report.count(ROWS, currency, times)
            report.show(currency, times.to_frame(), paint)
            report.show(currency, times.to_frame().clear(), paint)
        report.attach(context)
        return dg.MaterializeResult()

    ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([counted], instance=instance, tags=ends, run_config=QUIET)
    return {
        event.partition: {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
    }


def test_each_partition_tells_its_own_rows(tmp_path: Path) -> None:
    told = run(make_partitions(tmp_path), "C000USDT|2025-01-01", "C001USDT|2025-01-03", hours=30)
    for currency in ("C000USDT", "C001USDT"):
        assert told[f"{currency}|2025-01-01"] == {"dagster/row_count": 24, "missing": 0}
        assert told[f"{currency}|2025-01-02"] == {"dagster/row_count": 6, "missing": 0}
        assert told[f"{currency}|2025-01-03"] == {"dagster/row_count": 0, "missing": 0, "picture": "picture of 30"}


def test_months_are_counted_as_months(tmp_path: Path) -> None:
    partitions = make_partitions(tmp_path, interval="1h", currencies=1)
    told = run(partitions, "C000USDT|2025-01-01", "C000USDT|2025-02-01", hours=32 * 24)
    assert [told[f"C000USDT|2025-0{month}-01"]["dagster/row_count"] for month in (1, 2)] == [31 * 24, 24]


def test_a_picture_is_of_all_rows_and_holds_few(tmp_path: Path) -> None:
    partitions = make_partitions(tmp_path, interval="1h", currencies=1)
    told = run(partitions, "C000USDT|2025-01-01", "C000USDT|2025-01-01", hours=5 * MOST_POINTS)
    assert told["C000USDT|2025-01-01"]["picture"] == f"picture of {5 * MOST_POINTS}"


def test_pictures_are_of_a_few_currencies(tmp_path: Path) -> None:
    partitions = make_partitions(tmp_path, currencies=5)
    assert partitions.settings.pictures == 4
    told = run(partitions, "C000USDT|2025-01-01", f"{partitions.settings.currencies[-1]}|2025-01-02", hours=48)
    assert len(told) == 2 * 5
    assert all(figures["dagster/row_count"] == 24 for figures in told.values())
    pictured = sorted(key for key, figures in told.items() if "picture" in figures)
    assert pictured == [f"{name}|2025-01-02" for name in partitions.settings.currencies[:4]]


def test_missing_times_are_those_the_gaps_span() -> None:
    times = make_times(48, start=START)
    present = times.filter(~times.dt.hour().is_between(22, 23))
    gaps = find_gaps("C000USDT", present, "1h", START, datetime(2025, 1, 3, tzinfo=UTC))
    assert missing_times(gaps, "1h").to_list() == times.filter(times.dt.hour().is_between(22, 23)).to_list()
    assert missing_times(gaps.clear(), "1h").to_list() == []


@pytest.mark.parametrize(
    ("tracking", "address"),
    [
        (None, "http://127.0.0.1:5678"),
        ("postgresql+psycopg2://user:secret@host/mlflow", "http://127.0.0.1:5678"),
        ("sqlite:///mlflow.db", "http://127.0.0.1:5678"),
        ("https://user:secret@mlflow.example.com:8443/base/", "https://mlflow.example.com:8443/base"),
    ],
)
def test_links_lead_to_the_tracking_server_without_credentials(
    tracking: str | None, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = Settings.load(home=tmp_path, mlflow_tracking_uri=tracking, mlflow_port=5678)
    assert mlflow_address(settings) == address
