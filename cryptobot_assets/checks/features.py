"""Checks of indicators: of the klines a run reads, before it computes, and of what it has written."""

from __future__ import annotations

import dagster as dg
import polars as pl

from cryptobot_assets.checks.findings import Check, Findings, specs
from cryptobot_assets.domain.grid import to_grid
from cryptobot_assets.domain.indicators import LONGEST_LOOKBACK
from cryptobot_assets.domain.quality import (
    PRICES,
    find_disordered,
    find_off_grid,
    find_repeated,
    find_unexplained_nulls,
)
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.storage.store import INDICATORS, KLINES, Store

INPUT = Check(
    "indicators_read_sound_klines",
    "The klines that were read, 99 days before the partitions included, have keys of their own on the interval's grid "
    "and prices in order. Where not, nothing is computed of them and what was stored before stays: materialize "
    "those partitions of klines again.",
    blocking=True,
)
ROWS = Check(
    "indicators_have_a_row_a_kline",
    "Every stored kline has its row of indicators, and none has one that is not stored. Materialize again.",
    blocking=True,
)
NULLS = Check(
    "indicators_are_null_only_at_gaps",
    "Every value is a finite number, or null where its lookback reaches a gap, begins before the first kline, or "
    "lies over closes that do not move.",
)
INDICATOR_CHECKS = (INPUT, ROWS, NULLS)

READ = ("currency", "time", *PRICES)
"""Columns of klines that a run must read, for its checks of them."""


def indicator_check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """Checks that an asset of indicators makes of itself."""
    return specs(INDICATOR_CHECKS, asset)


class IndicatorChecks:
    """The checks of one run of indicators."""

    def __init__(self, interval: str) -> None:
        self._interval = interval
        self._findings = Findings(INDICATOR_CHECKS)

    @property
    def input_is_sound(self) -> bool:
        """Whether all klines read so far may be computed with."""
        return self._findings.holds(INPUT.name)

    def look_at_input(self, klines: pl.DataFrame) -> None:
        """Look at klines of one currency as they were read: columns `READ`, sorted by time."""
        for wrong in (find_off_grid(klines, self._interval), find_repeated(klines), find_disordered(klines)):
            if wrong.height:
                self._findings.add(INPUT.name, wrong.select(READ))

    def look_at_values(self, block: Span, klines: pl.DataFrame, indicators: pl.DataFrame) -> None:
        """Look at the indicators of a block beside the klines, sound ones, that they were made of."""
        start = block.start - LONGEST_LOOKBACK
        grid = to_grid(klines["time"], klines["close"], self._interval, start, block.end)
        self._findings.rows += indicators.height
        self._findings.add(NULLS.name, find_unexplained_nulls(grid, grid.hour_index(block.start), indicators))

    def look_at_stored(self, block: Span, store: Store) -> None:
        """Look at the keys that are stored of a block, beside those of its stored klines."""
        columns = ["currency", "time"]
        held, expected = (
            store.read(table, start=block.start, end=block.end, columns=columns, currency=block.currency)
            for table in (INDICATORS, KLINES)
        )
        if held.equals(expected):
            return
        lacking = expected.join(held, on=columns, how="anti").with_columns(what=pl.lit("has no indicators"))
        surplus = held.join(expected, on=columns, how="anti").with_columns(what=pl.lit("has no kline"))
        repeated = find_repeated(held).with_columns(what=pl.lit("is there twice"))
        self._findings.add(ROWS.name, pl.concat([lacking, surplus, repeated]).sort("time"))

    def join(self, other: IndicatorChecks) -> None:
        """Count what was found of other partitions of the run, elsewhere."""
        self._findings.join(other._findings)

    def results(self, asset: str) -> list[dg.AssetCheckResult]:
        """One result a check."""
        return self._findings.results(asset)
