"""What Dagster adds to indicators: per partition, per run, per process, beside calling the functions."""

from __future__ import annotations

from benchmarks.peers.contest import Contest, Contestant, Outcome, hold
from benchmarks.peers.place import Place
from benchmarks.scale_out import INTERVAL, currencies, fill
from cryptobot_assets.storage.lake import Lake

RANGED = "one run over all days"
WAYS = (
    ("functions", "the functions alone", "no run, nothing recorded"),
    ("ranged", RANGED, "what a backfill does: lineage, checks, rows and a picture recorded for every day"),
    ("runs", "a run a day, one process", "the same recorded, a run's planning and ending paid for each day"),
    ("processes", "a run a day, a process each", "as a run launcher starts them; two days timed, counted for all"),
)


def overhead(place: Place) -> list[Outcome]:
    """What Dagster adds per partition and per run to calling the functions, and what a single-run backfill saves."""
    klines, days = place.folder / "klines", place.size.overhead_days
    fill(Lake(str(klines / "lake")), currencies(1), days)
    contest = Contest(
        key="overhead",
        title="What the platform adds: indicators of one currency by day",
        setting=f"{days} daily partitions of {INTERVAL} klines, {days * 1440:,} rows, stored in the lake",
        ours=RANGED,
        contestants=tuple(
            Contestant(name, "overhead_ways", (way, str(klines), str(place.folder / way), str(days)), note=note)
            for way, name, note in WAYS
        ),
    )
    outcome = hold(contest, place.turns, place.told)
    seconds = {way: figure.seconds for (way, _, _), figure in zip(WAYS, outcome.figures, strict=True)}
    added = {way: (spent - seconds["functions"]) / days for way, spent in seconds.items()}
    told = (
        f"added to a partition: {added['ranged'] * 1e3:.0f} ms in one run over all of them, {added['runs']:.2f} s with "
        f"a run of its own, {added['processes']:.1f} s with a process of its own"
    )
    return [Outcome(outcome.contest, outcome.figures, told)]
