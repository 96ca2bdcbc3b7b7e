"""Market data: klines as the exchange recorded them, and the gaps it left."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import dagster as dg
import polars as pl

from cryptobot_assets.assets.partition_report import ROWS, PartitionReport
from cryptobot_assets.assets.pictures import kline_picture
from cryptobot_assets.domain.gaps import find_gaps, missing_times
from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.errors import ExchangeUnreachable, RateLimited
from cryptobot_assets.partitions import Partitions, Span
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.store import GAPS, KLINES, Store

BLOCK_DAYS = 90
GROUP = "market_data"
RETRIES = 2
RETRY_SECONDS = 10.0


def market_data_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `klines` asset of one deployment."""
    interval = partitions.settings.interval

    @dg.asset(
        partitions_def=partitions.market_data,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        kinds={"python", "deltalake"},
        owners=["team:market-data"],
        code_version="1",
        description=(
            f"Finished {interval} klines of one currency and {partitions.span_name}, as the exchange recorded "
            "them, fetched over HTTP. A row is known one interval after its time. What the exchange never "
            "recorded is a gap, never an invented row."
        ),
    )
    def klines(
        context: dg.AssetExecutionContext,
        exchange: dg.ResourceParam[Exchange],
        store: dg.ResourceParam[Store],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        report = PartitionReport(partitions, (ROWS, "missing_klines"))
        with exchange_faults_retried():
            for span in partitions.spans_of(context.partition_keys):
                listed = exchange.first_time(span.currency, interval)
                for block in partitions.blocks(span, BLOCK_DAYS):
                    rows, gaps = ingest(block, interval, listed, exchange, store, progress)
                    report.count(ROWS, block.currency, rows["time"])
                    report.count("missing_klines", block.currency, missing_times(gaps, interval))
                    report.show(block.currency, rows, kline_picture)
        return dg.MaterializeResult(
            metadata={**report.attach(context), "source": exchange.market or "the exchange's REST API"}
        )

    return [klines]


@contextmanager
def exchange_faults_retried() -> Iterator[None]:
    """Have Dagster run the step again after a fault of the exchange that may pass.

    A retry policy on the asset would take Ctrl-C for a fault as well, and go on.
    """
    try:
        yield
    except (ExchangeUnreachable, RateLimited) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS) from error


def ingest(
    block: Span, interval: str, listed: datetime | None, exchange: Exchange, store: Store, progress: Progress
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fetch and store one block; returns its klines and gaps.

    Args:
        listed: open time of the currency's first kline ever; nothing before it is a gap.
    """
    pages = []
    for page in exchange.klines(block.currency, interval, block.start, block.end):
        pages.append(page)
        progress.advance("ingest", rows=page.height, note=block.currency)
    rows = pl.concat(pages) if pages else pl.DataFrame(schema=KLINE_SCHEMA)
    store.replace(KLINES, rows, start=block.start, end=block.end, currency=block.currency)
    expected_end = min(block.end, exchange.last_finished(interval))
    expected_start = max(block.start, listed) if listed is not None else expected_end
    gaps = find_gaps(block.currency, rows["time"], interval, expected_start, max(expected_start, expected_end))
    store.replace(GAPS, gaps, start=block.start, end=block.end, currency=block.currency)
    return rows, gaps
