"""The sensor that tells people: of failed runs, ticks and checks and of stale klines, and that they are over."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.test_utils import create_run_for_test
from dagster._utils.error import serializable_error_info_from_exc_info

from cryptobot_assets.alerts import outbox
from cryptobot_assets.alerts.book import Problem
from cryptobot_assets.automation import alerting, failed_runs
from cryptobot_assets.automation.alerting import AlertState, read_state, write_state
from cryptobot_assets.automation.failed_checks import FailedCheck, check_problems, failed_checks
from cryptobot_assets.automation.pages import Pages
from cryptobot_assets.automation.records import PROCESS_TAG
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.errors import ExchangeUnreachable, StoreError
from cryptobot_assets.storage.store import KLINES, LISTINGS
from cryptobot_assets_tests.alerts.servers import Received
from cryptobot_assets_tests.automation.ticks import RANGE, Platform

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning",
    "ignore::dagster._utils.warnings.PreviewWarning",
    "ignore::pydantic.warnings.PydanticDeprecatedSince20",
)
FIRST, LAST = "BTCUSDT|2024-01-01", "ETHUSDT|2024-01-02"
Look = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def see(platform: Platform, receiver: Received) -> Look:
    """Let the sensor look; returns state and title of what the webhook got since."""
    cursor: list[str | None] = [None]

    def look() -> list[tuple[str, str]]:
        seen = len(receiver.bodies)
        _, cursor[0] = platform.look("alert_sensor", cursor[0])
        return [(body["state"], body["title"]) for body in receiver.bodies[seen:]]

    assert look() == []
    return look


def fail(platform: Platform, first: str = FIRST, last: str = LAST, **tags: str) -> str:
    """A run of klines over a range whose process died; its id."""
    selection = frozenset({dg.AssetKey("klines")})
    run = create_run_for_test(
        platform.instance, status=dg.DagsterRunStatus.STARTED, asset_selection=selection,
        tags={RANGE[0]: first, RANGE[1]: last, failed_runs.WILL_RETRY: "false", **tags},
    )  # fmt: skip
    platform.instance.report_run_failed(run, "its process died")
    return run.run_id


def test_a_failed_run_is_told_with_its_cause_and_its_page(platform: Platform, see: Look, receiver: Received) -> None:
    run_id = platform.run_and_fail("klines", FIRST, ExchangeUnreachable("nothing answers there"))
    assert see() == [("failed", "klines failed for 1 partition")]
    (body,) = receiver.bodies
    assert body["reason"] == "nothing answers there"
    assert body["cause"] == "run of klines: ExchangeUnreachable"
    assert body["subjects"] == [FIRST]
    assert body["links"] == [f"http://127.0.0.1:3001/runs/{run_id}"]
    assert "the next tick fills what is missing" in body["advice"]
    platform.run_and_fail("klines", FIRST, ZeroDivisionError("division by zero"))
    assert see() == [("failed", "klines failed for 1 partition")], "another cause"
    assert receiver.bodies[1]["reason"] == "ZeroDivisionError: division by zero"


def test_one_message_a_cause_however_many_runs_fail_of_it(platform: Platform, see: Look, receiver: Received) -> None:
    fail(platform)
    fail(platform, "LTCUSDT|2024-01-01", "LTCUSDT|2024-01-02")
    assert see() == [("failed", "klines failed for 6 partitions")]
    assert receiver.bodies[0]["subjects"] == [f"{FIRST} to {LAST}", "LTCUSDT|2024-01-01 to LTCUSDT|2024-01-02"]
    assert len(receiver.bodies[0]["links"]) == 2
    fail(platform)
    assert see() == [], "within the hour"


def test_it_is_over_when_every_partition_was_made_after_all(platform: Platform, see: Look) -> None:
    fail(platform)
    see()
    platform.record("klines", [FIRST, "ETHUSDT|2024-01-01", LAST])
    assert see() == []
    platform.record("klines", ["BTCUSDT|2024-01-02"])
    assert see() == [("recovered", "Recovered: klines failed for 4 partitions")]
    assert see() == []


def test_of_a_run_of_many_assets_those_it_made_are_not_waited_for(platform: Platform, see: Look) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("evaluation_report"), dg.AssetSpec("pool_value")])
    def both(context):
        yield dg.MaterializeResult("evaluation_report")
        raise ExchangeUnreachable("gone")

    dg.materialize([both], instance=platform.instance, raise_on_error=False)
    assert see() == [("failed", "pool_value failed")]
    platform.instance.report_runless_asset_event(dg.AssetMaterialization("pool_value"))
    assert see() == [("recovered", "Recovered: pool_value failed")]


def test_not_told_are_runs_made_good_tried_again_or_inside_a_command(platform: Platform, see: Look) -> None:
    fail(platform, FIRST, FIRST)
    platform.record("klines", [FIRST])
    fail(platform, **{failed_runs.WILL_RETRY: "true"})
    fail(platform, **{PROCESS_TAG: "1"})
    assert see() == []


def test_a_failed_check_is_told_until_it_passes(platform: Platform) -> None:
    @dg.asset_check(asset="counted")
    def rows_are_whole() -> dg.AssetCheckResult: ...

    graph = (
        dg.Definitions(assets=[dg.AssetSpec("counted")], asset_checks=[rows_are_whole]).get_repository_def().asset_graph
    )
    held: list[FailedCheck] = []

    def see(passed: bool, severity: dg.AssetCheckSeverity) -> list[Problem]:
        told = {"check_name": "rows_are_whole", "description": "3 rows are missing\nmore"}
        platform.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(dg.AssetKey("counted"), passed=passed, severity=severity, **told)
        )
        held[:] = failed_checks(platform.instance, graph, held)
        return check_problems(held, Pages("http://here"))

    assert see(False, dg.AssetCheckSeverity.WARN) == []
    (problem,) = see(False, dg.AssetCheckSeverity.ERROR)
    assert problem.title == "counted: rows are whole is not true"
    assert problem.reason == "3 rows are missing"
    assert problem.links[0] == "http://here/assets/counted?view=checks"
    assert see(True, dg.AssetCheckSeverity.ERROR) == []


def tick(platform: Platform, status: TickStatus, at: int) -> None:
    """A tick of the ingestion schedule that ended so."""
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")
    origin = RemoteInstigatorOrigin(place, "ingestion_schedule")
    kept = (origin.get_id(), origin.get_selector().get_id())
    if platform.instance.get_instigator_state(*kept) is None:
        data = ScheduleInstigatorData("0 0,12 * * *", 0.0)
        running = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
        platform.instance.add_instigator_state(running)
    error = None
    if status == TickStatus.FAILURE:
        try:
            raise StoreError("the store is away")
        except StoreError as raised:
            error = serializable_error_info_from_exc_info((StoreError, raised, raised.__traceback__))
    platform.instance.create_tick(
        TickData(
            kept[0], "ingestion_schedule", InstigatorType.SCHEDULE, status, float(at),
            selector_id=kept[1], error=error, run_ids=[] if status == TickStatus.SUCCESS else None,
        )
    )  # fmt: skip


def test_a_schedule_that_cannot_ask_is_told_until_it_can(platform: Platform, see: Look, receiver: Received) -> None:
    tick(platform, TickStatus.SUCCESS, 1)
    assert see() == []
    tick(platform, TickStatus.FAILURE, 2)
    assert see() == [("failed", "ingestion_schedule could not ask for runs")]
    assert receiver.bodies[0]["reason"] == "the store is away"
    tick(platform, TickStatus.SKIPPED, 3)
    assert see() == [("recovered", "Recovered: ingestion_schedule could not ask for runs")]


def store_until(platform: Platform, currency: str, age: timedelta) -> None:
    """A day of klines, the newest of this age."""
    newest = (datetime.now(UTC) - age).replace(minute=0, second=0, microsecond=0)
    rows = make_klines(24, currency=currency, start=newest - timedelta(hours=23))
    platform.lake.replace(KLINES, rows, start=None, end=None, currency=currency)


def test_stale_klines_are_told_but_not_of_what_trades_no_more(
    platform: Platform, see: Look, receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "STORE_EVERY", timedelta(0))
    for currency, hours in (("BTCUSDT", 2), ("ETHUSDT", 15), ("LTCUSDT", 500)):
        store_until(platform, currency, timedelta(hours=hours))
    ended = {"currency": "LTCUSDT", "time": START, "end": START + timedelta(days=1), "position": 0}
    rows = pl.DataFrame([{**ended, "base": "LTC", "quote": "USDT", "kind": "rest"}]).select(list(LISTINGS.schema))
    platform.lake.replace(LISTINGS, rows.cast(LISTINGS.schema), start=None, end=None)
    assert see() == [("failed", "klines of 1 of 2 currencies are older than 14 h")]
    assert receiver.bodies[0]["subjects"] == ["ETHUSDT"]
    store_until(platform, "ETHUSDT", timedelta(hours=2))
    assert see() == [("recovered", "Recovered: klines of 1 of 2 currencies are older than 14 h")]


def test_a_store_that_is_away_is_told(
    platform: Platform, see: Look, receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "STORE_EVERY", timedelta(0))
    log = platform.settings.home / "lake" / "klines" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("no journal")
    assert see() == [("failed", "the store cannot be read")]
    shutil.rmtree(platform.settings.home / "lake")
    assert see() == [("recovered", "Recovered: the store cannot be read")]


def test_a_webhook_that_is_down_gets_its_messages_later(
    platform: Platform, see: Look, receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", timedelta(0))
    receiver.status = 503
    fail(platform)
    assert see() == []
    assert see() == []
    receiver.status = 200
    assert see() == [("failed", "klines failed for 4 partitions")]
    assert see() == []


def test_what_is_remembered_survives_being_written(platform: Platform, see: Look) -> None:
    fail(platform)
    _, cursor = platform.look("alert_sensor", write_state(replace(AlertState(), runs_place=0)))
    check = FailedCheck(asset="klines", check="whole", partition="", reason="no", run_id="1")
    state = replace(read_state(cursor), checks=(check,))
    assert [run.kind for run in state.runs] == ["RunFailure"]
    assert len(state.book.entries) == 1
    assert read_state(write_state(state)) == state
    assert read_state('{"book": 3}') == read_state("of an older version") == AlertState()
