"""Market data: klines as the exchange recorded them, and the gaps it left."""

import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import chain, groupby, islice
from typing import Any

import dagster as dg
import polars as pl

from cryptobot_assets.assets.partition_report import ROWS, PartitionReport
from cryptobot_assets.assets.patience import Patience, fetch_patiently
from cryptobot_assets.assets.pictures import kline_picture
from cryptobot_assets.checks.market_data import KlineChecks, kline_check_specs
from cryptobot_assets.domain.gap_grid import GapGrid, record_ingested
from cryptobot_assets.domain.gaps import find_gaps, missing_times
from cryptobot_assets.domain.sources import Span, block_days, month_blocks, together
from cryptobot_assets.domain.universe import lives
from cryptobot_assets.partitions import Group, Partitions
from cryptobot_assets.pools import EXCHANGE
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.gap_records import rewrite_gaps
from cryptobot_assets.storage.history import Fetched, History, Life
from cryptobot_assets.storage.listings import read_listings
from cryptobot_assets.storage.store import KLINES, Store

ARCHIVED_ROWS = "rows_from_archives"
MOST_FALLBACKS_TOLD = 20
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
        check_specs=kline_check_specs(group.asset("klines")),
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
        checks = KlineChecks(interval)
        spans = partitions.spans_of(context.partition_keys)
        fallbacks: list[str] = []
        traded = lives(read_listings(store))
        with closing(ingest(history, spans, interval, store, progress, patience, context.log, traded)) as writes:
            for write in writes:
                for block, gaps in write:
                    currency, rows = block.span.currency, block.rows
                    report.count(ROWS, currency, rows["time"])
                    report.count(ARCHIVED_ROWS, currency, rows.filter(pl.col("source") == "archive")["time"])
                    report.count("missing_klines", currency, missing_times(gaps, interval))
                    report.show(currency, rows, kline_picture)
                    fallbacks += block.fallbacks
                checks.look([written(block) for block, _ in write], store)
        report.attach(context)
        return dg.MaterializeResult(
            metadata={"source": history.title, **told_fallbacks(fallbacks)},
            check_results=checks.results(group.asset("klines")),
        )

    return klines


def ingest(
    history: History,
    spans: Iterable[Span],
    interval: str,
    store: Store,
    progress: Progress,
    patience: Patience,
    log: logging.Logger,
    traded: Mapping[str, Life] | None = None,
) -> Generator[list[tuple[Fetched, pl.DataFrame]]]:
    """Fetch and store spans, those of one time together; the blocks of each write with their gaps, once it is done.

    `traded` tells when currencies did, as far as it is known; see `History.fetch`.
    """
    blocks = [block for span in spans for block in month_blocks(span, block_days(interval))]
    writes = list(together(blocks, interval))
    with closing(fetch_patiently(history, chain(*writes), interval, progress, patience, log, traded)) as fetched:
        for write in writes:
            found = list(islice(fetched, len(write)))
            yield list(zip(found, store_klines(found, interval, store), strict=True))


def written(block: Fetched) -> Span:
    """The part of a block's span that a write replaced: up to what was finished when it was fetched."""
    return Span(block.span.currency, block.span.start, max(min(block.span.end, block.end), block.span.start))


def store_klines(blocks: Sequence[Fetched], interval: str, store: Store) -> list[pl.DataFrame]:
    """Store klines and gaps of one span of time, a block a currency, in place of what was there.

    Where trading had not begun is recorded too, so that rows which vanish from the table later are missed.
    What was not finished when a block was fetched is left as it is: whoever fetched later knows it.

    Returns:
        each block's gaps since trading began.
    """
    gaps = [
        find_gaps(block.span.currency, block.rows["time"], interval, block.start, block.traded_until)
        for block in blocks
    ]
    found = list(zip(blocks, gaps, strict=True))
    for end, same in groupby(found, key=lambda pair: min(pair[0].span.end, pair[0].end)):
        if blocks[0].span.start < end:
            _store_until(end, list(same), interval, store)
    return gaps


def _store_until(end: datetime, found: list[tuple[Fetched, pl.DataFrame]], interval: str, store: Store) -> None:
    start, currencies = found[0][0].span.start, [block.span.currency for block, _ in found]
    store.replace(KLINES, pl.concat(block.rows for block, _ in found), start=start, end=end, currency=currencies)

    def remake(held: pl.DataFrame) -> pl.DataFrame:
        records = []
        for block, gaps in found:
            grid = GapGrid((block.span.currency,), start, end, interval)
            before = held.filter(pl.col("currency") == block.span.currency)
            records.append(record_ingested(grid, gaps, before, listed=block.start, delisted=block.delisted))
        return pl.concat(records)

    rewrite_gaps(store, start, end, interval, remake, currency=currencies)


def told_fallbacks(fallbacks: list[str]) -> dict[str, Any]:
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
