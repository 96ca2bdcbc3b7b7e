"""The universe over time: which currencies could be traded when, and of what kind each is.

A listing is one currency from its first kline to just after its last. A symbol that was taken off
and came back after more than a week is another coin under the same name, and another listing::

    LUNAUSDT  |---- listing, position 7 ----|        hole        |---- listing, position 7 ----...
              time                         end                  time                     end: None

A backtest of a past instant takes what `tradable` says of it, delisted currencies included, or it
learns from survivors alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl

from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.sources import Span

KINDS = ("coin", "leveraged", "stable", "wrapped")

LEVERAGED_SUFFIXES = ("UP", "DOWN", "BULL", "BEAR")
LEVERAGED_BASES = frozenset({"BULL", "BEAR"})
STABLE_BASES = frozenset({
    "USDC", "BUSD", "TUSD", "PAX", "USDP", "USDS", "USDSB", "FDUSD", "DAI", "UST", "USTC", "SUSD", "USD1", "USDE",
    "XUSD", "BFUSD", "RLUSD", "USDD", "AEUR", "EURI", "EUR", "GBP", "AUD", "TRY", "BRL", "RUB", "UAH", "BIDR",
    "BKRW", "IDRT", "BVND", "NGN", "ZAR", "PLN", "RON", "ARS", "MXN", "CZK", "COP", "JPY",
})  # fmt: skip
"""What its issuer promises to be worth one unit of a state's money, and that money itself."""
WRAPPED_BASES = frozenset({"WBTC", "WBETH", "BETH", "STETH", "WSTETH", "BNSOL", "BTCB", "RENBTC", "WBNB"})
"""What stands for another coin, staked or on another chain, and moves with it."""

LONGEST_PAUSE = timedelta(days=7)
"""Days without a kline after which a currency that comes back is another one: outages last hours."""
EVIDENCE_DAYS = 28
"""Days of a listing by which its behaviour is judged: no row is complete before they have passed."""
STABLE_BAND, STABLE_MOVE = 0.03, 0.01
LIFE = "@"
FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One currency over [time, end), end None while it trades; `position` is its place in the universe.

    A position is given once, never to another currency, and shared by all listings of a symbol.
    """

    currency: str
    time: datetime
    end: datetime | None
    base: str
    quote: str
    kind: str
    position: int

    def trades_at(self, moment: datetime) -> bool:
        """Whether the instant lies in [time, end)."""
        return self.time <= moment < (self.end or FAR_FUTURE)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of one currency: when it traded, as (time, end) in order, and its kind, None when not judged."""

    currency: str
    base: str
    quote: str
    kind: str | None
    spans: tuple[tuple[datetime, datetime | None], ...]


def tradable(listings: Iterable[Listing], at: datetime, kinds: Collection[str] = KINDS) -> tuple[str, ...]:
    """Currencies of these kinds that could be traded at an instant, in order of position.

    Those delisted since are among them; those whose first kline opens later are not.
    """
    return _names(one for one in listings if one.kind in kinds and one.trades_at(at))


def listed_before(listings: Iterable[Listing], at: datetime, kinds: Collection[str] = KINDS) -> tuple[str, ...]:
    """Currencies of these kinds with a kline before an instant, whether or not they still trade at it."""
    return _names(one for one in listings if one.kind in kinds and one.time < at)


def _names(listings: Iterable[Listing]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.currency for one in sorted(listings, key=lambda one: (one.position, one.time))))


def lives(listings: Iterable[Listing]) -> dict[str, tuple[datetime, datetime | None]]:
    """By currency: its first kline, and the end of its newest listing, None while it trades."""
    held: dict[str, tuple[datetime, datetime | None]] = {}
    for one in sorted(listings, key=lambda one: one.time):
        first, _ = held.get(one.currency, (one.time, None))
        held[one.currency] = first, one.end
    return held


def lives_apart(rows: pl.DataFrame, listings: Iterable[Listing]) -> pl.DataFrame:
    """Rows (currency, time, ...) with the later lives of a symbol named apart, `LUNAUSDT@2022-05-31`.

    What was bought of the first life is worth its last price for ever, whatever the next one trades at.
    """
    begun: dict[str, list[datetime]] = {}
    for one in sorted(listings, key=lambda one: one.time):
        begun.setdefault(one.currency, []).append(one.time)
    name = pl.col("currency")
    for currency, starts in begun.items():
        for start in starts[1:]:
            later = (pl.col("currency") == currency) & (pl.col("time") >= start)
            name = pl.when(later).then(pl.lit(f"{currency}{LIFE}{start:%Y-%m-%d}")).otherwise(name)
    return rows.with_columns(name.alias("currency"))


def symbol_of(name: str) -> str:
    """The symbol of one of its lives.

    >>> symbol_of("LUNAUSDT@2022-05-31"), symbol_of("BTCUSDT")
    ('LUNAUSDT', 'BTCUSDT')
    """
    return name.partition(LIFE)[0]


def listed_parts(listings: Iterable[Listing], span: Span) -> list[Span]:
    """The parts of a span in which its currency traded; the span itself where no listing of it is known."""
    own = sorted((one for one in listings if one.currency == span.currency), key=lambda one: one.time)
    if not own:
        return [span]
    parts: list[Span] = []
    for one in own:
        start = max(one.time, parts[-1].end if parts else span.start)
        part = replace(span, start=start, end=min(span.end, one.end or span.end))
        if part.start < part.end:
            parts.append(part)
    return parts


def trading_runs(days: Sequence[date]) -> list[tuple[date, date]]:
    """First and last day of each listing, of the days (in order) that have a kline.

    >>> trading_runs([date(2022, 5, 12), date(2022, 5, 13), date(2022, 5, 31), date(2022, 6, 2)])
    [(datetime.date(2022, 5, 12), datetime.date(2022, 5, 13)), (datetime.date(2022, 5, 31), datetime.date(2022, 6, 2))]
    """
    if not days:
        return []
    borders = [(last, first) for last, first in pairwise(days) if first - last > LONGEST_PAUSE]
    firsts = [days[0], *(first for _, first in borders)]
    lasts = [*(last for last, _ in borders), days[-1]]
    return list(zip(firsts, lasts, strict=True))


def kind_of_name(base: str, others: Collection[str]) -> str:
    """Kind of a currency by its base's name; `others` are the bases that are listed beside it.

    A leveraged token is another base with a suffix. Bases of one letter carry none: `J` beside
    `JUP` says nothing.

    >>> [kind_of_name(base, {"BTC", "J"}) for base in ("BTCUP", "JUP", "USDC", "WBTC", "BTC")]
    ['leveraged', 'coin', 'stable', 'wrapped', 'coin']
    """
    if base in STABLE_BASES:
        return "stable"
    if base in WRAPPED_BASES:
        return "wrapped"
    stems = (base.removesuffix(suffix) for suffix in LEVERAGED_SUFFIXES if base.endswith(suffix))
    if base in LEVERAGED_BASES or any(len(stem) > 1 and stem in others for stem in stems):
        return "leveraged"
    return "coin"


def keeps_to_one(closes: Sequence[float]) -> bool | None:
    """Whether a listing's daily closes behave as those of a stablecoin; None while its first 28 days have not passed.

    Args:
        closes: daily closes from the first day on; those after the 28th are not looked at, so that
            the answer never depends on what came later.
    """
    if len(closes) < EVIDENCE_DAYS:
        return None
    early = closes[:EVIDENCE_DAYS]
    near = all(abs(close - 1) <= STABLE_BAND for close in early)
    return near and all(abs(later / close - 1) <= STABLE_MOVE for close, later in pairwise(early))


def updated(held: Sequence[Listing], seen: Iterable[Seen]) -> list[Listing]:
    """The listings with what was seen now, in order of position and time; seeing the same again changes nothing.

    A listing that was not seen stays as it was. New currencies take the next positions, in order
    of their first kline, then name.
    """
    rows: dict[str, list[Listing]] = {currency: [] for currency in dict.fromkeys(one.currency for one in held)}
    for listing in sorted(held, key=lambda one: one.time):
        rows[listing.currency].append(listing)
    traded = {one.currency: one for one in seen if one.spans}
    positions = _positions(held, traded.values())
    for one in traded.values():
        rows[one.currency] = _of_currency(rows.get(one.currency, []), one, positions[one.currency])
    return sorted((row for own in rows.values() for row in own), key=lambda one: (one.position, one.time))


def _positions(held: Iterable[Listing], seen: Iterable[Seen]) -> dict[str, int]:
    positions = {one.currency: one.position for one in held}
    new = sorted((one.spans[0][0], one.currency) for one in seen if one.currency not in positions)
    first = max(positions.values(), default=-1) + 1
    return positions | {currency: place for place, (_, currency) in enumerate(new, start=first)}


def _of_currency(held: Sequence[Listing], seen: Seen, position: int) -> list[Listing]:
    left = list(held)
    rows = []
    for time, end in seen.spans:
        own = next((one for one in left if _touch(one, time, end)), None)
        if own is None:
            kind = seen.kind or "coin"
            rows.append(
                Listing(
                    currency=seen.currency, time=time, end=end, base=seen.base, quote=seen.quote, kind=kind,
                    position=position,
                )
            )  # fmt: skip
            continue
        left.remove(own)
        rows.append(replace(own, time=_first(own.time, time), end=end, kind=seen.kind or own.kind))
    return [*left, *rows]


def _touch(one: Listing, time: datetime, end: datetime | None) -> bool:
    return time <= (one.end or FAR_FUTURE - LONGEST_PAUSE) + LONGEST_PAUSE and one.time <= (end or FAR_FUTURE)


def _first(held: datetime, seen: datetime) -> datetime:
    """The earlier of two first klines; of one day the one held, which may be known to the minute."""
    return held if seen > held - DAY else seen
