"""Checks of klines, made of what is stored after a run has written it."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import polars as pl

from cryptobot_assets.checks.findings import Check, Findings, specs
from cryptobot_assets.domain.gaps import find_gaps, merge_gaps
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.quality import PRICES, find_disordered, find_jumps, find_off_grid, find_repeated
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.storage.gap_records import read_gaps
from cryptobot_assets.storage.store import KLINES, Store

KEYS = Check(
    "klines_have_one_row_a_key",
    "No two stored rows are of one currency and time, and every time is an instant of the interval's grid. "
    "Materialize the partition again: that replaces all rows of its span.",
    blocking=True,
)
ORDER = Check(
    "klines_keep_the_order_of_prices",
    "Every price is a positive number, high is the highest and low the lowest of its kline. "
    "Materialize the partition again.",
    blocking=True,
)
WHOLE = Check(
    "klines_are_whole_or_their_gaps_recorded",
    "Every instant up to the newest that was finished has a kline or lies in a recorded gap, and none has both. "
    "Materialize `gap_ledger` and `gap_repair` of the month.",
)
JUMPS = Check(
    "klines_do_not_jump",
    "No close lies 5 % or more from both its neighbours on the same side while the next kline opens elsewhere: a "
    "price that was traded is where trading goes on. Compare the places with the exchange.",
    severity=dg.AssetCheckSeverity.WARN,
)
KLINE_CHECKS = (KEYS, ORDER, WHOLE, JUMPS)


def kline_check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """Checks that an asset of klines makes of itself."""
    return specs(KLINE_CHECKS, asset)


class KlineChecks:
    """The checks of one run of klines."""

    def __init__(self, interval: str) -> None:
        self._interval = interval
        self._findings = Findings(KLINE_CHECKS)

    def look(self, spans: Sequence[Span], store: Store) -> None:
        """Look at what is stored of spans that were just written, of one span of time or nearly so.

        Each reaches to where it was whole when it was fetched. A kline on either side is read too, so
        that the first and the last have neighbours.
        """
        spans = [span for span in spans if span.start < span.end]
        if not spans:
            return
        step = interval_delta(self._interval)
        names = [span.currency for span in spans]
        currency = names[0] if len(names) == 1 else names
        start, end = min(span.start for span in spans), max(span.end for span in spans)
        columns = ["currency", "time", *PRICES]
        rows = store.read(KLINES, start=start - step, end=end + step, columns=columns, currency=currency)
        gaps = read_gaps(store, start, end, self._interval, currency=currency)
        for span in spans:
            around, recorded = (
                part if len(names) == 1 else part.filter(pl.col("currency") == span.currency) for part in (rows, gaps)
            )
            self._look_at(span, around, recorded)

    def _look_at(self, span: Span, around: pl.DataFrame, recorded: pl.DataFrame) -> None:
        rows, interval = _within(around, span), self._interval
        off_grid, repeated = find_off_grid(rows, interval), find_repeated(rows)
        self._findings.rows += rows.height
        self._add(KEYS, off_grid, "currency", "time")
        self._add(KEYS, repeated, "currency", "time")
        self._add(ORDER, find_disordered(rows), "currency", "time", *PRICES)
        self._add(JUMPS, _within(find_jumps(around, interval), span), "currency", "time", "close")
        if off_grid.is_empty():
            times = rows["time"] if repeated.is_empty() else rows["time"].unique().sort()
            self._add(WHOLE, unrecorded(span, times, recorded, interval), "currency", "time", "end", "what")

    def _add(self, check: Check, places: pl.DataFrame, *columns: str) -> None:
        if places.height:
            self._findings.add(check.name, places.select(columns))

    def results(self, asset: str) -> list[dg.AssetCheckResult]:
        """One result a check."""
        return self._findings.results(asset)


def _within(rows: pl.DataFrame, span: Span) -> pl.DataFrame:
    """Those rows, sorted by time, that lie in the span."""
    first, end = (rows["time"].search_sorted(bound, side="left") for bound in (span.start, span.end))
    return rows.slice(first, end - first)


def unrecorded(span: Span, times: pl.Series, recorded: pl.DataFrame, interval: str) -> pl.DataFrame:
    """Gaps of a span that are not recorded, and recorded ones that are none: currency, time, end, what."""
    holes = find_gaps(span.currency, times, interval, span.start, span.end)
    columns = ["currency", "time", "end"]
    known = recorded.select(columns) if recorded.is_empty() else merge_gaps(recorded).select(columns)
    holes = holes.select(columns)
    if holes.equals(known):
        return holes.clear().with_columns(what=pl.lit(""))
    unknown = holes.join(known, on=columns, how="anti").with_columns(what=pl.lit("not recorded as it is"))
    untrue = known.join(holes, on=columns, how="anti").with_columns(what=pl.lit("recorded otherwise than it is"))
    return pl.concat([unknown, untrue]).sort("time")
