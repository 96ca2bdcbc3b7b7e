"""Which partitions are still to be materialized, in as few runs as reasonable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cryptobot_assets.automation.due import UNRECORDED, stale
from cryptobot_assets.automation.records import keys_of, left_behind, newest_records
from cryptobot_assets.automation.schedules import INDICATORS_OF_KLINES
from cryptobot_assets.deployment import Deployment
from cryptobot_assets.domain.indicators import LONGEST_LOOKBACK
from cryptobot_assets.domain.intervals import DAY, interval_delta
from cryptobot_assets.domain.universe import lives
from cryptobot_assets.partitions import Group
from cryptobot_assets.storage.listings import read_listings
from cryptobot_assets.storage.store import INDICATORS, KLINES, TABLES, Store, open_store
from cryptobot_assets.wholeness import known_instants, stored_instants

PARTITIONS_A_RUN = 1000
"""A run costs a second of bookkeeping of its own, and one that is killed is done again whole: so many days take ten."""


@dataclass(frozen=True)
class KeyRange:
    """Partitions of one asset: every span from `A|d1` to `C|d2` of every currency from A to C, in the group's order."""

    asset: str
    first: str
    last: str

    @property
    def keys(self) -> tuple[str, str]:
        """First and last partition key."""
        return self.first, self.last


@dataclass
class _Block:
    """Neighbouring currencies of a group that miss the same span keys."""

    currencies: list[str]
    first: str
    last: str


def missing_ranges(
    deployment: Deployment, layer: str, currencies: Sequence[str], first: date, last: date
) -> list[KeyRange]:
    """Partitions of a layer's assets over the days [first, last] that are not materialized, or not whole.

    A partition recorded while its day still went on is done again, and so is one of which rows are
    missing for whatever reason. Indicators made before klines that they read are missing too, also those
    of days after the range. Days on which a currency is known not to have traded are left out. Ranges
    join neighbours of a group that miss the same days.
    """
    partitions, store = deployment.partitions, open_store(deployment.settings)
    keys, known = partitions.span_keys(first, last), lives(read_listings(store))
    unfinished = _unfinished(deployment, store, layer, currencies, keys)
    ranges = []
    for group in partitions.groups:
        wanted = [name for name in group.currencies if name in currencies]
        if not wanted:
            continue
        done = deployment.materialized(group.asset(layer)) - unfinished
        reach = keys
        if layer == INDICATORS.name:
            reach = partitions.span_keys(first, last + LONGEST_LOOKBACK)
            outdated = _outdated(deployment, group, wanted, reach)
            done = (done | set(keys_of(wanted, reach[len(keys) :]))) - outdated
        traded = {name: partitions.keys_of_life(known[name], reach) if name in known else reach for name in wanted}
        ranges += [
            KeyRange(group.asset(layer), f"{one.currencies[0]}|{one.first}", f"{one.currencies[-1]}|{one.last}")
            for one in _blocks(group.currencies, traded, done)
        ]
    return ranges


def whole_ranges(deployment: Deployment, layer: str, first: date, last: date) -> Iterator[KeyRange]:
    """Every partition of a layer over the days [first, last], a range a group."""
    keys = deployment.partitions.span_keys(first, last)
    for group in deployment.partitions.groups:
        if group.currencies:
            yield KeyRange(group.asset(layer), f"{group.currencies[0]}|{keys[0]}", f"{group.currencies[-1]}|{keys[-1]}")


def _blocks(order: Sequence[str], wanted: Mapping[str, Sequence[str]], done: set[str]) -> list[_Block]:
    blocks: list[_Block] = []
    for currency, keys in wanted.items():
        for first, last, count in _missing_runs(keys, {key for key in keys if f"{currency}|{key}" in done}):
            held = blocks[-1] if blocks else None
            if (
                held is not None
                and (held.first, held.last) == (first, last)
                and order.index(currency) == order.index(held.currencies[-1]) + 1
                and (len(held.currencies) + 1) * count <= PARTITIONS_A_RUN
            ):
                held.currencies.append(currency)
            else:
                blocks.append(_Block([currency], first, last))
    return blocks


def _unfinished(
    deployment: Deployment, store: Store, layer: str, currencies: Sequence[str], keys: Sequence[str]
) -> set[str]:
    """Partitions that lack klines, or rows for their klines."""
    partitions = deployment.partitions
    if layer == KLINES.name:
        step = interval_delta(deployment.settings.interval)
        held = known_instants(store, partitions, currencies, keys)
        whole = {key: (end - start) // step for key in keys for start, end in [partitions.span(key)]}
        return {f"{name}|{key}" for name in currencies for key in keys if held[f"{name}|{key}"] < whole[key]}
    made, klines = (stored_instants(store, one, partitions, currencies, keys) for one in (TABLES[layer], KLINES))
    return {f"{name}|{key}" for name in currencies for key in keys if made[f"{name}|{key}"] != klines[f"{name}|{key}"]}


def _outdated(deployment: Deployment, group: Group, currencies: Sequence[str], keys: Sequence[str]) -> set[str]:
    """Partitions with indicators, whoever stored them, that read klines which were recorded later than they were."""
    partitions, instance = deployment.partitions, deployment.instance
    stored = stored_instants(open_store(deployment.settings), INDICATORS, partitions, currencies, keys)
    asset = group.asset(INDICATORS.name)
    made = newest_records(instance, asset, keys_of(currencies, keys))
    for key in left_behind(instance, asset):
        made.pop(key, None)
    first, end = partitions.span(keys[0])[0], partitions.span(keys[-1])[1]
    read = partitions.span_keys((first - LONGEST_LOOKBACK).date(), (end - DAY).date())
    klines = newest_records(instance, group.asset(KLINES.name), keys_of(currencies, read))
    due = stale(INDICATORS_OF_KLINES, currencies, dict.fromkeys(stored, UNRECORDED) | klines, made, partitions, keys)
    return {f"{name}|{key}" for name, days in due.items() for key in days} & stored.keys()


def _missing_runs(keys: Sequence[str], done: set[str]) -> list[tuple[str, str, int]]:
    """Runs of neighbouring keys that are not done, as long as one run of Dagster should be: first, last, how many.

    >>> _missing_runs(["a", "b", "c", "d"], {"b"})
    [('a', 'a', 1), ('c', 'd', 2)]
    """
    runs: list[list[str]] = [[]]
    for key in keys:
        if key in done:
            runs.append([])
        else:
            runs[-1].append(key)
    return [(piece[0], piece[-1], len(piece)) for run in runs for piece in _pieces(run)]


def _pieces(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """The keys in pieces of at most `PARTITIONS_A_RUN`, cut between months so that none is read twice."""
    while len(keys) > PARTITIONS_A_RUN:
        size = next(n for n in range(PARTITIONS_A_RUN, 0, -1) if keys[n].endswith("-01"))
        yield keys[:size]
        keys = keys[size:]
    if keys:
        yield keys
