"""The universe of a deployment: the currencies the settings name, or every one that is listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

from cryptobot_assets.domain.universe import Listing
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import EVERY, Settings
from cryptobot_assets.storage.exchange_client import ExchangeClient, exchange_at
from cryptobot_assets.storage.listings import QUOTE, read_listings
from cryptobot_assets.storage.store import open_store

ROOM = 100
"""Currencies that can still be listed while one process runs: some of its groups have no members yet."""
RETRIES = 3
"""Of the one question that loading code may have to ask."""


def listed_currencies(exchange: ExchangeClient) -> tuple[str, ...]:
    """Every symbol quoted in USDT that the exchange lists, whether it trades or not, in the exchange's order."""
    return tuple(symbol.name for symbol in exchange.symbols() if symbol.quote == QUOTE)


def open_partitions(settings: Settings) -> Partitions:
    """The partitions of a deployment.

    Of a universe of `all` the stored listings tell which groups there are, with room for those who
    come; where nothing is stored yet, the exchange tells how many it lists.

    Raises:
        ExchangeError and below: it must be asked, and gives no answer.
    """
    if settings.currencies != EVERY:
        return Partitions(settings)
    partitions = Partitions(settings, universe=())
    listings = read_listings(open_store(settings))
    members = groups_of(listings, partitions.group_size)
    held = places(listings) or len(listed_currencies(exchange_at(settings.exchange_url, retries=RETRIES)))
    count = -(-(held + ROOM) // partitions.group_size)
    return Partitions(settings, universe=(*members, *((),) * (count - len(members))))


def places(listings: Iterable[Listing]) -> int:
    """How many places of the universe are taken."""
    return max((one.position for one in listings), default=-1) + 1


def groups_of(listings: Sequence[Listing], size: int) -> tuple[tuple[str, ...], ...]:
    """Currencies by group: positions 0 to `size` - 1 are the first group, and so on; nobody ever moves."""
    names = {one.position: one.currency for one in listings}
    groups: list[list[str]] = [[] for _ in range(-(-places(listings) // size))]
    for position, currency in sorted(names.items()):
        groups[position // size].append(currency)
    return tuple(map(tuple, groups))


def missing_partitions(
    partitions: Partitions, listings: Sequence[Listing], instance: dg.DagsterInstance
) -> tuple[dict[str, list[str]], list[str]]:
    """Listed currencies that Dagster does not know as partitions yet.

    Returns:
        currencies to add by name of the dynamic partitions, in order of position; and those whose
        group is not defined before the code is loaded again.
    """
    if partitions.universe is None:
        return {}, []
    members = groups_of(listings, partitions.group_size)
    known = {group.number: set(group.currencies) for group in partitions.live(instance).groups}
    missing = {
        group.dynamic_name: [name for name in names if name not in known[group.number]]
        for group, names in zip(partitions.groups, members, strict=False)
    }
    later = [name for names in members[len(partitions.groups) :] for name in names]
    return {name: names for name, names in missing.items() if names}, later
