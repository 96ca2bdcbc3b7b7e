"""The gap ledger: klines expected against klines stored, and why each one that is not stored is not."""

import dagster as dg
import polars as pl

from cryptobot_assets.assets.gap_months import Month, read_market, recorded_spans, write_month
from cryptobot_assets.assets.partition_metadata import add_partition_metadata
from cryptobot_assets.assets.pictures import coverage_picture
from cryptobot_assets.domain.ledger import COUNTED
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.pools import STORE
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.store import Store

GROUP = "market_data"
MOST_CURRENCIES_TOLD = 20
LACKING = ("missing", "halt", "outage", "delisted", "not_listed")


def gap_ledger_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `gap_ledger` asset of one deployment."""

    @dg.asset(
        deps=[
            dg.AssetDep(
                group.asset("klines"), partition_mapping=dg.MultiToSingleDimensionPartitionMapping(partitions.span_name)
            )
            for group in partitions.groups
        ],
        partitions_def=partitions.months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=STORE,
        group_name=GROUP,
        kinds={"python", "polars", "deltalake"},
        owners=["team:market-data"],
        code_version="1",
        description=(
            "Klines expected and stored of every currency and day (table `coverage`), and why each one that is not "
            "stored is not (`kind` in table `gaps`): `outage`, when no currency has it; `halt`, when the exchange "
            "was asked again and has none; `not_listed`; `delisted`; else `missing`, on our side, until it is "
            "repaired. Rows that vanished from the store without a record are found too."
        ),
    )
    def gap_ledger(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], progress: dg.ResourceParam[Progress]
    ) -> dg.MaterializeResult:
        ingested = recorded_spans(context.instance, partitions, "klines")
        market = read_market(store, partitions.live(context.instance), ingested)
        if market is None:
            raise NotEnoughHistory("no kline is stored yet: materialize `klines` first")
        told = {}
        for key in context.partition_keys:
            month = write_month(store, market, *partitions.month(key))
            told[key] = month_figures(month)
            progress.advance("gap ledger", steps=1, note=key)
        add_partition_metadata(context, told)
        return dg.MaterializeResult()

    return [gap_ledger]


def month_figures(month: Month) -> dict[str, object]:
    """What a month tells in the UI: its sums, the currencies that lack most, and a picture of its days."""
    sums = month.coverage.select(pl.col(COUNTED).sum()).row(0, named=True)
    figures: dict[str, object] = {**sums, "surplus_rows": month.surplus}
    if not month.gaps.height:
        return figures
    return {
        **figures,
        "gaps": dg.MetadataValue.md(currency_table(month.coverage)),
        "picture": dg.MetadataValue.md(coverage_picture(month.coverage)),
    }


def currency_table(coverage: pl.DataFrame) -> str:
    """Klines lacking by currency and kind as Markdown, those missing on our side first."""
    rows = (
        coverage.group_by("currency")
        .agg(pl.col("expected", "stored", *LACKING).sum())
        .filter(pl.sum_horizontal(LACKING) > 0)
        .sort(*LACKING, "currency", descending=[True] * len(LACKING) + [False])
    )
    names = ("currency", "expected", "stored", *LACKING)
    lines = [" | ".join(names), " | ".join(["---", *["---:"] * (len(names) - 1)])]
    lines += [" | ".join(map(str, row)) for row in rows.head(MOST_CURRENCIES_TOLD).select(names).iter_rows()]
    if rows.height > MOST_CURRENCIES_TOLD:
        lines.append(f"and {rows.height - MOST_CURRENCIES_TOLD} more")
    return "\n".join(lines)
