"""The main job, end to end: klines to a served prediction, through the ordinary assets."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptobot_assets.assets.training import model_asset_name
from cryptobot_assets.assets.training_rows import TRAINING_SET
from cryptobot_assets.cli.console import Stage, require_writable_file, say
from cryptobot_assets.cli.leaderboard import print_leaderboard
from cryptobot_assets.cli.market import (
    LiveMarket,
    MarketPlan,
    explore,
    require_same_market,
    spread_cutoffs,
    start_market,
)
from cryptobot_assets.cli.memory import PeakMemory
from cryptobot_assets.cli.ranges import missing_ranges, whole_ranges
from cryptobot_assets.cli.service import ask, start_service
from cryptobot_assets.deployment import Deployment, open_deployment
from cryptobot_assets.domain.intervals import DAY, day_start, interval_delta
from cryptobot_assets.errors import NoModel, UsageError
from cryptobot_assets.home import HomeLock
from cryptobot_assets.models.algorithms import ALGORITHMS, usable_algorithms
from cryptobot_assets.page.last import last_report
from cryptobot_assets.page.render import page_path
from cryptobot_assets.partitions import POOLED_MARKET, model_key
from cryptobot_assets.processes import Supervisor
from cryptobot_assets.profile import HomeProfile, read_profile, write_profile
from cryptobot_assets.progress import Progress
from cryptobot_assets.report import champion_part, data_report
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import NO_ARCHIVE, Settings
from cryptobot_assets.storage.store import open_store


@dataclass(frozen=True, kw_only=True)
class DemoPlan:
    """What the demo was asked to do."""

    market: MarketPlan
    currencies: tuple[str, ...] | None
    cutoffs: int
    report: Path | None


@dataclass
class Timings:
    """What each stage took, in the report's names: seconds, and the peak of memory while it ran."""

    memory: PeakMemory
    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        """A stage has ended; memory is counted since the one before did."""
        self.seconds[name] = seconds
        self.peak_mb[name] = self.memory.lately_mb()


def demo_plan(
    settings: Settings,
    *,
    replay: tuple[Path, ...],
    interval: str | None,
    currencies: tuple[str, ...] | None,
    cutoffs: int,
    report: Path | None,
) -> DemoPlan:
    """The plan behind the command's options; raises `UsageError` on what cannot be meant."""
    chosen_algorithms(settings)
    for path in replay:
        if not path.exists():
            raise UsageError(f"replay {path} does not exist")
    if report is not None:
        require_writable_file(report)
    market = MarketPlan(
        interval=interval or settings.interval, seed=settings.seed, replay=tuple(one.absolute() for one in replay)
    )
    return DemoPlan(market=market, currencies=currencies, cutoffs=cutoffs, report=report)


def run_demo(plan: DemoPlan, settings: Settings) -> dict[str, Any]:
    """Run every stage on the home of the settings; returns the report (also written where asked).

    An interrupted run leaves whole partitions and finished trials; running again goes on from
    there and ends in the same tables.
    """
    started = time.monotonic()
    require_same_market(read_profile(settings.home), plan.market, settings.home)
    with HomeLock(settings.home, "cryptobot demo"), PeakMemory() as memory, Supervisor() as supervisor:
        timings = Timings(memory)
        say(f"Home {settings.home}")
        say(f"Exchange: {plan.market.title}, {plan.market.interval} klines")
        url = start_market(plan.market, supervisor, settings.home / "logs")
        live = explore(url, plan.market.interval, plan.currencies)
        settings = adopt(settings, plan, live)
        with open_deployment(settings) as deployment:
            cutoffs = spread_cutoffs(live.first_day, live.last_day, plan.cutoffs)
            deployment.materialize(["listings"])
            fill_market_data(deployment, live, timings)
            train_models(deployment, cutoffs, timings)
            evaluate(deployment, cutoffs[0], live, timings)
            report = describe(deployment, plan, live)
            report["prediction"] = serve_once(deployment, supervisor, live, timings)
    seconds = timings.seconds | {"total": time.monotonic() - started}
    report["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    report["peak_rss_mb"] = round(memory.peak_mb, 1)
    report["peak_rss_mb_by_stage"] = {name: round(value, 1) for name, value in timings.peak_mb.items()}
    if plan.report is not None:
        plan.report.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    show(report, plan)
    return report


def adopt(settings: Settings, plan: DemoPlan, live: LiveMarket) -> Settings:
    """The settings of the market that answers, kept in the home for later commands."""
    interval = plan.market.interval
    adopted = Settings.load(
        **settings.model_dump(
            exclude={
                "currencies",
                "interval",
                "partition",
                "start_day",
                "exchange_url",
                "archive_url",
                "archive_index_url",
            }
        ),
        currencies=",".join(live.currencies),
        interval=interval,
        partition="month" if interval == "1h" else "day",
        start_day=live.first_day,
        exchange_url=live.url,
        archive_url=NO_ARCHIVE,
    )
    profile = HomeProfile(
        interval=interval,
        partition=adopted.partition,
        currencies=adopted.currencies,
        start_day=adopted.start_day,
        market=POOLED_MARKET,
        exchange=plan.market.facts,
    )
    write_profile(adopted.home, profile)
    return adopted


def fill_market_data(deployment: Deployment, live: LiveMarket, timings: Timings) -> None:
    """Ingest and indicate what is not recorded yet, a run a currency."""
    expected = len(live.currencies) * int(
        (day_start(live.last_day) + DAY - day_start(live.first_day)) / interval_delta(deployment.settings.interval)
    )
    for layer, stage_name, title in (
        ("klines", "ingest", "Ingest klines"),
        ("indicators", "indicators", "Build indicators"),
    ):
        with Stage(title, expected).running() as stage:
            for one in missing_ranges(deployment, layer, live.currencies, live.first_day, live.last_day):
                deployment.materialize([one.asset], key_range=one.keys, resources={"progress": stage})
        timings.add(stage_name, stage.seconds)


def train_models(deployment: Deployment, cutoffs: Sequence[datetime], timings: Timings) -> None:
    """Tune and register every algorithm as of every cutoff, a run a cutoff."""
    algorithms = chosen_algorithms(deployment.settings)
    total = len(algorithms) * len(cutoffs) * deployment.settings.trials
    with Stage(f"Tune {len(algorithms)} models as of {len(cutoffs)} cutoffs", total).running() as stage:
        for cutoff in cutoffs:
            deployment.materialize(
                [TRAINING_SET, *map(model_asset_name, algorithms)],
                key=model_key(POOLED_MARKET, cutoff),
                resources={"progress": stage},
            )
    timings.add("tune", stage.seconds)


def chosen_algorithms(settings: Settings) -> tuple[str, ...]:
    """The algorithms asked for, all that the currencies can train when none was named.

    Raises:
        UsageError: one is unknown.
    """
    unknown = [name for name in settings.algorithms if name not in ALGORITHMS]
    if unknown:
        raise UsageError(f"unknown algorithms {', '.join(unknown)}: choose among {', '.join(ALGORITHMS)}")
    return settings.algorithms or usable_algorithms(len(settings.currencies))


def evaluate(deployment: Deployment, first_cutoff: datetime, live: LiveMarket, timings: Timings) -> None:
    """Predict every row after the first cutoff, evaluate, and judge the champion."""
    steps = len(live.currencies) + len(chosen_algorithms(deployment.settings))
    with Stage("Predict, evaluate, promote", steps).running() as stage:
        resources: Mapping[str, Progress] = {"progress": stage}
        for one in whole_ranges(deployment, "predictions", first_cutoff.date(), live.last_day):
            deployment.materialize([one.asset], key_range=one.keys, resources=resources)
        deployment.materialize(
            ["evaluation_report", "pool_value", "champion_model"], key=POOLED_MARKET, resources=resources
        )
    timings.add("evaluate", stage.seconds)


def describe(deployment: Deployment, plan: DemoPlan, live: LiveMarket) -> dict[str, Any]:
    """Every part of the report that is read from what is stored."""
    settings = deployment.settings
    store = open_store(settings)
    return {
        "interval": settings.interval,
        "currencies": list(settings.currencies),
        "days": {"from": live.first_day.isoformat(), "to": live.last_day.isoformat()},
        "source": plan.market.title,
        **data_report(store, settings, start=day_start(live.first_day), end=day_start(live.last_day) + DAY),
        **judged_report(settings),
    }


def judged_report(settings: Settings) -> dict[str, Any]:
    """The parts that the evaluation of a moment ago found and left in its page, and the champion since then."""
    found = last_report(page_path(settings, POOLED_MARKET))
    champion = open_registry(settings).champion(POOLED_MARKET)
    if found is None or champion is None:
        raise NoModel(f"market {POOLED_MARKET} has no report or no champion yet: run the demo again")
    parts = {name: found[name] for name in ("models", "control", "skill", "words")}
    return parts | {"champion": champion_part(champion)}


def serve_once(deployment: Deployment, supervisor: Supervisor, live: LiveMarket, timings: Timings) -> dict[str, Any]:
    """Start the prediction service, ask it once, and return the question and the answer."""
    with Stage("Serve the champion", 1).running() as stage:
        service = start_service(deployment.settings, supervisor, port=None)
        request = {"currency": live.currencies[0]}
        response = ask(service, request, api_key=deployment.settings.api_key)
        stage.advance("serve", steps=1)
    timings.add("serve", stage.seconds)
    return {"request": request, "response": response}


def show(report: Mapping[str, Any], plan: DemoPlan) -> None:
    """Print what the demo found, in words a sceptic would accept."""
    klines, days = report["klines"], report["days"]
    say()
    say(
        f"{report['source']}: {klines['rows']:,} klines of {len(report['currencies'])} currencies, "
        f"{days['from']} to {days['to']}; {klines['missing']:,} missing in {len(klines['gaps'])} recorded gaps"
    )
    print_leaderboard(report["models"], report["control"], report["champion"])
    for line in report["words"]:
        say(line)
    if not plan.market.replay:
        say("The market is simulated, with a weak planted effect: these figures say nothing about a real one.")
    reply = report["prediction"]["response"]
    say()
    say(f"POST /predict {json.dumps(report['prediction']['request'])}")
    say(
        f"  {reply['direction']} {reply['predicted_return']:+.4%} over 24 h from {reply['known_at']} "
        f"(90 %: {reply['interval'][0]:+.2%} to {reply['interval'][1]:+.2%}), by {reply['model']['algorithm']} "
        f"({reply['model']['verdict']})"
    )
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["seconds"].items())
    say(f"Times: {times}; peak memory {report['peak_rss_mb']:,.0f} MB")
