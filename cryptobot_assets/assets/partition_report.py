"""What a run over many partitions tells of each of them.

Dagster copies a run's metadata to every partition the run covers: a sum over the run would read as
the rows of one day, and a picture would be stored once for every day of a backfill.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import dagster as dg
import polars as pl

from cryptobot_assets.assets.partition_metadata import add_partition_metadata
from cryptobot_assets.assets.pictures import thinned
from cryptobot_assets.partitions import Partitions

KEY_FORMATS = {"day": "%Y-%m-%d", "month": "%Y-%m-01"}
ROWS = "rows"
ROW_COUNT = "dagster/row_count"
Paint = Callable[[pl.DataFrame, int], str]
"""Draws rows, of which the caller gives only some; the number says how many they stand for."""


class PartitionReport:
    """Counts of each partition of a run, and a picture of the last block of a few currencies."""

    def __init__(self, partitions: Partitions, counts: Sequence[str]) -> None:
        self._format = KEY_FORMATS[partitions.span_name]
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in counts}
        self._shown: dict[str, tuple[pl.DataFrame, int, Paint]] = {}
        # A picture takes as long to draw as 100,000 klines to store.
        self._most_shown = partitions.settings.pictures

    def count(self, name: str, currency: str, times: pl.Series) -> None:
        """Count one of `name` at each of these times."""
        for day, count in times.dt.date().value_counts().iter_rows():
            self._counts[name][f"{currency}|{day:{self._format}}"] += count

    def show(self, currency: str, rows: pl.DataFrame, paint: Paint) -> None:
        """Picture these rows, unless there are none, instead of those of the currency's earlier blocks."""
        if rows.height and (currency in self._shown or len(self._shown) < self._most_shown):
            self._shown[currency] = thinned(rows), rows.height, paint

    def attach(self, context: dg.AssetExecutionContext) -> None:
        """Hang the figures on their partitions, each picture on the last of its currency."""
        keys = list(context.partition_keys)
        told: dict[str, dict[str, object]] = {
            key: {ROW_COUNT if name == ROWS else name: counter[key] for name, counter in self._counts.items()}
            for key in keys
        }
        last_keys = {key.split("|", 1)[0]: key for key in sorted(keys)}
        for currency, (rows, count, paint) in self._shown.items():
            told[last_keys[currency]]["picture"] = dg.MetadataValue.md(paint(rows, count))
        add_partition_metadata(context, told)
