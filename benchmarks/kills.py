"""`cryptobot backfill` killed (SIGKILL) at seeded points: does running it again end in the rows of an undisturbed run?

    python benchmarks/kills.py [--kills 20] [--homes 4] [--seed 0]

Backfills of one home, of a small market of 1m from archives and REST of the real exchange server, are killed
at a request or some moment after a commit, again and again; then one comes to its end. Klines, indicators and
gaps must be those of an undisturbed run, and no kill may leave a process. The last line is the figures as
JSON; the exit code is 1 when a home differs, whose line then says how to repeat it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import polars as pl

from cryptobot_assets_tests.faults.kills import backfill, batter, everything, served_market
from cryptobot_assets_tests.faults.served import ServedExchange
from cryptobot_assets_tests.platform.commands import read_tables, require_same_tables


def batter_home(
    home: Path, served: ServedExchange, seed: int, kills: int, whole: dict[str, pl.DataFrame]
) -> tuple[Counter[str], str]:
    """Kill, come to the end, compare: how many kills came at what, and what is wrong, if anything."""
    done: Counter[str] = Counter()
    try:
        for wanted, point in batter(home, served, seed=seed, kills=kills):
            done["at a request" if point.request else "after a commit"] += 1
            print(f"  seed {seed}: {' '.join(wanted.arguments)} killed at {point}", file=sys.stderr, flush=True)
        backfill(home, served, everything())
        require_same_tables(read_tables(home), whole)
    except AssertionError as error:
        return done, f"seed {seed}: {error}; again: python benchmarks/kills.py --homes 1 --kills {kills} --seed {seed}"
    return done, ""


def main() -> None:
    """Batter one home after the other until so many kills were done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--homes", type=int, default=4, help="over which they are spread (default 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the first home; the others follow it (default 0)")
    chosen = parser.parse_args()
    if min(chosen.kills, chosen.homes) < 1:
        parser.error("--kills and --homes must be 1 or more")
    kills: Counter[str] = Counter()
    broken: list[str] = []
    homes, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder, served_market() as served:
        backfill(Path(folder, "undisturbed"), served, everything())
        whole = read_tables(Path(folder, "undisturbed"))
        while kills.total() < chosen.kills:
            few = min(-(-chosen.kills // chosen.homes), chosen.kills - kills.total())
            done, wrong = batter_home(Path(folder, f"home_{homes}"), served, chosen.seed + homes, few, whole)
            kills, broken, homes = kills + done, broken + [wrong] * bool(wrong), homes + 1
            print(f"{kills.total()} of {chosen.kills} kills, {len(broken)} homes differ {wrong}", file=sys.stderr)
    figures = {
        "kills": dict(kills), "homes": homes, "broken": broken, "seconds": round(time.monotonic() - began, 1),
        "rows": {name: rows.height for name, rows in whole.items() if rows.height},
    }  # fmt: skip
    print(f"{kills.total()} kills over {homes} homes, {len(broken)} homes with other rows than an undisturbed run")
    print(json.dumps(figures))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
