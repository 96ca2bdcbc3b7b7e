"""Mending the gaps of one currency: ask for them again, store what is new, compute anew what reads it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from cryptobot_assets.assets.features import indicate
from cryptobot_assets.assets.partition_report import KEY_FORMATS
from cryptobot_assets.domain.gap_grid import Kind
from cryptobot_assets.domain.gaps import find_gaps, repairable_spans
from cryptobot_assets.domain.indicators import LONGEST_LOOKBACK
from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.klines import KLINE_KEY
from cryptobot_assets.domain.sources import Span, block_days, day_floor
from cryptobot_assets.errors import BadKlines, ExchangeError, ExchangeUnreachable, RateLimited
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.gap_records import read_gaps
from cryptobot_assets.storage.history import Fetched
from cryptobot_assets.storage.overtaking import until_not_overtaken
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES, Store

Fetch = Callable[[Sequence[Span]], Iterable[Fetched]]
"""Every kline of spans that is to be had now, as `History.fetch` gives them."""

KEYS = {name: KLINES.schema[name] for name in KLINE_KEY}


@dataclass(frozen=True)
class Mended:
    """What became of the repairable gaps of one currency.

    Attributes:
        klines: keys (currency, time) of the klines that are stored now and were not.
        indicators: keys of the indicators that were computed anew, of whole partitions.
        unanswered: what the exchange has confirmed that it does not have, as rows of `GAPS`.
        refusal: why the exchange did not answer for this currency; then all else is empty.
    """

    klines: pl.DataFrame
    indicators: pl.DataFrame
    unanswered: pl.DataFrame
    refusal: str = ""


def mend_month(
    start: datetime,
    end: datetime,
    indicated: Sequence[Span],
    partitions: Partitions,
    fetch: Fetch,
    store: Store,
    progress: Progress,
) -> list[Mended]:
    """Mend what is to be mended of [start, end); one answer for each currency that had something.

    Args:
        indicated: partitions of indicators recorded as materialized; of a currency without a record
            all are taken from its first stored row on.

    Raises:
        ExchangeUnreachable, RateLimited: the exchange does not answer now; what was mended before stays so.
    """
    settings = partitions.settings
    gaps = read_gaps(store, start, end, settings.interval, currency=partitions.currencies)
    mended = []
    repairable = repairable_spans(gaps)
    recorded = {one.currency for one in indicated}
    stored = {} if recorded.issuperset(repairable) else store.spans(INDICATORS)
    for currency, spans in repairable.items():
        readers = [one for one in indicated if one.currency == currency]
        if currency in stored and not readers:
            readers = [Span(currency, day_floor(stored[currency][0]), end + LONGEST_LOOKBACK + DAY)]
        mended.append(mend(spans, readers, partitions, fetch, store))
        progress.advance("gap repair", rows=mended[-1].klines.height, note=f"{start:%Y-%m} {currency}")
    return mended


def mend(
    spans: Sequence[Span], indicated: Sequence[Span], partitions: Partitions, fetch: Fetch, store: Store
) -> Mended:
    """Ask for spans of one currency again, and store what is new; rows that are stored stay as they are.

    A hole in the klines is what tells that there is work to do. So it is closed last: a repair that
    was killed before is done again whole.

    Args:
        indicated: the currency's spans whose indicators were computed.

    Raises:
        ExchangeUnreachable, RateLimited: what may pass; other refusals are told in the answer.
    """
    interval = partitions.settings.interval
    try:
        blocks = list(fetch(spans))
    except (ExchangeUnreachable, RateLimited):
        raise
    except (ExchangeError, BadKlines) as error:
        none = pl.DataFrame(schema=KEYS)
        return Mended(none, none, pl.DataFrame(schema=GAPS.schema), refusal=f"{spans[0].currency}: {error}")
    arriving = pl.concat([_arriving(block, store) for block in blocks])
    computed = [
        indicate(block, interval, store, arriving=arriving).select(KLINE_KEY)
        for span in _reading(arriving["time"], indicated, partitions)
        for block in partitions.blocks(span, block_days(interval))
    ]
    for block in blocks:
        _add(block, store)
    return Mended(
        klines=arriving.select(KLINE_KEY),
        indicators=pl.concat([pl.DataFrame(schema=KEYS), *computed]),
        unanswered=pl.concat([_unanswered(block, interval, store) for block in blocks]),
    )


def _arriving(block: Fetched, store: Store) -> pl.DataFrame:
    """The klines of a block that are not stored."""
    span = block.span
    held = store.read(KLINES, start=span.start, end=span.end, columns=KLINE_KEY, currency=span.currency)
    return block.rows.join(held, on=KLINE_KEY, how="anti")


def _add(block: Fetched, store: Store) -> None:
    """Store those klines of a block that are not."""
    span = block.span

    def add() -> None:
        version = store.version(KLINES)
        held = store.read(KLINES, start=span.start, end=span.end, currency=span.currency)
        new = block.rows.join(held, on=KLINE_KEY, how="anti")
        if new.height:
            rows = pl.concat([held, new.select(held.columns)])
            store.replace(KLINES, rows, start=span.start, end=span.end, since=version, currency=span.currency)

    until_not_overtaken(add)


def _reading(times: pl.Series, indicated: Sequence[Span], partitions: Partitions) -> list[Span]:
    """The parts of `indicated`, in whole partitions, whose values read a kline of one of these times."""
    if times.is_empty():
        return []
    start = partitions.span(earliest(times).strftime(KEY_FORMATS[partitions.span_name]))[0]
    end = day_floor(latest(times)) + DAY + LONGEST_LOOKBACK
    cut = [Span(one.currency, max(one.start, start), min(one.end, end)) for one in indicated]
    return [one for one in cut if one.start < one.end]


def _unanswered(block: Fetched, interval: str, store: Store) -> pl.DataFrame:
    """What the exchange does not have of a block, as rows of `GAPS`."""
    span = block.span
    held = store.read(KLINES, start=block.start, end=block.end, columns=["time"], currency=span.currency)
    halted = find_gaps(span.currency, held["time"], interval, block.start, block.end)
    none = pl.Series("time", [], KEYS["time"])
    unlisted = find_gaps(span.currency, none, interval, span.start, min(block.start, span.end))
    return pl.concat(
        [
            halted.with_columns(kind=pl.lit(Kind.HALT.text)),
            unlisted.with_columns(kind=pl.lit(Kind.NOT_LISTED.text)),
        ]
    )
