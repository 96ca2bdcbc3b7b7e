"""What a way lets the others see of what it made: some rows, how many there are, and how far two ways are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

EVERY_HOURS = 37
"""No divisor of a day, so that every hour of it is seen; of daily rows every 37th day."""

Sample = Mapping[str, np.ndarray]
RELATIVE, ABSOLUTE = 1e-6, 1e-9
SINGLE = 1e-5
"""What single precision may be off, of one plus the value: features are relative to the price."""


def sampled(time: np.ndarray) -> np.ndarray:
    """Places of the rows that are shown, of datetime64 in UTC."""
    return np.flatnonzero(_hours(time) % EVERY_HOURS == 0)


def show(path: str, currency: np.ndarray, time: np.ndarray, values: np.ndarray, rows: int) -> dict[str, Any]:
    """Write sampled rows; the facts a contestant tells.

    Args:
        currency, time: keys of the sampled rows, (n,), strings and datetime64 of UTC.
        values: (n, columns) float64, NaN where not known.
        rows: how many there are in all.
    """
    order = np.lexsort((time, currency))
    np.savez(path, currency=currency[order], hours=_hours(time)[order], values=values[order])
    return {"rows": rows, "shown": path}


def agreement(facts: Mapping[str, Mapping[str, Any]], ours: str, columns: Sequence[str], single: str) -> str:
    """How far the ways' sampled rows are apart from ours.

    Args:
        single: how the names of ways in single precision begin. They may have more rows: where a window lacks hours
            Qlib takes what there is of it.

    Raises:
        RuntimeError: rows differ, or values by more than they may.
    """
    mine, told = np.load(facts[ours]["shown"]), []
    for name, fact in facts.items():
        if name != ours:
            more = fact["rows"] - facts[ours]["rows"]
            if more and not name.startswith(single):
                raise RuntimeError(f"{name} has {fact['rows']:,} rows, ours {facts[ours]['rows']:,}")
            apart = compare(mine, np.load(fact["shown"]), name, columns, single=name.startswith(single))
            told.append(f"{name} {apart:.1e}{f', {more:,} more rows, beside gaps' if more else ''}")
    return f"{facts[ours]['rows']:,} rows; sampled, the largest differences: {'; '.join(told)}"


def compare(mine: Sample, theirs: Sample, name: str, columns: Sequence[str], *, single: bool) -> float:
    """The largest difference of two samples; raises as `agreement` does."""
    keys = [np.char.add(one["currency"].astype(str), one["hours"].astype(str)) for one in (mine, theirs)]
    _, own, other = np.intersect1d(keys[0], keys[1], return_indices=True)
    if len(own) < len(keys[0]) or (len(other) < len(keys[1]) and not single):
        raise RuntimeError(f"{name} has {len(other)} of {len(keys[0])} sampled rows and {len(keys[1])} in all")
    one, two = mine["values"][own], theirs["values"][other]
    apart = np.abs(one - two)
    allowed = SINGLE * (1 + np.abs(one)) if single else RELATIVE * np.abs(one) + ABSOLUTE
    beyond = np.argwhere(~((apart <= allowed) | (np.isnan(one) & np.isnan(two))))
    if len(beyond):
        row, column = beyond[0]
        what = f"{columns[column]} of {keys[0][own][row]}"
        raise RuntimeError(f"{name}: {what} is {two[row, column]!r}, ours {one[row, column]!r}")
    return float(np.nanmax(apart, initial=0.0))


def _hours(time: np.ndarray) -> np.ndarray:
    return time.astype("datetime64[h]").astype(np.int64)
