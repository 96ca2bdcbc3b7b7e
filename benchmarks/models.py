"""What tuning every model and evaluating it costs on a home that a replay has filled.

    cryptobot demo --once --replay KLINES.parquet --interval 1h --algorithms ridge --trials 1 --cutoffs 1 --home HOME
    python benchmarks/models.py HOME [--trials 30] [--folds 5] [--cutoff DAY] [--algorithms ...] [--json result.json]

Training: each algorithm of the pooled market is materialized as of the cutoff (default: the day after the
newest indicators, so that every row is learnt from), a run an algorithm, its tuning, checks, second look and
registration included. Prints seconds, rows and how many of them the fit and each trial used.

Evaluation: every algorithm with predictions over the whole out-of-sample span, with 1,000 draws an interval:
figures, allocation rules, what lies beyond low risk; then the same written as one HTML page.

Memory is the peak of this process with all it started. Versions are registered in the home: use a copy.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptobot_assets.assets.training import model_asset_name
from cryptobot_assets.assets.training_rows import TRAINING_SET
from cryptobot_assets.cli.memory import PeakMemory
from cryptobot_assets.deployment import Deployment, open_deployment
from cryptobot_assets.domain.bootstrap import DRAWS
from cryptobot_assets.leaderboard import read_evidence
from cryptobot_assets.models.algorithms import require_algorithms, usable_algorithms
from cryptobot_assets.page.render import make_page
from cryptobot_assets.partitions import POOLED_MARKET, model_key
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS, open_store


def train(deployment: Deployment, algorithms: tuple[str, ...], cutoff: date) -> dict[str, float]:
    """Seconds of each algorithm, the reading of the training set first."""
    key, seconds = model_key(POOLED_MARKET, cutoff), {}
    for asset in (TRAINING_SET, *map(model_asset_name, algorithms)):
        began = time.perf_counter()
        deployment.materialize([asset], key=key)
        seconds[asset] = time.perf_counter() - began
        print(f"  {asset:24} {seconds[asset]:8.1f} s", flush=True)
    return seconds


def evaluate(settings: Settings) -> dict[str, Any]:
    """Seconds and rows of one evaluation of the pooled market."""
    store, registry = open_store(settings), open_registry(settings)
    began = time.perf_counter()
    evidence = read_evidence(store, settings, POOLED_MARKET, draws=DRAWS)
    figures = time.perf_counter() - began
    page = make_page(store, registry, settings, evidence, now=datetime.now(UTC))
    whole = time.perf_counter() - began
    rows = {one.algorithm: one.score.rows for one in evidence.evaluations}
    print(f"  {len(rows)} algorithms, {max(rows.values()):,} rows each at most, {DRAWS:,} draws an interval")
    print(f"  figures {figures:.1f} s; with the page ({len(page.text) / 1e6:.1f} MB) {whole:.1f} s", flush=True)
    return {"rows": rows, "seconds": figures, "seconds_with_page": whole}


def main() -> None:
    """Measure and print; with `--json` write the figures as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="a home that a replay has filled")
    parser.add_argument("--trials", type=int, default=30, help="tuning trials an algorithm (default 30)")
    parser.add_argument("--folds", type=int, default=5, help="walk-forward folds (default 5)")
    parser.add_argument("--cutoff", type=date.fromisoformat, help="default: the day after the newest indicators")
    parser.add_argument("--algorithms", help="comma list (default: those that are trained by default)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    chosen = parser.parse_args()
    settings = Settings.load(home=chosen.home.resolve(), trials=chosen.trials, folds=chosen.folds)
    asked = chosen.algorithms.split(",") if chosen.algorithms else usable_algorithms(len(settings.currencies))
    algorithms = require_algorithms(asked)
    with PeakMemory() as memory, open_deployment(settings) as deployment:
        newest = max(last for _, last in open_store(settings).spans(INDICATORS).values())
        cutoff = chosen.cutoff or newest.date() + timedelta(days=1)
        print(f"evaluation, load {os.getloadavg()[0]:.1f}")
        evaluated = evaluate(settings)
        print(f"training as of {cutoff}: {chosen.trials} trials x {chosen.folds} folds, load {os.getloadavg()[0]:.1f}")
        print(f"  at most {settings.max_training_rows:,} rows a fit and {settings.max_tuning_rows:,} rows a trial")
        seconds = train(deployment, algorithms, cutoff)
    print(f"all models {sum(seconds.values()) / 60:.1f} min; peak memory {memory.peak_mb:,.0f} MB")
    if chosen.json:
        figures = {"training": seconds, "evaluation": evaluated, "peak_mb": memory.peak_mb, "load": os.getloadavg()}
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
