"""Klines as bytes: the JSON rows of the REST answer and the CSV rows of the archives.

Prices and volumes carry 8 decimals, as on the exchange. A page of 1,000 rows is 7,000 decimal
numbers, so digits are written column-wise into one byte matrix (a row a kline, four digits a
table look-up) whose leading zeros are NULs to be dropped: about 1 microsecond a row, where
formatting number by number in Python takes 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryptobot_assets.exchange.market import Series

DECIMALS = 8
SCALE = 10**DECIMALS
FIRST_LARGE = 10 ** (15 - DECIMALS)
FOUR_DIGITS = np.frombuffer("".join(f"{number:04d}" for number in range(10_000)).encode(), np.uint32)


@dataclass(frozen=True)
class Layout:
    """What stands between the fields of a row and at its end."""

    before: bytes
    between: bytes
    quote: bytes
    after: bytes


JSON_ROW = Layout(before=b"[", between=b",", quote=b'"', after=b"],")
CSV_ROW = Layout(before=b"", between=b",", quote=b"", after=b"\n")


@dataclass(frozen=True)
class Rows:
    """Rows as bytes; row i is `text[offsets[i] : offsets[i + 1]]`, its separator included."""

    text: bytes
    offsets: np.ndarray

    def between(self, first: int, last: int) -> bytes:
        return self.text[self.offsets[first] : self.offsets[last]]


def render(klines: Series, *, step_ms: int, layout: Layout, microseconds: bool = False) -> Rows:
    """Rows of the exchange's 12 fields.

    Open time, open, high, low, close, volume, close time, quote volume, trades, taker base volume, taker
    quote volume, and one that says nothing ("0").

    Args:
        klines: any number of rows.
        step_ms: the interval; close time is the last instant of the kline in the unit used.
        microseconds: the unit of both times, else milliseconds.
    """
    count = len(klines)
    nothing = np.zeros(count)
    unit = 1000 if microseconds else 1
    opened = klines.time_ms * unit
    quote_volume = klines.quote_volume
    if quote_volume is None:
        quote_volume = klines.volume * (klines.open + klines.high + klines.low + klines.close) / 4
    columns = (
        opened, klines.open, klines.high, klines.low, klines.close, klines.volume,
        opened + (step_ms * unit - 1), quote_volume,
        np.zeros(count, np.int64) if klines.trades is None else klines.trades,
        nothing if klines.taker_volume is None else klines.taker_volume,
        nothing if klines.taker_quote_volume is None else klines.taker_quote_volume,
    )  # fmt: skip
    pieces: list[bytes | np.ndarray] = [layout.before]
    for column in columns:
        pieces += _number(column, layout)
    pieces.append(layout.quote + b"0" + layout.quote + layout.after)
    return _assemble(pieces, count)


def _number(column: np.ndarray, layout: Layout) -> list[bytes | np.ndarray]:
    """The pieces of one field and the separator after it."""
    if column.dtype != float:
        return [_whole(column), layout.between]
    whole = np.floor(column)
    fraction = _fraction(column, whole).astype(np.int64)
    carry = fraction >= SCALE
    fraction[carry] = 0
    decimals = _digits(fraction, DECIMALS // 4)
    return [layout.quote, _whole(whole.astype(np.int64) + carry), b".", decimals, layout.quote + layout.between]


def _fraction(column: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """What the whole part leaves, in units of the last decimal.

    The difference is exact, so it is rounded once. A double tells 15 to 17 digits apart: the
    shortest that reads back as the same double is written, as its source most likely did.
    """
    exact: np.ndarray = np.rint((column - whole) * SCALE)
    if column.max(initial=0) < FIRST_LARGE:
        return exact
    excess = np.floor(np.log10(np.maximum(whole, 1))) + 1 + DECIMALS
    shortest = exact
    for digits in (16, 15):
        unit = 10 ** np.clip(excess - digits, 0, DECIMALS)
        rounded = np.rint(exact / unit) * unit
        shortest = np.where(whole + rounded / SCALE == column, rounded, shortest)
    return shortest


def _whole(numbers: np.ndarray) -> np.ndarray:
    """Digits of non-negative whole numbers, NUL where a leading zero would be."""
    shortest, longest = len(str(numbers.min(initial=2**62))), len(str(numbers.max(initial=0)))
    digits = _digits(numbers, -(-longest // 4))[:, -longest:]
    for length in range(shortest, longest):
        digits[numbers < 10**length, longest - 1 - length] = 0
    return digits


def _digits(numbers: np.ndarray, groups: int) -> np.ndarray:
    digits = np.empty((len(numbers), groups), np.uint32)
    for group in reversed(range(groups)):
        rest = numbers // 10_000
        digits[:, group] = FOUR_DIGITS[numbers - rest * 10_000]
        numbers = rest
    return digits.view(np.uint8)


def _assemble(pieces: list[bytes | np.ndarray], count: int) -> Rows:
    """Lay out the pieces side by side: texts that every row has, and digits of each row's own."""
    if not count:
        return Rows(b"", np.zeros(1, np.int64))
    template = b"".join(piece if isinstance(piece, bytes) else bytes(piece.shape[1]) for piece in pieces)
    text = np.empty((count, len(template)), np.uint8)
    text[:] = np.frombuffer(template, np.uint8)
    left = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            left += len(piece)
            continue
        # One opaque element a row is copied several times faster than its bytes one by one.
        element = np.dtype((np.void, piece.shape[1]))
        target = np.ndarray(count, element, text, left, (len(template),))
        target[:] = np.ascontiguousarray(piece).view(element)[:, 0]
        left += piece.shape[1]
    offsets = np.concatenate([[0], np.cumsum(np.count_nonzero(text, axis=1))])
    return Rows(text.tobytes().replace(b"\0", b""), offsets)
