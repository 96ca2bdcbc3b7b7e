"""The indicators written down from their definitions, one row at a time, in plain loops.

Slow and obvious on purpose: what the fast ones are held against, and their yardstick in
`benchmarks/indicators.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STEPS = {"1m": timedelta(minutes=1), "1h": HOUR}

Closes = Mapping[datetime, float]


def slow_indicators(closes: Closes, time: datetime, interval: str) -> dict[str, float | None]:
    """Every indicator of the row at `time`; None where it is unknown."""
    close = closes[time]
    row: dict[str, float | None] = {
        "close": close,
        "close_minmax_scale": _minmax(closes, time, STEPS[interval]),
        "ma7_25h": _difference(closes, time, HOUR, 7, 25),
        "ma25_99h": _difference(closes, time, HOUR, 25, 99),
        "ma7_25d": _difference(closes, time, DAY, 7, 25),
        "ma25_99d": _difference(closes, time, DAY, 25, 99),
    }
    for name in ("ma7_25h", "ma25_99h", "ma7_25d", "ma25_99d"):
        row[f"{name}_scale"] = None if row[name] is None else row[name] / close
    hourly = _samples(closes, time, HOUR, 672)
    row["rsi_14h"] = None if hourly is None else _rsi(hourly)
    row["macd_12_26_9h"] = None if hourly is None else _macd_histogram(hourly) / close
    row["bollinger_20h"] = _percent_b(_samples(closes, time, HOUR, 20))
    return row


def _samples(closes: Closes, time: datetime, spacing: timedelta, count: int) -> list[float] | None:
    """`count` closes `spacing` apart ending at `time`, oldest first; None when one is missing."""
    found = [closes.get(time - back * spacing) for back in reversed(range(count))]
    return None if None in found else found


def _difference(closes: Closes, time: datetime, spacing: timedelta, short: int, long: int) -> float | None:
    samples = _samples(closes, time, spacing, long)
    return None if samples is None else sum(samples[-short:]) / short - sum(samples) / long


def _minmax(closes: Closes, time: datetime, step: timedelta) -> float | None:
    window = _samples(closes, time, step, int(672 * HOUR / step))
    if window is None or max(window) == min(window):
        return None
    return (window[-1] - min(window)) / (max(window) - min(window))


def _rsi(closes: list[float]) -> float | None:
    gains = [max(now - before, 0.0) for before, now in pairwise(closes)]
    losses = [max(before - now, 0.0) for before, now in pairwise(closes)]
    gain, loss = sum(gains[:14]) / 14, sum(losses[:14]) / 14
    for one_gain, one_loss in zip(gains[14:], losses[14:], strict=True):
        gain, loss = (gain * 13 + one_gain) / 14, (loss * 13 + one_loss) / 14
    if gain == 0 and loss == 0:
        return None
    return 100.0 if loss == 0 else 100 - 100 / (1 + gain / loss)


def _macd_histogram(closes: list[float]) -> float:
    fast, slow = _ema(closes, 12), _ema(closes, 26)
    line = [one - other for one, other in zip(fast, slow, strict=True)]
    return line[-1] - _ema(line, 9)[-1]


def _ema(values: list[float], length: int) -> list[float]:
    smoothed = [values[0]]
    for value in values[1:]:
        smoothed.append(2 / (length + 1) * value + (1 - 2 / (length + 1)) * smoothed[-1])
    return smoothed


def _percent_b(closes: list[float] | None) -> float | None:
    if closes is None:
        return None
    mean = sum(closes) / 20
    deviation = math.sqrt(sum((close - mean) ** 2 for close in closes) / 20)
    if max(closes) == min(closes):
        return None
    lower, upper = mean - 2 * deviation, mean + 2 * deviation
    return (closes[-1] - lower) / (upper - lower)
