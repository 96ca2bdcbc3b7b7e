"""Partitions of the assets, and the way from partition keys to spans of time.

Market data is partitioned currency x span, a span being a day at 1m and a month at 1h; models are
partitioned market x cutoff day; reports by market. Dagster orders the dimensions of a key by
name: `BTCUSDT|2024-05-13`, `2024-05-13|ALL`.

Dagster slows down with the partitions of an asset, and is documented for up to 100,000. So market
data of many currencies is laid out in groups, each with assets of its own (`klines`, `klines_02`,
...), and models of single currencies are for twenty at most.

Currencies that the settings name are static partitions. Where the settings say `all`, they are
dynamic ones, which a sensor adds as currencies are listed; Dagster then knows the currencies of a
group, and the code only which groups there are. Models of single currencies are then for those that
settings name where nothing else is said: they are known before anyone has looked at the exchange.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import dagster as dg

from cryptobot_assets.domain.intervals import day_start, parse_day
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.settings import DEFAULT_CURRENCIES, EVERY, Settings

POOLED_MARKET = "ALL"
LOOKBACK_DAYS = 28
GROUP_SIZES = {"day": 20, "month": 500}
"""Most currencies of a group: 68,000 days since 2017, or 55,000 months."""
CURRENCIES_WITH_MODELS = 20


@dataclass(frozen=True)
class Group:
    """Currencies that share the assets of market data, in order; a currency never moves to another group."""

    number: int
    currencies: tuple[str, ...]

    def asset(self, layer: str) -> str:
        """The group's asset of a layer (`klines`, `indicators`, `predictions`): the first group's has no suffix.

        >>> Group(1, ("BTCUSDT",)).asset("klines"), Group(2, ("ETHUSDT",)).asset("klines")
        ('klines', 'klines_02')
        """
        return layer if self.number == 1 else f"{layer}_{self.number:02}"

    @property
    def dynamic_name(self) -> str:
        """Name of the dynamic partitions that hold the group's currencies, where the universe is `all`."""
        return self.asset("currencies")


@dataclass(frozen=True)
class Partitions:
    """Every partitions definition of one deployment, from its settings.

    Attributes:
        universe: where the settings say `all`, the currencies of each group as far as they are known;
            None where they name currencies.
    """

    settings: Settings
    universe: tuple[tuple[str, ...], ...] | None = None

    @property
    def group_size(self) -> int:
        """Most currencies of a group."""
        return GROUP_SIZES[self.settings.partition]

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The universe in groups, in the order of the settings: a currency named after the others moves none."""
        names, size = self.settings.currencies, self.group_size
        named = tuple(names[start : start + size] for start in range(0, len(names), size))
        members = named if self.universe is None else self.universe
        return tuple(Group(number, currencies) for number, currencies in enumerate(members, start=1))

    @property
    def currencies(self) -> tuple[str, ...]:
        """Every currency of every group, in order."""
        return tuple(name for group in self.groups for name in group.currencies)

    def live(self, instance: dg.DagsterInstance) -> "Partitions":
        """The same with the currencies that Dagster knows by now."""
        if self.universe is None:
            return self
        known = (instance.get_dynamic_partitions(group.dynamic_name) for group in self.groups)
        return replace(self, universe=tuple(map(tuple, known)))

    @property
    def markets(self) -> tuple[str, ...]:
        """What a model may be trained on: the pooled universe or one of a few currencies."""
        named = DEFAULT_CURRENCIES if self.settings.currencies == EVERY else self.settings.currencies
        return (POOLED_MARKET, *named[:CURRENCIES_WITH_MODELS])

    @property
    def span_name(self) -> str:
        """Name of the time dimension of market data: `day` or `month`."""
        return self.settings.partition

    @property
    def spans(self) -> dg.TimeWindowPartitionsDefinition:
        """The time dimension of market data; today's partition, still growing, is the last one."""
        if self.settings.partition == "month":
            return self.months
        return dg.DailyPartitionsDefinition(self.settings.start_day.isoformat(), end_offset=1)

    @property
    def months(self) -> dg.MonthlyPartitionsDefinition:
        """Calendar months of every currency, whatever the time dimension of market data is."""
        return dg.MonthlyPartitionsDefinition(self.settings.start_day.replace(day=1).isoformat(), end_offset=1)

    def market_data(self, group: Group) -> dg.MultiPartitionsDefinition:
        """currency x span, of the group's currencies."""
        currencies: dg.PartitionsDefinition = dg.DynamicPartitionsDefinition(name=group.dynamic_name)
        if self.universe is None:
            currencies = dg.StaticPartitionsDefinition(list(group.currencies))
        return dg.MultiPartitionsDefinition({"currency": currencies, self.span_name: self.spans})

    @property
    def models(self) -> dg.MultiPartitionsDefinition:
        """cutoff x market."""
        cutoffs = dg.DailyPartitionsDefinition(self.settings.start_day.isoformat(), end_offset=1)
        return dg.MultiPartitionsDefinition({"cutoff": cutoffs, "market": self.market_partitions})

    @property
    def market_partitions(self) -> dg.StaticPartitionsDefinition:
        """market."""
        return dg.StaticPartitionsDefinition(list(self.markets))

    @property
    def lookback(self) -> dg.MultiPartitionMapping:
        """A span of indicators reads its own klines and those of the 28 days before."""
        offset = -1 if self.settings.partition == "month" else -LOOKBACK_DAYS
        window = dg.TimeWindowPartitionMapping(start_offset=offset, allow_nonexistent_upstream_partitions=True)
        return dg.MultiPartitionMapping(
            {
                "currency": dg.DimensionPartitionMapping("currency", dg.IdentityPartitionMapping()),
                self.span_name: dg.DimensionPartitionMapping(self.span_name, window),
            }
        )

    def training_window(self, group: Group) -> dg.MultiPartitionMapping:
        """The training set of a cutoff reaches up to the group's span before it: of its currency, or of all for `ALL`.

        Dagster is told of the newest span of the window alone. Launching a backfill it lists what
        depends on each partition in it, which of the whole window is 1,500 partitions:
        minutes for a currency's year, hours for a group's history. It has no mapping between dynamic
        and static partitions: where the universe is `all`, the training set of one currency is shown
        to depend on every currency.
        """
        newest = dg.TimeWindowPartitionMapping(
            start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
        )
        dimensions = {self.span_name: dg.DimensionPartitionMapping("cutoff", newest)}
        if self.universe is None:
            markets = {name: {POOLED_MARKET, name} & set(self.markets) for name in group.currencies}
            dimensions["currency"] = dg.DimensionPartitionMapping("market", dg.StaticPartitionMapping(markets))
        return dg.MultiPartitionMapping(dimensions)

    def span(self, key: str) -> tuple[datetime, datetime]:
        """[start, end) of one key of the time dimension."""
        first = parse_day(key)
        if self.settings.partition == "month":
            return day_start(first), self.month(key)[1]
        return day_start(first), day_start(first + timedelta(days=1))

    @staticmethod
    def month(key: str) -> tuple[datetime, datetime]:
        """[start, end) of one of `months`."""
        first = parse_day(key).replace(day=1)
        return day_start(first), day_start((first + timedelta(days=32)).replace(day=1))

    def spans_of(self, keys: Iterable[str]) -> list[Span]:
        """Market-data partition keys as spans, neighbouring ones of a currency joined."""
        pairs = sorted(tuple(key.split("|", 1)) for key in keys)
        joined: list[Span] = []
        for currency, key in pairs:
            start, end = self.span(key)
            if joined and joined[-1].currency == currency and joined[-1].end == start:
                joined[-1] = Span(currency, joined[-1].start, end)
            else:
                joined.append(Span(currency, start, end))
        return joined

    def span_keys(self, first: date, last: date) -> list[str]:
        """Keys of the time dimension that hold the days [first, last]."""
        keys = []
        day = first.replace(day=1) if self.settings.partition == "month" else first
        while day <= last:
            keys.append(day.isoformat())
            day = self.span(day.isoformat())[1].date()
        return keys

    def keys_of_life(self, life: tuple[datetime, datetime | None], keys: Sequence[str]) -> list[str]:
        """Those of the span keys, in order, that hold an instant of [first kline, end), end None while it trades."""
        first, end = life
        return [key for key in keys if self.span(key)[1] > first and (end is None or self.span(key)[0] < end)]

    def blocks(self, span: Span, days: int) -> Iterator[Span]:
        """The span in pieces of whole partitions of about `days` days, to bound memory."""
        start = span.start
        while start < span.end:
            end = self.span(start.date().isoformat())[1]
            while end < span.end and end - start < timedelta(days=days):
                end = self.span(end.date().isoformat())[1]
            yield Span(span.currency, start, end)
            start = end


def model_key(market: str, cutoff: datetime | date) -> str:
    """Partition key of a model trained as of a cutoff day."""
    day = cutoff.astimezone(UTC).date() if isinstance(cutoff, datetime) else cutoff
    return f"{day.isoformat()}|{market}"
