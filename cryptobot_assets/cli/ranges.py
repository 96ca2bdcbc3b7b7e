"""Which partitions are still to be materialized."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from cryptobot_assets.deployment import Deployment


def missing_ranges(
    deployment: Deployment, asset: str, currencies: Sequence[str], first: date, last: date
) -> list[tuple[str, str]]:
    """Ranges of partition keys (one currency each) over the days that are not materialized."""
    done = deployment.materialized(asset)
    keys = deployment.partitions.span_keys(first, last)
    ranges: list[tuple[str, str]] = []
    for currency in currencies:
        run: list[str] = []
        for key in (f"{currency}|{span}" for span in keys):
            if key not in done:
                run.append(key)
            elif run:
                ranges.append((run[0], run[-1]))
                run = []
        if run:
            ranges.append((run[0], run[-1]))
    return ranges
