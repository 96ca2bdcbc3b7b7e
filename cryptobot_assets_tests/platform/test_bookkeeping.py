"""No partition's status is lost, whether a run ends well, fails or is killed: what Dagster's own pages show."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

from cryptobot_assets.dagster_home import close_abandoned_runs
from cryptobot_assets.deployment import Deployment, RunFailed, open_deployment
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.event_log import BulkEventLogStorage

pytestmark = [
    pytest.mark.platform,
    pytest.mark.filterwarnings(
        "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
    ),
]

SETTINGS = {"currencies": "BTCUSDT,ETHUSDT,LTCUSDT", "start_day": "2025-01-01"}
ASSET = "indicators"
STATUSES = """
query Statuses($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      partitionStats { numMaterialized numMaterializing numFailed }
      assetPartitionStatuses {
        ... on MultiPartitionStatuses {
          ranges {
            primaryDimStartKey
            primaryDimEndKey
            secondaryDim {
              ... on DefaultPartitionStatuses { materializedPartitions materializingPartitions failedPartitions }
            }
          }
        }
      }
    }
  }
}
"""
Ranges = dict[tuple[str, str], dict[str, list[str]]]
Ask = Callable[[], tuple[dict[str, int], Ranges]]

KILLED = """
import os, signal, sys
from pathlib import Path
import dagster as dg
from cryptobot_assets.deployment import open_deployment
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.event_log import BulkEventLogStorage

settings = Settings.load(home=Path(sys.argv[1]), currencies=sys.argv[2], start_day=sys.argv[3])
recorded = BulkEventLogStorage._store_asset_event
seen = []

def record_two_batches(self, connection, event, event_id):
    if event.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
        seen.append(event_id)
        if len(seen) == 3:  # the rows of the third batch are written, and not committed
            os.kill(os.getpid(), signal.SIGKILL)
    recorded(self, connection, event, event_id)

BulkEventLogStorage._store_asset_event = record_two_batches
with open_deployment(settings) as deployment:
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = "20"
    deployment.materialize(["indicators"], key_range=("LTCUSDT|2025-01-01", "LTCUSDT|2025-02-19"))
"""


class Failing(Progress):
    """Lets a run fail after its first block."""

    def advance(self, stage: str, *, steps: int = 0, rows: int = 0, note: str = "") -> None:
        raise RuntimeError("the disk is full")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The real assets over an empty store: indicators of no klines are no rows."""
    settings = Settings.load(home=tmp_path_factory.mktemp("home"), **SETTINGS)
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("CRYPTOBOT_", "DAGSTER_", "MLFLOW_"))]:
            environment.delenv(name)
        for name, value in SETTINGS.items():
            environment.setenv(f"CRYPTOBOT_{name.upper()}", value)
        before = dict(os.environ)
        with open_deployment(settings) as opened:
            yield opened
        for name in set(os.environ) - set(before):
            del os.environ[name]


@pytest.fixture(scope="module")
def ask(deployment: Deployment) -> Iterator[Ask]:
    """What Dagster's pages say of the partitions: their numbers, and by range of days the currencies of each status."""
    from dagster_graphql.test.utils import execute_dagster_graphql  # seconds that no other worker need pay

    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="cryptobot_assets.definitions"))
    with WorkspaceProcessContext(deployment.instance, InProcessWorkspaceLoadTarget(origin)) as process:

        def statuses() -> tuple[dict[str, int], Ranges]:
            context = process.create_request_context()
            answer = execute_dagster_graphql(context, STATUSES, {"asset": {"path": [ASSET]}}).data["assetNodeOrError"]
            ranges = {
                (one["primaryDimStartKey"], one["primaryDimEndKey"]): {
                    name.removesuffix("Partitions"): currencies
                    for name, currencies in one["secondaryDim"].items()
                    if currencies
                }
                for one in answer["assetPartitionStatuses"]["ranges"]
            }
            return answer["partitionStats"], ranges

        yield statuses


def of(currency: str, first: str, last: str) -> tuple[str, str]:
    return f"{currency}|{first}", f"{currency}|{last}"


def with_status(status: str, ranges: Ranges) -> set[str]:
    return {
        f"{currency}|{day}"
        for (first, last), currencies in ranges.items()
        for day in days_of(first, (date.fromisoformat(last) - date.fromisoformat(first)).days + 1)
        for currency in currencies.get(status, [])
    }


def days_of(first: str, count: int) -> list[str]:
    return [(date.fromisoformat(first) + timedelta(days=number)).isoformat() for number in range(count)]


def test_the_deployment_records_in_bulk(deployment: Deployment) -> None:
    assert type(deployment.instance.event_log_storage) is BulkEventLogStorage


def test_every_partition_of_a_run_shows_as_materialized(deployment: Deployment, ask: Ask) -> None:
    deployment.materialize([ASSET], key_range=("BTCUSDT|2025-01-01", "ETHUSDT|2025-06-30"))
    assert deployment.materialized(ASSET) == {
        f"{currency}|{day}" for currency in ("BTCUSDT", "ETHUSDT") for day in days_of("2025-01-01", 181)
    }
    stats, ranges = ask()
    assert stats == {"numMaterialized": 362, "numMaterializing": 0, "numFailed": 0}
    assert ranges == {("2025-01-01", "2025-06-30"): {"materialized": ["BTCUSDT", "ETHUSDT"]}}
    told = deployment.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(ASSET), asset_partitions=["ETHUSDT|2025-06-30"]), limit=10
    ).records
    assert [record.asset_materialization.metadata["dagster/row_count"].value for record in told] == [0]


def test_a_run_that_fails_leaves_its_partitions_failed_until_one_ends_well(deployment: Deployment, ask: Ask) -> None:
    lost = of("LTCUSDT", "2025-07-01", "2025-07-03")
    with pytest.raises(RunFailed, match="the disk is full"):
        deployment.materialize([ASSET], key_range=lost, resources={"progress": Failing()})
    assert ask()[0] == {"numMaterialized": 362, "numMaterializing": 0, "numFailed": 3}
    assert ask()[1][("2025-07-01", "2025-07-03")] == {"failed": ["LTCUSDT"]}
    for _ in range(2):
        deployment.materialize([ASSET], key_range=lost)
        assert ask()[0] == {"numMaterialized": 365, "numMaterializing": 0, "numFailed": 0}
        assert set(lost) <= deployment.materialized(ASSET)
        with pytest.raises(RunFailed, match="the disk is full"):
            deployment.materialize([ASSET], key_range=lost, resources={"progress": Failing()})
        assert not deployment.materialized(ASSET) & set(lost), "it may have stored some of its rows"
    deployment.materialize([ASSET], key_range=lost)


def test_a_run_killed_while_it_records_leaves_what_was_recorded(deployment: Deployment, ask: Ask) -> None:
    before = deployment.materialized(ASSET)
    arguments = [str(deployment.settings.home), *SETTINGS.values()]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    recorded = deployment.materialized(ASSET) - before
    lost = {f"LTCUSDT|{day}" for day in days_of("2025-01-01", 50)} - recorded
    assert (len(recorded), len(lost)) == (40, 10)
    stats, ranges = ask()
    assert stats == {"numMaterialized": 405, "numMaterializing": 10, "numFailed": 0}
    assert with_status("materializing", ranges) == lost
    assert close_abandoned_runs(deployment.instance, local=True) == 1
    stats, ranges = ask()
    assert stats == {"numMaterialized": 405, "numMaterializing": 0, "numFailed": 10}
    assert with_status("failed", ranges) == lost
    assert deployment.materialized(ASSET) == before | recorded
