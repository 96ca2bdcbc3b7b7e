"""What the out-of-sample predictions of a market are worth, beside what costs nothing to know."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from cryptobot_assets.assets.links import artifact_page
from cryptobot_assets.assets.pictures import actual_against_predicted, as_markdown, equity_picture
from cryptobot_assets.domain.evaluation import Evaluation, verdict_in_words
from cryptobot_assets.domain.feature_worth import GroupWorth, told_worth, worth_row
from cryptobot_assets.domain.pool_value import Costs, equity, holding_curve
from cryptobot_assets.domain.portfolio import Result
from cryptobot_assets.domain.universe import Listing, symbol_of, tradable
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.feature_worth import read_worths
from cryptobot_assets.leaderboard import Evidence, costs_of, read_evidence
from cryptobot_assets.page.cards import evaluated_card
from cryptobot_assets.page.render import make_page, page_path, write_page
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import read_listings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.registry_runs import WORTH_TABLE, read_run
from cryptobot_assets.storage.store import Store

GROUP = "evaluation"
REPORT = "evaluation_report"
POOL_VALUE = "pool_value"
PAGE = "report.html"
NO_BREAK = "\N{NO-BREAK SPACE}"


def evaluation_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """`evaluation_report` and `pool_value` of one deployment: one evaluation of a market serves both."""
    settings = partitions.settings
    every_prediction = [
        dg.AssetDep(group.asset("predictions"), partition_mapping=dg.AllPartitionMapping())
        for group in partitions.groups
    ]

    def spec(name: str, kinds: set[str], description: str) -> dg.AssetSpec:
        return dg.AssetSpec(
            name,
            deps=every_prediction,
            group_name=GROUP,
            kinds={"python", "polars"} | kinds,
            owners=["team:research"],
            code_version="1",
            description=description,
        )

    @dg.multi_asset(
        name=GROUP,
        specs=[
            spec(
                REPORT,
                {"mlflow"},
                "Error against predicting zero, hourly IC, classification beside its base rate and effective sample "
                "count, each algorithm on its out-of-sample rows. Writes them as one HTML page, kept in MLflow too.",
            ),
            spec(
                POOL_VALUE,
                set(),
                "What capital would have become in 24 hourly sleeves, by the replaced formula, gross and net of costs, "
                "beside the control that simply holds.",
            ),
        ],
        partitions_def=partitions.market_partitions,
        can_subset=True,
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[Store],
        registry: dg.ResourceParam[Registry],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[dg.MaterializeResult]:
        evidence = read_evidence(store, settings, context.partition_key)
        require_evaluations(evidence.evaluations, evidence.market)
        selected = {key.to_user_string() for key in context.selected_asset_keys}
        if REPORT in selected:
            yield dg.MaterializeResult(REPORT, metadata=_reported(evidence, store, registry, settings, progress))
        if POOL_VALUE in selected:
            yield dg.MaterializeResult(POOL_VALUE, metadata=_pooled(evidence, store, settings))

    return [evaluation]


def _reported(
    evidence: Evidence, store: Store, registry: Registry, settings: Settings, progress: Progress
) -> dict[str, Any]:
    """Write the page, keep the figures with the models' runs; returns what Dagster shows."""
    market, evaluations = evidence.market, evidence.evaluations
    pictures = {
        one.algorithm: actual_against_predicted(
            evidence.predictions[one.algorithm].drop_nulls("realised_return"),
            f"{market} {one.algorithm}, out of sample",
        )
        for one in evaluations
    }
    held = registry.versions(market)
    newest = {version.algorithm: version for version in held}
    scoring = {version.algorithm: version for version in held for one in evaluations if is_of(version, one)}
    worths = read_worths(store, registry, settings, evidence)
    for algorithm, found in worths.items():
        table = {WORTH_TABLE: [worth_row(one) for one in found]}
        registry.log_evaluation(scoring[algorithm], metrics={}, plots={}, tables=table)
    page = make_page(store, registry, settings, evidence, now=datetime.now(UTC))
    rows = {row["algorithm"]: row for row in page.report["models"]}
    for one in evaluations:
        registry.log_evaluation(
            newest[one.algorithm],
            metrics=flat_metrics(one) | _covered(rows[one.algorithm]),
            plots={"actual_against_predicted.png": pictures[one.algorithm]},
            tables={"evaluation.json": rows[one.algorithm]},
            pages={PAGE: page.text},
        )
        card = evaluated_card(registry, newest[one.algorithm], page.report, page.best, page.verdict)
        registry.describe(newest[one.algorithm], card)
        progress.advance("evaluate", steps=1, note=one.algorithm)
    first = newest[evaluations[0].algorithm]
    return {
        "report": dg.MetadataValue.path(write_page(page_path(settings, market), page.text)),
        "report_in_mlflow": artifact_page(settings, read_run(registry, first).experiment_id, first.run_id, PAGE),
        "leaderboard": dg.MetadataValue.md(score_table(evaluations)),
        "feature_worth": dg.MetadataValue.md(worth_markdown(worths)),
        "rows": sum(one.score.rows for one in evaluations),
        **{f"{name}_scatter": dg.MetadataValue.md(as_markdown(png, name)) for name, png in pictures.items()},
    }


def _pooled(evidence: Evidence, store: Store, settings: Settings) -> dict[str, Any]:
    """What Dagster shows of pool values, beside the control."""
    evaluations = evidence.evaluations
    return {
        "pool_values": dg.MetadataValue.md(pool_table(evaluations)),
        "allocation_rules": dg.MetadataValue.md(rule_table(evidence.rules, costs_of(settings))),
        "equity": dg.MetadataValue.md(as_markdown(equity_of(evaluations), "net pool value")),
        "in_words": dg.MetadataValue.md("\n".join(f"- {line}" for line in verdict_in_words(evaluations))),
        **universe_then(read_listings(store), settings.kinds, evaluations[0]),
    }


def universe_then(listings: Sequence[Listing], kinds: Sequence[str], evaluation: Evaluation) -> dict[str, int]:
    """How many currencies could be traded at the first row, how many of them are evaluated, and are no more now.

    Nothing where no listing is known. A universe chosen by who is large today leaves out who was large then.
    """
    then = set(tradable(listings, evaluation.start, kinds))
    if not then or evaluation.hours is None:
        return {}
    evaluated = {symbol_of(name) for name in evaluation.hours.currencies} & then
    alive = set(tradable(listings, evaluation.end, kinds))
    return {
        "tradable_at_the_start": len(then),
        "evaluated_of_them": len(evaluated),
        "delisted_of_those_evaluated": len(evaluated - alive),
    }


def require_evaluations(evaluations: Sequence[Evaluation], market: str) -> Sequence[Evaluation]:
    """The evaluations when there is one; raises `NotEnoughHistory` otherwise."""
    if not evaluations:
        raise NotEnoughHistory(
            f"market {market} has no out-of-sample row with a known outcome yet: train a model, then materialize "
            "predictions of days after its cutoff"
        )
    return evaluations


def is_of(version: RegisteredVersion, one: Evaluation) -> bool:
    """Whether an evaluation names this version: the newest that scored a row."""
    return (version.algorithm, version.version) == (one.algorithm, one.version)


def flat_metrics(one: Evaluation) -> dict[str, float]:
    """The figures of one evaluation by flat name, as MLflow stores them; those that do not exist are absent."""
    classes = one.score.classification
    pool, held = one.pool, one.control
    figures = {
        "oos_rows": float(one.score.rows),
        "oos_mse": one.score.mse,
        "oos_mse_zero": one.score.mse_zero,
        "oos_ic": one.score.ic,
        "oos_ic_low": one.score.ic_ci[0] if one.score.ic_ci else None,
        "oos_ic_high": one.score.ic_ci[1] if one.score.ic_ci else None,
        "oos_accuracy": classes.accuracy,
        "oos_base_rate": classes.base_rate,
        "oos_effective_n": classes.effective_n,
        "oos_precision_up": classes.up.precision,
        "oos_recall_up": classes.up.recall,
        "oos_pool_value_seed": pool.seed if pool else None,
        "oos_pool_value_gross": pool.gross if pool else None,
        "oos_pool_value_net": pool.net if pool else None,
        "oos_pool_value_net_low": pool.net_ci[0] if pool and pool.net_ci else None,
        "oos_pool_value_net_high": pool.net_ci[1] if pool and pool.net_ci else None,
        "oos_control_net": held.net if held else None,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _covered(row: Mapping[str, Any]) -> dict[str, float]:
    realised = row["interval_coverage"]["realised"]
    return {} if realised is None else {"oos_interval_coverage": realised}


def score_table(evaluations: Sequence[Evaluation]) -> str:
    """Predictive figures as a Markdown table."""
    lines = [
        "| algorithm | MSE / zero's | IC (90 %) | precision up | base rate | n eff. | rows | version |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in evaluations:
        figures, classes = one.score, one.score.classification
        lines.append(
            f"| {one.algorithm} | {figures.mse / figures.mse_zero:.4f} | {_with_interval(figures.ic, figures.ic_ci)} "
            f"| {classes.up.precision:.3f} | {classes.base_rate:.3f} | {classes.effective_n:.0f} "
            f"| {figures.rows:,} | {one.version} |"
        )
    return "\n".join(lines)


def worth_markdown(worths: Mapping[str, Sequence[GroupWorth]]) -> str:
    """What each group of features adds as a Markdown table."""
    lines = [
        "Rise of the squared error when a group is shuffled, in % of the error of predicting zero, with 90 %.",
        "",
        "| algorithm | group | features | adds |",
        "|---|---|---|---|",
    ]
    for algorithm, found in worths.items():
        lines += [f"| {algorithm} | {one.group} | {one.features} | {told_worth(one)} |" for one in found]
    return "\n".join(lines)


def pool_table(evaluations: Sequence[Evaluation]) -> str:
    """Pool values as a Markdown table, the control last."""
    lines = ["| algorithm | net (90 %) | gross | replaced formula | trades |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.algorithm} | {_with_interval(one.pool.net, one.pool.net_ci)} | {one.pool.gross:.3f} "
        f"| {_readable(one.pool.seed)} | {one.pool.trades:,} |"
        for one in evaluations
        if one.pool
    ]
    held = next((one.control for one in evaluations if one.control), None)
    if held:
        lines.append(f"| **control (holding)** | {held.net:.3f} | {held.gross:.3f} | | |")
    return "\n".join(lines)


def rule_table(rules: Mapping[str, Sequence[Result]], costs: Costs) -> str:
    """Every algorithm under every allocation rule as a Markdown table."""
    lines = [
        f"Net of {costs.share * 10_000:g} bps a side; over control: net divided by what holding made, with 90 %.",
        "",
        "| algorithm | rule | net | over control | turnover a day | break-even | invested |",
        "|---|---|---|---|---|---|---|",
    ]
    for algorithm, results in rules.items():
        for one in results:
            even = "never" if one.break_even_bps is None else f"{one.break_even_bps:.0f} bps"
            lines.append(
                f"| {algorithm} | {one.rule} | {_with_interval(one.net, one.net_ci)} "
                f"| {_with_interval(one.over_control, one.over_control_ci)} | {one.turnover:.2f} | {even} "
                f"| {one.invested:.0%} |"
            )
    return "\n".join(lines)


def equity_of(evaluations: Sequence[Evaluation]) -> bytes:
    """Equity of every algorithm and of the control, as PNG."""
    return equity_picture(
        {one.algorithm: (one.hours.first, equity(one.pool)) for one in evaluations if one.pool and one.hours},
        next((holding_curve(one.hours) for one in evaluations if one.hours), None),
    )


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "n/a"
    if interval is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})".replace(" ", NO_BREAK)


def _readable(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
