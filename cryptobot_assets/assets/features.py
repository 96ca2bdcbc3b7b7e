"""Indicators: point-in-time columns of every kline."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import dagster as dg
import polars as pl

from cryptobot_assets.ahead import one_ahead
from cryptobot_assets.assets.partition_report import ROWS, PartitionReport
from cryptobot_assets.assets.pictures import indicator_picture
from cryptobot_assets.checks.features import READ, IndicatorChecks, indicator_check_specs
from cryptobot_assets.cluster import open_cluster
from cryptobot_assets.domain.indicators import INDICATOR_NAMES, LONGEST_LOOKBACK, indicator_frame
from cryptobot_assets.domain.sources import Span, block_days, together
from cryptobot_assets.errors import BadKlines
from cryptobot_assets.partitions import Group, Partitions
from cryptobot_assets.pools import STORE
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS, KLINES, Store

GROUP = "features"
COMPLETE_ROWS = "rows_with_every_28_day_indicator"
Indicated = tuple[Span, pl.DataFrame]
"""A block and its indicators."""


@dataclass(frozen=True)
class Made:
    """The indicators of a block, and of how many klines they were made."""

    block: Span
    rows: pl.DataFrame
    klines_read: int


def feature_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `indicators` asset of each group of one deployment."""
    return [_indicators_asset(partitions, group) for group in partitions.groups]


def _indicators_asset(partitions: Partitions, group: Group) -> dg.AssetsDefinition:
    interval = partitions.settings.interval

    @dg.asset(
        name=group.asset("indicators"),
        deps=[dg.AssetDep(group.asset("klines"), partition_mapping=partitions.lookback)],
        partitions_def=partitions.market_data(group),
        check_specs=indicator_check_specs(group.asset("indicators")),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=STORE,
        group_name=GROUP,
        kinds={"python", "polars", "deltalake"},
        owners=["team:research"],
        code_version="1",
        description=(
            "Moving-average differences, scaled close, RSI, MACD and Bollinger %b, each known at its row's close "
            "and reading only the 28 days before (`ma25_99d` 99 days). A gap inside a lookback makes the values "
            "that touch it null."
        ),
    )
    def indicators(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], progress: dg.ResourceParam[Progress]
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        report = PartitionReport(partitions, (ROWS, COMPLETE_ROWS))
        checks = IndicatorChecks(interval)
        spans = partitions.spans_of(context.partition_keys)
        blocks = [block for span in spans for block in partitions.blocks(span, block_days(interval))]
        for block, rows in indicated(together(blocks, interval), partitions.settings, store, checks):
            complete = rows.drop_nulls(set(INDICATOR_NAMES) - {"ma25_99d", "ma25_99d_scale"})
            report.count(ROWS, block.currency, rows["time"])
            report.count(COMPLETE_ROWS, block.currency, complete["time"])
            report.show(block.currency, rows, indicator_picture)
            progress.advance("indicators", rows=rows.height, note=block.currency)
        if not checks.input_is_sound:
            yield from checks.results(group.asset("indicators"))
            raise BadKlines(
                "stored klines that the indicators read are not sound, see the run's checks: "
                "materialize those klines again; nothing was computed of them"
            )
        report.attach(context)
        yield dg.MaterializeResult(check_results=checks.results(group.asset("indicators")))

    return indicators


def indicated(
    writes: Iterable[Sequence[Span]], settings: Settings, store: Store, checks: IndicatorChecks
) -> Iterator[Indicated]:
    """Compute and store the indicators of blocks, those of one write together; each block as it is stored.

    In this process, or by the workers of the cluster that the settings name. Ends early at klines that are
    not sound.
    """
    if settings.cluster_url is None:
        yield from indicate_here(writes, settings.interval, store, checks)
        return
    with open_cluster(settings) as cluster:
        work = partial(indicate_elsewhere, interval=settings.interval)
        for found, stored in cluster.spread(work, writes):
            checks.join(found)
            yield from stored
            if not checks.input_is_sound:
                return


def indicate_here(
    writes: Iterable[Sequence[Span]], interval: str, store: Store, checks: IndicatorChecks
) -> Iterator[Indicated]:
    """The same in this process, each write computed while the one before is stored."""
    for made in one_ahead([make(block, interval, store, checks) for block in write] for write in writes):
        if not checks.input_is_sound:
            return
        store_indicators([(one.block, one.rows) for one in made], store)
        for block, rows in keep_up(made, interval, store):
            checks.look_at_stored(block, store)
            yield block, rows


def indicate_elsewhere(
    store: Store, write: Sequence[Span], *, interval: str
) -> tuple[IndicatorChecks, list[Indicated]]:
    """One write by a worker, with the checks it made."""
    checks = IndicatorChecks(interval)
    return checks, list(indicate_here([write], interval, store, checks))


def indicate(block: Span, interval: str, store: Store, *, arriving: pl.DataFrame | None = None) -> pl.DataFrame:
    """Compute and store the indicators of one block; returns them. See `compute`."""
    rows = compute(block, interval, store, arriving=arriving)
    store_indicators([(block, rows)], store)
    return rows


def compute(block: Span, interval: str, store: Store, *, arriving: pl.DataFrame | None = None) -> pl.DataFrame:
    """The indicators of one block, of the stored klines.

    Args:
        arriving: klines of the currency that are about to be stored and count as if they were.
    """
    klines = read_klines(block, store, ("currency", "time", "close"))
    if arriving is not None:
        klines = pl.concat([klines, arriving.select(klines.columns)])
    return indicator_frame(klines, interval, block.start, block.end)


def make(block: Span, interval: str, store: Store, checks: IndicatorChecks) -> Made:
    """The indicators of one block under its checks; of klines that are not sound nothing is computed."""
    klines = read_klines(block, store, READ)
    checks.look_at_input(klines)
    if not checks.input_is_sound:
        return Made(block, pl.DataFrame(schema=INDICATORS.schema), klines.height)
    rows = indicator_frame(klines, interval, block.start, block.end)
    checks.look_at_values(block, klines, rows)
    return Made(block, rows, klines.height)


def read_klines(block: Span, store: Store, columns: Sequence[str]) -> pl.DataFrame:
    """What the indicators of a block are made of."""
    start = block.start - LONGEST_LOOKBACK
    return store.read(KLINES, start=start, end=block.end, columns=list(columns), currency=block.currency)


def keep_up(made: Sequence[Made], interval: str, store: Store) -> Iterator[Indicated]:
    """The indicators as stored, made anew where klines came after they were read.

    Another machine may ingest earlier days meanwhile. It makes later indicators anew once its klines are
    stored, but only those that are stored by then; so who stored some looks back for klines.
    """
    for one in made:
        block, rows, read = one.block, one.rows, one.klines_read
        while (now := count_klines(block, store)) != read:
            rows, read = indicate(block, interval, store), now
        yield block, rows


def count_klines(block: Span, store: Store) -> int:
    """How many klines the indicators of a block can read now."""
    start = block.start - LONGEST_LOOKBACK
    counted = store.counts(KLINES, every="month", start=start, end=block.end, currency=block.currency)
    return int(counted["rows"].sum())


def store_indicators(found: Sequence[Indicated], store: Store) -> None:
    """Store the indicators of one span of time, a block a currency, in place of what was there."""
    span, currencies = found[0][0], [block.currency for block, _ in found]
    frames = pl.concat(rows for _, rows in found)
    store.replace(INDICATORS, frames, start=span.start, end=span.end, currency=currencies)
