"""Market data: klines as the exchange recorded them, and the gaps it left."""

from contextlib import closing

import dagster as dg
import polars as pl

from cryptobot_assets.assets.partition_report import ROWS, PartitionReport
from cryptobot_assets.assets.patience import Patience, fetch_patiently
from cryptobot_assets.assets.pictures import kline_picture
from cryptobot_assets.domain.gap_grid import GapGrid, record_ingested
from cryptobot_assets.domain.gaps import find_gaps, missing_times
from cryptobot_assets.domain.sources import month_blocks
from cryptobot_assets.partitions import Group, Partitions
from cryptobot_assets.pools import EXCHANGE
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.gap_records import rewrite_gaps
from cryptobot_assets.storage.history import Fetched, History
from cryptobot_assets.storage.store import KLINES, Store

ARCHIVED_ROWS = "rows_from_archives"
MOST_FALLBACKS_TOLD = 20
BLOCK_DAYS = 92
"""Room for three months in one commit."""

GROUP = "market_data"


def market_data_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `klines` asset of each group of one deployment."""
    return [_klines_asset(partitions, group) for group in partitions.groups]


def _klines_asset(partitions: Partitions, group: Group) -> dg.AssetsDefinition:
    settings = partitions.settings
    interval = settings.interval
    patience = Patience(settings.retries, settings.retry_seconds)

    @dg.asset(
        name=group.asset("klines"),
        partitions_def=partitions.market_data(group),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=EXCHANGE,
        group_name=GROUP,
        kinds={"python", "deltalake"},
        owners=["team:market-data"],
        code_version="1",
        description=(
            f"Finished {interval} klines of one currency and {partitions.span_name}, as the exchange recorded "
            "them: what is past from its archives, the newest over REST. A row is known one interval after its "
            "time. What the exchange never recorded is a gap, never an invented row. Materializing again reads "
            "again, archives that were replaced meanwhile included."
        ),
    )
    def klines(
        context: dg.AssetExecutionContext,
        history: dg.ResourceParam[History],
        store: dg.ResourceParam[Store],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        report = PartitionReport(partitions, (ROWS, ARCHIVED_ROWS, "missing_klines"))
        spans = partitions.spans_of(context.partition_keys)
        blocks = (block for span in spans for block in month_blocks(span, BLOCK_DAYS))
        fallbacks: list[str] = []
        with closing(fetch_patiently(history, blocks, interval, progress, patience, context.log)) as fetched:
            for block in fetched:
                currency, rows = block.span.currency, block.rows
                gaps = store_klines(block, interval, store)
                report.count(ROWS, currency, rows["time"])
                report.count(ARCHIVED_ROWS, currency, rows.filter(pl.col("source") == "archive")["time"])
                report.count("missing_klines", currency, missing_times(gaps, interval))
                report.show(currency, rows, kline_picture)
                fallbacks += block.fallbacks
        report.attach(context)
        return dg.MaterializeResult(metadata={"source": history.title, **told_fallbacks(fallbacks)})

    return klines


def store_klines(block: Fetched, interval: str, store: Store) -> pl.DataFrame:
    """Store a block's klines and gaps in place of what was there; returns the gaps since trading began.

    Where it had not begun is recorded too, so that rows which vanish from the table later are missed.
    What was not finished when the block was fetched is left as it is: whoever fetched later knows it.
    """
    currency, start, rows = block.span.currency, block.span.start, block.rows
    end = min(block.span.end, block.end)
    gaps = find_gaps(currency, rows["time"], interval, block.start, block.end)
    if start < end:
        store.replace(KLINES, rows, start=start, end=end, currency=currency)
        grid = GapGrid((currency,), start, end, interval)

        def remake(held: pl.DataFrame) -> pl.DataFrame:
            return record_ingested(grid, gaps, held, listed=block.start)

        rewrite_gaps(store, start, end, interval, remake, currency=currency)
    return gaps


def told_fallbacks(fallbacks: list[str]) -> dict[str, object]:
    """How many archive files of a run had to be read elsewhere and, of the first of them, why."""
    if not fallbacks:
        return {}
    told = [f"- {line}" for line in fallbacks[:MOST_FALLBACKS_TOLD]]
    if len(fallbacks) > len(told):
        told.append(f"- and {len(fallbacks) - len(told)} more")
    return {
        "archive_fallbacks_of_the_run": len(fallbacks),
        "archive_fallbacks": dg.MetadataValue.md("\n".join(told)),
    }
