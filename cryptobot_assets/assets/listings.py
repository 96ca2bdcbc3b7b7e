"""Listings: which currencies traded when, kept for good."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from cryptobot_assets.assets.market_data import GROUP
from cryptobot_assets.assets.patience import Patience, ask_patiently
from cryptobot_assets.domain.universe import Listing, updated
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.pools import LISTINGS
from cryptobot_assets.settings import parse_currencies
from cryptobot_assets.storage.listings import ListingSource, Look, read_listings, write_listings
from cryptobot_assets.storage.store import Store

MOST_TOLD = 50


class ListingsConfig(dg.Config):
    """What a run looks at: the currencies of a comma list alone, or every one when it is empty."""

    currencies: str = ""


def listing_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `listings` asset of one deployment."""
    patience = Patience(partitions.settings.retries, partitions.settings.retry_seconds)

    @dg.asset(
        pool=LISTINGS,
        group_name=GROUP,
        kinds={"python", "deltalake"},
        owners=["team:market-data"],
        code_version="1",
        description=(
            "When each currency quoted in USDT traded: its first kline, its last if it was delisted, and its kind "
            "(coin, leveraged token, stablecoin, wrapped coin), from what the exchange lists, its klines, and the "
            "directory of its archives for what it has forgotten. A delisted currency is kept for good; one that "
            "came back after more than a week is another listing. Positions in the universe are given once."
        ),
    )
    def listings(
        context: dg.AssetExecutionContext,
        config: ListingsConfig,
        listing_source: dg.ResourceParam[ListingSource],
        store: dg.ResourceParam[Store],
    ) -> dg.MaterializeResult:
        only = parse_currencies(config.currencies) if config.currencies else ()
        look = ask_patiently(lambda: listing_source.look(read_listings(store), only), patience, context.log)
        held = read_listings(store)
        rows = updated(held, look.seen)
        if rows != held:
            write_listings(store, rows)
        return dg.MaterializeResult(metadata=told(held, rows, look))

    return [listings]


def listing_deps(partitions: Partitions) -> list[dg.AssetDep]:
    """What depends on the listings where the universe is `all`: whoever learns from some kinds alone."""
    return [] if partitions.universe is None else [dg.AssetDep("listings")]


def told(held: Sequence[Listing], rows: Sequence[Listing], look: Look) -> dict[str, Any]:
    """Counts, and what is new since the last look."""
    open_before = {(one.currency, one.time) for one in held if one.end is None}
    new = [one for one in rows if (one.currency, one.time) not in {(row.currency, row.time) for row in held}]
    ended = [one for one in rows if one.end and (one.currency, one.time) in open_before]
    kinds = Counter(one.kind for one in rows)
    figures: dict[str, Any] = {
        "dagster/row_count": len(rows),
        "trading": sum(one.end is None for one in rows),
        "delisted": sum(one.end is not None for one in rows),
        **{f"kind_{kind}": count for kind, count in sorted(kinds.items())},
        "new_listings": len(new),
        "newly_delisted": len(ended),
    }
    if new:
        figures["new"] = dg.MetadataValue.md(as_table(new))
    if ended:
        figures["ended"] = dg.MetadataValue.md(as_table(ended))
    if look.notes:
        figures["not_seen"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in _first(look.notes)))
    return figures


def as_table(rows: Sequence[Listing]) -> str:
    """Listings as a Markdown table."""
    lines = [
        f"| {one.currency} | {one.kind} | {_minute(one.time)} | {_minute(one.end) if one.end else ''} |" for one in rows
    ]
    return "\n".join(["| currency | kind | first kline | end |", "|---|---|---|---|", *_first(lines)])


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - MOST_TOLD
    return [*lines[:MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
