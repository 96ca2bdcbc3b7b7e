"""`cryptobot plugins`: what other installed packages bring, and whether it can be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from cryptobot_assets.errors import BadPlugin


@dataclass(frozen=True)
class Finding:
    """One part that another package brings, or one group of entry points that cannot be read."""

    kind: str
    name: str
    package: str
    place: str
    fault: str = ""


@click.command()
def plugins() -> None:
    """Features, algorithms, allocation rules, exchanges and stores that other installed packages bring.

    Each is imported and checked. Exits with 1 when one cannot be used. See docs/tutorial.md for bringing some.
    """
    from cryptobot_assets.cli.console import print_table, say

    findings = list(find())
    fine = [[one.kind, one.name, one.package, one.place] for one in findings if not one.fault]
    if fine:
        print_table("From other packages", ["kind", "name", "package", "place"], fine, numbers_from=4)
    elif not findings:
        groups = ", ".join(catalogue.group for catalogue in catalogues())
        say(f"No other package brings anything. Entry points looked at: {groups}")
    faults = [one.fault for one in findings if one.fault]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise BadPlugin(f"{faults[0]}{more}")


def catalogues() -> tuple[Any, ...]:
    """Every kind of part that can be brought."""
    from cryptobot_assets.models.algorithms import ALGORITHMS
    from cryptobot_assets.plugged import FEATURES, RULES
    from cryptobot_assets.storage.exchange_client import EXCHANGES
    from cryptobot_assets.storage.store import STORES

    return FEATURES, ALGORITHMS, RULES, EXCHANGES, STORES


def find() -> Iterator[Finding]:
    """What other packages bring, kind by kind."""
    for catalogue in catalogues():
        try:
            names = [name for name in catalogue if not catalogue.origin(name).is_ours]
        except BadPlugin as error:
            yield Finding(catalogue.kind, "", "", "", str(error))
            continue
        for name in names:
            origin = catalogue.origin(name)
            found = Finding(catalogue.kind, name, str(origin), origin.place)
            try:
                catalogue[name]
            except BadPlugin as error:
                found = Finding(catalogue.kind, name, str(origin), origin.place, str(error))
            yield found
