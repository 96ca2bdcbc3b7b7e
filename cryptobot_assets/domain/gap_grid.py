"""Gaps laid on the grid of time: a row a currency, a column an instant, a number why no kline is there.

           02:00 02:01 02:02 02:03
BTCUSDT      0     2     2     0      an outage of two klines
ETHUSDT      0     2     2     6      the same, and then one missing on our side
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

import numpy as np
import polars as pl

from cryptobot_assets.domain.grid import microseconds
from cryptobot_assets.domain.intervals import interval_delta

MICROSECOND = timedelta(microseconds=1)


class Kind(IntEnum):
    """Why an instant has no kline; its name in small letters is what `gaps.kind` says.

    UNCLASSED (null in the table): the exchange gave none when the span was ingested, nobody has looked why.
    OUTAGE: absent for every currency that then traded, at least three of them.
    HALT: the exchange, asked again, has none for this currency alone.
    NOT_LISTED: trading had not begun.
    DELISTED: trading had ended.
    MISSING: on our side, for all we know: the exchange has not confirmed that it has none.
    """

    NONE = 0
    UNCLASSED = 1
    OUTAGE = 2
    HALT = 3
    NOT_LISTED = 4
    DELISTED = 5
    MISSING = 6

    @property
    def text(self) -> str | None:
        """What the table says."""
        return None if self is Kind.UNCLASSED else self.word

    @property
    def word(self) -> str:
        """Its name in small letters."""
        return self.name.lower()


CLASSED = tuple(kind for kind in Kind if kind > Kind.UNCLASSED)
_BY_TEXT = {kind.text: kind for kind in Kind if kind}


@dataclass(frozen=True)
class GapGrid:
    """The instants of [start, end) of a few currencies; arrays over it have the shape (currencies, instants)."""

    currencies: tuple[str, ...]
    start: datetime
    end: datetime
    interval: str

    @property
    def shape(self) -> tuple[int, int]:
        """(currencies, instants)."""
        return len(self.currencies), self.slot(self.end)

    def slot(self, time: datetime) -> int:
        """Column of the instant at or before `time`; may lie outside the grid."""
        return (time - self.start) // interval_delta(self.interval)

    @property
    def _origin(self) -> int:
        return round(self.start.timestamp()) * 1_000_000

    def columns(self, start: datetime, end: datetime) -> slice:
        """Columns of the instants in [start, end), cut to the grid."""
        last = self.shape[1]
        return slice(min(max(self.slot(start), 0), last), min(max(self.slot(end), 0), last))

    def mark(self, stored: np.ndarray, rows: pl.DataFrame) -> int:
        """Set the instants of these rows (currency, time) in a bool array.

        Returns:
            how many rows set nothing: their key was set before, or is no instant of the grid.
        """
        step = interval_delta(self.interval) // MICROSECOND
        row = rows["currency"].cast(pl.Enum(self.currencies)).to_physical().to_numpy().astype(np.int64)
        passed = microseconds(rows["time"]) - self._origin
        slots = passed // step
        good = (passed % step == 0) & (slots >= 0) & (slots < self.shape[1])
        before = np.count_nonzero(stored)
        stored[row[good], slots[good]] = True
        return rows.height - int(np.count_nonzero(stored) - before)

    def paint(self, kinds: np.ndarray, gaps: pl.DataFrame) -> None:
        """Write the kind of each gap (currency, time, end, kind) over the instants it covers."""
        place = {name: row for row, name in enumerate(self.currencies)}
        for currency, time, end, kind in gaps.select("currency", "time", "end", "kind").iter_rows():
            if currency in place:
                kinds[place[currency], self.columns(time, end)] = _BY_TEXT[kind]

    def runs(self, kinds: np.ndarray) -> pl.DataFrame:
        """Maximal runs of one kind as rows of the table of gaps, a currency after the other."""
        padded = np.pad(kinds, ((0, 0), (1, 1)))
        changes = padded[:, 1:] != padded[:, :-1]
        row, first = np.nonzero(changes[:, :-1] & (kinds != Kind.NONE))
        _, last = np.nonzero(changes[:, 1:] & (kinds != Kind.NONE))
        step = interval_delta(self.interval) // MICROSECOND
        texts = np.array([kind.text for kind in Kind], dtype=object)
        return pl.DataFrame(
            {
                "currency": np.array(self.currencies, dtype=object)[row].tolist(),
                "time": self._origin + first * step,
                "end": self._origin + (last + 1) * step,
                "missing": last - first + 1,
                "kind": texts[kinds[row, first]].tolist(),
            },
            schema={"currency": pl.String, "time": pl.Int64, "end": pl.Int64, "missing": pl.Int64, "kind": pl.String},
        ).with_columns(pl.from_epoch(pl.col("time", "end"), time_unit="us").dt.replace_time_zone("UTC"))


def record_ingested(
    grid: GapGrid, gaps: pl.DataFrame, held: pl.DataFrame, *, listed: datetime, delisted: datetime | None = None
) -> pl.DataFrame:
    """What to record of a span of one currency that was just ingested.

    Args:
        gaps: what the exchange did not give since trading began: currency, time, end, missing.
        held: what was recorded of the span before; a reason that was known then is known still.
        listed: the instant trading began, or the newest if it has not; it had not before that.
        delisted: the instant trading ended, None where it is not known to have.

    Returns:
        rows of the table of gaps.
    """
    before, after = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    grid.paint(before, held)
    grid.paint(after, gaps.with_columns(kind=pl.lit(None, pl.String)))
    after[:, grid.columns(grid.start, listed)] = Kind.NOT_LISTED
    if delisted is not None:
        after[:, grid.columns(max(delisted, grid.start), grid.end)] = Kind.DELISTED
    known = (after == Kind.UNCLASSED) & np.isin(before, [Kind.OUTAGE, Kind.HALT, Kind.DELISTED])
    after[known] = before[known]
    return grid.runs(after)
