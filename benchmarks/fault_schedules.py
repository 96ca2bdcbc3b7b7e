"""Fault schedules in bulk: does any of them lose, double or change a row?

    python benchmarks/fault_schedules.py [--schedules 1000] [--seed 0] [--kills 0.03] [--processes 2]
    python benchmarks/fault_schedules.py --schedules 1 --seed 42

Each seed draws a schedule (`cryptobot_assets_tests/faults/schedules.py`): one to three ingestions of a
small market, of 1h by the month or of 1m by the day, from archives and REST of the real exchange server
into a real lake, under every fault the server knows, servers that stop and start, stores that refuse,
ingestions aborted or killed (SIGKILL) at a request or a write, and others that come in between. After
every step the store must hold exactly what was known by then, and after one undisturbed run exactly
what a store that was never disturbed holds. The last line is the figures as JSON, after Ctrl-C of what was
done by then; the exit code is 1 when a schedule broke, whose line then says how to repeat it. One schedule
alone tells its steps.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from cryptobot_assets_tests.faults.runner import Broken, Outcome, run_seed
from cryptobot_assets_tests.faults.schedules import draw_schedule

TELL_EVERY_SECONDS = 10.0


def prepare() -> None:
    """Have libraries keep quiet and requests to this machine look for no proxy; Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.ERROR)
    os.environ["no_proxy"] = "127.0.0.1"


def attempt(seed: int, kills: float) -> Outcome | str:
    """What became of a schedule, or how it broke."""
    try:
        return run_seed(seed, kills=kills)
    except Broken as broken:
        return str(broken)


def sweep(seeds: range, *, kills: float, processes: int) -> tuple[list[Outcome], list[str]]:
    """Run schedules in several processes, telling of progress on stderr."""
    outcomes: list[Outcome] = []
    broken: list[str] = []
    began = told = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=prepare) as pool:
        try:
            for done in as_completed([pool.submit(attempt, seed, kills) for seed in seeds]):
                result = done.result()
                if isinstance(result, str):
                    broken.append(result)
                    print(f"BROKEN {result}", file=sys.stderr, flush=True)
                else:
                    outcomes.append(result)
                now, count = time.monotonic(), len(outcomes) + len(broken)
                if now - told >= TELL_EVERY_SECONDS:
                    told, left = now, (now - began) / count * (len(seeds) - count)
                    print(f"{count} of {len(seeds)}, {len(broken)} broken, about {left:.0f} s left", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted: the figures are of what was done", file=sys.stderr)
            pool.shutdown(wait=False, cancel_futures=True)
    return outcomes, broken


def summarize(seeds: range, outcomes: list[Outcome], broken: list[str], seconds: float) -> dict[str, Any]:
    """The figures of a sweep."""
    ends: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for one in outcomes:
        ends += one.ends
        faults += one.faults
        names += Counter(one.can_go_wrong)
    by_name = {name: {"schedules": names[name], "injected": faults.get(name)} for name in sorted(names)}
    return {
        "schedules": len(outcomes) + len(broken),
        "first_seed": seeds.start,
        "broken": broken,
        "ingestions": {"done": ends["done"], "failed": ends["failed"], "cut": ends["cut"]},
        "faults": faults.total(),
        "requests": sum(one.requests for one in outcomes),
        "retries": sum(one.retries for one in outcomes),
        "by_name": by_name,
        "seconds": round(seconds, 1),
    }


def tell(figures: dict[str, Any]) -> None:
    """Print the figures."""
    print(f"{'what goes wrong':34}{'schedules':>12}{'injected':>12}")
    for name, counts in figures["by_name"].items():
        injected = "" if counts["injected"] is None else f"{counts['injected']:,}"
        print(f"{name:34}{counts['schedules']:12,}{injected:>12}")
    ingestions = ", ".join(f"{count:,} {end}" for end, count in figures["ingestions"].items())
    print(f"ingestions: {ingestions}; {figures['faults']:,} faults, {figures['retries']:,} retries")
    rate = figures["schedules"] / figures["seconds"]
    print(f"{figures['schedules']:,} schedules in {figures['seconds']:.0f} s ({rate:.1f} a second)")
    print(f"{len(figures['broken'])} with rows lost, doubled or changed")


def tell_steps(seed: int, kills: float) -> None:
    """What happens in a schedule, step by step."""
    schedule = draw_schedule(seed, kills=kills)
    for step in schedule.steps:
        print(f"{schedule.world.interval} {step}")


def main() -> None:
    """Run the sweep; exit code 1 when a schedule broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule; the others follow it (default 0)")
    parser.add_argument("--kills", type=float, default=0.03, help="share of steps killed for real (default 0.03)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at a time (default one a core)")
    chosen = parser.parse_args()
    if chosen.schedules < 1:
        parser.error("--schedules must be 1 or more")
    if chosen.schedules == 1:
        tell_steps(chosen.seed, chosen.kills)
    began = time.monotonic()
    seeds = range(chosen.seed, chosen.seed + chosen.schedules)
    outcomes, broken = sweep(seeds, kills=chosen.kills, processes=min(chosen.processes, chosen.schedules))
    figures = summarize(seeds, outcomes, broken, time.monotonic() - began)
    tell(figures)
    print(json.dumps(figures))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
