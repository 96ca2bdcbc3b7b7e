"""Size on disk and time to load of one currency's klines: our lake beside freqtrade's data handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.peers.contest import Contest, Contestant, Outcome, hold
from benchmarks.peers.place import Place, simulated_klines
from cryptobot_assets.exchange.market import to_ms

OURS = "ours: Delta lake"
PEERS = {
    "freqtrade feather, its default": ("feather", "removes repeated times at every load"),
    "freqtrade feather, the file alone": ("feather-alone", "the same file, nothing removed"),
    "freqtrade parquet": ("parquet", ""),
    "freqtrade json": ("json", ""),
    "freqtrade json.gz": ("jsongz", ""),
}
AIM = 1.0
DAYS_A_YEAR = 365
PART = timedelta(days=30)
CLOSENESS = 1e-9
"""Of sums: JSON keeps ten decimals."""


def store_formats(place: Place) -> list[Outcome]:
    """Size on disk and time to load of one currency's klines at 1m, whole and 30 days of them, beside freqtrade's."""
    source, days = place.folder / "minutes.parquet", round(place.size.years_1m * DAYS_A_YEAR)
    klines = simulated_klines(1, days * 24, "1m")
    klines.write_parquet(source)
    middle = klines["time"][klines.height // 2]
    bounds = tuple(str(to_ms(moment)) for moment in (middle, min(middle + PART, klines["time"][-1])))
    what = f"{klines.height:,} klines of one currency at 1m, {days:,} days, simulated"
    contests = (
        Contest(
            key="store_formats", title="A currency's klines, read whole", setting=f"{what}; time and five numbers",
            ours=OURS, contestants=_ways(place, source, ()), agree=same_rows,
        ),
        Contest(
            key="store_formats_part", title=f"A currency's klines, {PART.days} days of them", setting=f"of {what}",
            ours=OURS, contestants=_ways(place, source, bounds), agree=same_rows,
        ),
    )  # fmt: skip
    return [hold(contest, place.turns, place.told) for contest in contests]


def _ways(place: Place, source: Path, bounds: Sequence[str]) -> tuple[Contestant, ...]:
    """Everyone on the same rows; formats that read one file share it."""
    python = place.python("freqtrade")
    peers = (
        Contestant(
            name, "freqtrade_store", (way, str(source), str(place.folder / way.partition("-")[0]), *bounds),
            python=python, aim=AIM, note=note,
        )
        for name, (way, note) in PEERS.items()
    )  # fmt: skip
    return (Contestant(OURS, "lake_store", (str(source), str(place.folder / "lake"), *bounds)), *peers)


def same_rows(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Whether everyone read as many rows, and columns of the same sums.

    Raises:
        RuntimeError: somebody did not.
    """
    ours = facts[OURS]
    for name, found in facts.items():
        near = all(
            abs(found["sums"][column] - value) <= CLOSENESS * max(abs(value), 1.0)
            for column, value in ours["sums"].items()
        )
        if found["rows"] != ours["rows"] or not near:
            raise RuntimeError(
                f"{name} read {found['rows']} rows, {found['sums']}; ours {ours['rows']}, {ours['sums']}"
            )
    return f"all read the same {ours['rows']:,} rows, equal by the sums of every column"
