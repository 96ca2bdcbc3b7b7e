"""Which partitions are due: never recorded, not whole yet, or older than what they are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from cryptobot_assets.domain.intervals import DAY, interval_delta
from cryptobot_assets.partitions import Partitions

NEVER = datetime.min.replace(tzinfo=UTC)
UNRECORDED = -1
"""Before every place in the order of recording."""

Due = dict[str, list[str]]
"""By currency, in the order of its group: keys of the time dimension that are due, in order."""


@dataclass(frozen=True)
class Link:
    """A layer of market data made of another, span by span: which days it reads around its own."""

    upstream: str
    downstream: str
    days_before: int = 0
    days_after: int = 0


def recent_keys(partitions: Partitions, now: datetime) -> list[str]:
    """Span keys that unattended runs look after: of the last `catch_up_days` days and of today."""
    settings = partitions.settings
    first = max((now - timedelta(days=settings.catch_up_days)).date(), settings.start_day)
    return partitions.span_keys(first, now.date())


def out_of_reach(newest: Mapping[str, datetime], partitions: Partitions, now: datetime) -> dict[str, datetime]:
    """Currencies whose newest kline is before the first span that unattended runs look after, and its time."""
    keys = recent_keys(partitions, now)
    return {name: time for name, time in newest.items() if keys and time < partitions.span(keys[0])[0]}


def klines_due(
    currencies: Sequence[str],
    recorded: Collection[str],
    known: Mapping[str, int],
    partitions: Partitions,
    now: datetime,
    *,
    lives: Mapping[str, tuple[datetime, datetime | None]] | None = None,
) -> Due:
    """Recent spans of these currencies that lack klines which the market had finished by `now`.

    A span is behind when it was never recorded, or not whole (up to `now` where it still grows).
    Where one is, yesterday's and today's are due too: the exchange may have been late with the last
    klines of yesterday.

    Args:
        recorded: partition keys recorded as materialized.
        known: see `known_instants`.
        now: the market's present.
        lives: when currencies traded, as far as it is known; spans outside are never due.
    """
    step = interval_delta(partitions.settings.interval)
    finished = datetime.fromtimestamp(now.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
    spans = {key: partitions.span(key) for key in recent_keys(partitions, now)}
    newest = set(partitions.span_keys((now - DAY).date(), now.date()))
    grown = {key: (min(end, finished) - start) // step for key, (start, end) in spans.items() if start < finished}
    due: Due = {}
    for currency in currencies:
        life = (lives or {}).get(currency)
        traded = list(spans) if life is None else partitions.keys_of_life(life, list(spans))
        behind = {
            key
            for key in traded
            if key in grown and (f"{currency}|{key}" not in recorded or known.get(f"{currency}|{key}", 0) < grown[key])
        }
        due[currency] = [key for key in traded if behind and (key in behind or key in newest)]
    return due


def stale(
    link: Link,
    currencies: Sequence[str],
    upstream: Mapping[str, int],
    downstream: Mapping[str, int],
    partitions: Partitions,
    keys: Sequence[str],
) -> Due:
    """Of `keys`, the spans whose upstream partition is recorded and that read one recorded later than themselves.

    Args:
        upstream, downstream: place in the order of recording of each partition's newest
            materialization; partitions never recorded are absent.
    """
    sources = {key: reads(link, partitions, key) for key in keys}

    def is_stale(currency: str, key: str) -> bool:
        made = downstream.get(f"{currency}|{key}", UNRECORDED)
        return f"{currency}|{key}" in upstream and any(
            upstream.get(f"{currency}|{one}", UNRECORDED) > made for one in sources[key]
        )

    return {currency: [key for key in keys if is_stale(currency, key)] for currency in currencies}


def reads(link: Link, partitions: Partitions, key: str) -> list[str]:
    """Span keys of the upstream asset that one of the downstream asset reads."""
    start, end = partitions.span(key)
    return partitions.span_keys(
        (start - timedelta(days=link.days_before)).date(), (end - DAY + timedelta(days=link.days_after)).date()
    )


def read_by(link: Link, partitions: Partitions, keys: Iterable[str], last: str) -> list[str]:
    """Span keys up to `last` that read any of these upstream keys: from the earliest that may to the latest."""
    spans = [partitions.span(key) for key in keys]
    first = min(start for start, _ in spans) - timedelta(days=link.days_after)
    end = max(end for _, end in spans) - DAY + timedelta(days=link.days_before)
    return [key for key in partitions.span_keys(first.date(), end.date()) if key <= last]


def without(due: Due, partition_keys: Collection[str]) -> Due:
    """The same without some partitions."""
    return {
        currency: [key for key in keys if f"{currency}|{key}" not in partition_keys] for currency, keys in due.items()
    }


def ranges(due: Due, most: int = 1000) -> list[tuple[str, str]]:
    """First and last partition key of few ranges that hold all that is due.

    A range `A|d1` to `C|d2` stands for every span from d1 to d2 of every currency from A to C. Each
    currency is asked for from its first due span to its last; neighbours with the same ends are joined,
    as long as no more than `most` partitions come together.

    >>> ranges({"A": ["1", "3"], "B": ["1", "2", "3"], "C": [], "D": ["2"]})
    [('A|1', 'B|3'), ('D|2', 'D|2')]
    >>> ranges({"A": ["1", "2", "3"]}, most=2)
    [('A|1', 'A|2'), ('A|3', 'A|3')]
    """
    found = []
    for ends, group in groupby(due.items(), key=lambda one: (one[1][0], one[1][-1]) if one[1] else None):
        if ends is None:
            continue
        currencies, keys = zip(*group, strict=True)
        longest = max(keys, key=len)
        for names in _pieces(currencies, max(1, most // len(longest))):
            found += [(f"{names[0]}|{part[0]}", f"{names[-1]}|{part[-1]}") for part in _pieces(longest, most)]
    return found


def _pieces(values: Sequence[str], most: int) -> list[Sequence[str]]:
    return [values[start : start + most] for start in range(0, len(values), most)]
