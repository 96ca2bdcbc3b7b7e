"""The paper bot: what the champion's ranking would have bought and sold, booked hour by hour."""

from dataclasses import asdict
from typing import Any

import dagster as dg

from cryptobot_assets.assets.listings import listing_deps
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.paper_figures import Figures, figures_of
from cryptobot_assets.leaderboard import costs_of
from cryptobot_assets.paper import Booked, PaperBot
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.pools import PAPER
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import PAPER_BALANCES, Store

GROUP = "paper"
NAME = "paper_ledger"
CHECK = "the_ledger_equals_its_replay"
REPLAYED = DAY
"""Newest booked hours that every run replays."""


def paper_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `paper_ledger` asset of one deployment.

    It has no partitions: the ledger itself knows where it ends, and a partition an hour, or a day,
    would cost Dagster more to keep than the hour costs to book.
    """
    settings = partitions.settings

    @dg.asset(
        name=NAME,
        deps=[*_every(partitions), *listing_deps(partitions)],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=NAME,
                description="The newest booked day, run again over the klines stored now, gives the same rows bit for "
                "bit. Klines mended after their hour was booked break it: the ledger stays what was known then.",
            )
        ],
        pool=PAPER,
        group_name=GROUP,
        kinds={"python", "polars", "mlflow"},
        owners=["team:research"],
        code_version="1",
        description=(
            "Every hour that is due: the universe ranked by the champion in force, the hour's sleeve allocated by "
            f"the rule `{settings.paper_rule}`, filled at the next kline's open with fee and slippage, beside "
            "holding the universe and holding Bitcoin. Nothing is traded; an hour is booked once and never again."
        ),
    )
    def paper_ledger(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[Store],
        registry: dg.ResourceParam[Registry],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        bot = PaperBot(store, registry, settings)
        booked = bot.book(progress)
        balances = store.read(PAPER_BALANCES, market=settings.service_market)
        figures = figures_of(balances, costs_of(settings), seed=settings.seed, draws=settings.draws)
        replayed = bot.replay(max(figures.end - REPLAYED, figures.start)) if figures else None
        return dg.MaterializeResult(
            metadata=_told(booked, figures),
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=replayed is None or replayed.difference is None,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={
                        "hours": replayed.compared if replayed else 0,
                        "first_difference": str(replayed.difference) if replayed and replayed.difference else "none",
                    },
                )
            ],
        )

    return [paper_ledger]


def _every(partitions: Partitions) -> list[dg.AssetDep]:
    """All that the ledger is made of: whole, for it has no partitions."""
    layers = [group.asset(layer) for layer in ("klines", "indicators") for group in partitions.groups]
    return [dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) for name in (*layers, "champion_model")]


def _told(booked: Booked, figures: Figures | None) -> dict[str, Any]:
    told: dict[str, Any] = {"booked_hours": booked.hours, "waits_for": booked.waits_for}
    if figures is None:
        return told
    figured = {name: value for name, value in asdict(figures).items() if value is not None}
    for name in ("net_ci", "over_universe_ci"):
        if name in figured:
            low, high = figured[name]
            figured[name] = f"{low:.4f} to {high:.4f} (90 %)"
    return told | figured | {"start": figures.start.isoformat(), "end": figures.end.isoformat()}
