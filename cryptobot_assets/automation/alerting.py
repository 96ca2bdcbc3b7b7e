"""Telling people what is wrong: runs, ticks and checks that failed, klines that are stale, a store that is away.

Each look reads what Dagster recorded since the last one, compares what is wrong with what people were
told (`alerts/book.py`) and sends what is to be told (`alerts/outbox.py`). What must be remembered from
look to look is the sensor's cursor.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from cryptobot_assets.alerts.book import Book, Message, Problem, look
from cryptobot_assets.alerts.channels import open_channels
from cryptobot_assets.alerts.outbox import Letter, deliver, post
from cryptobot_assets.automation.failed_checks import FailedCheck, check_problems, failed_checks
from cryptobot_assets.automation.failed_runs import FailedRun, failed_runs, run_problems, still_failed
from cryptobot_assets.automation.failed_ticks import tick_problems
from cryptobot_assets.automation.freshness import store_problems
from cryptobot_assets.automation.pages import Pages
from cryptobot_assets.automation.records import sensor_status
from cryptobot_assets.errors import ProcessError
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings

NAME = "alert_sensor"
STORE_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class AlertState:
    """What is remembered between two looks.

    Attributes:
        book: what people were told.
        letters: messages still to be delivered.
        runs_place: how far the event log was read for failed runs; None before the first look.
        runs, checks: what failed and was not made good yet.
        store_looked: when the store was last looked at.
        store: what was wrong with it then.
    """

    book: Book = field(default_factory=Book)
    letters: tuple[Letter, ...] = ()
    runs_place: int | None = None
    runs: tuple[FailedRun, ...] = ()
    checks: tuple[FailedCheck, ...] = ()
    store_looked: datetime | None = None
    store: tuple[Problem, ...] = ()


def alerts(partitions: Partitions) -> dg.Definitions:
    """The sensor that tells people."""
    settings = partitions.settings

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=settings.sensor_seconds,
        default_status=sensor_status(settings),
        description=(
            "Tells people, in the log and over the channels that the settings name, of runs, ticks and checks that "
            f"failed and of klines older than {settings.freshness_hours:g} h: once a cause, and when it is over."
        ),
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if context.repository_def is None:
            raise ProcessError("the alert sensor was not handed what it watches: start it with its code location")
        now, graph = datetime.now(UTC), context.repository_def.asset_graph
        state = watch(context.instance, graph, settings, read_state(context.cursor), now)
        book, messages = look(state.book, problems_of(state, context.instance, graph, settings), now)
        for message in messages:
            write = context.log.info if message.state == "recovered" else context.log.error
            write(message.text)
        channels = open_channels(settings)
        letters = deliver(post(state.letters, messages, channels), channels, now, context.log)
        context.update_cursor(write_state(replace(state, book=book, letters=tuple(letters))))
        return dg.SkipReason(summary(book, messages, letters))

    return dg.Definitions(sensors=[alert])


def watch(
    instance: dg.DagsterInstance, graph: AssetGraph, settings: Settings, held: AlertState, now: datetime
) -> AlertState:
    """The state after reading what was recorded since."""
    runs_place, runs = failed_runs(instance, held.runs_place, held.runs, now)
    state = replace(
        held,
        runs_place=runs_place,
        runs=tuple(still_failed(instance, graph, runs, now)),
        checks=tuple(failed_checks(instance, graph, held.checks)),
    )
    if held.store_looked is not None and now - held.store_looked < STORE_EVERY:
        return state
    return replace(state, store_looked=now, store=tuple(store_problems(settings, Pages.of(settings), now)))


def problems_of(
    state: AlertState, instance: dg.DagsterInstance, graph: AssetGraph, settings: Settings
) -> list[Problem]:
    """Everything that is wrong now."""
    pages = Pages.of(settings)
    return [
        *run_problems(state.runs, graph, pages),
        *check_problems(state.checks, pages),
        *tick_problems(instance, pages, but=NAME),
        *state.store,
    ]


def summary(book: Book, messages: list[Message], letters: list[Letter]) -> str:
    """One line about a look, for the sensor's page."""
    wrong = "; ".join(problem.title for problem in book.open) or "nothing is wrong"
    waiting = f"; {len(letters)} messages wait for a channel that fails" if letters else ""
    return f"{wrong}; {len(messages)} told{waiting}"


def read_state(cursor: str | None) -> AlertState:
    """What an earlier look remembered; nothing where it was written by another version of this program."""
    try:
        return msgspec.json.decode(cursor, type=AlertState) if cursor else AlertState()
    except (msgspec.ValidationError, msgspec.DecodeError):
        return AlertState()


def write_state(state: AlertState) -> str:
    """The state as a sensor's cursor."""
    return msgspec.json.encode(state).decode()
