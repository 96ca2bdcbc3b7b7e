"""Side by side with the peers: the same work on the same rows on this machine, in turn, in one session.

    make bench                                     everything, 15 to 45 minutes on two cores
    python benchmarks/bench.py --list              the parts
    python benchmarks/bench.py --only growth,overhead --size small --out .bench
    python benchmarks/bench.py --klines KLINES.parquet     recorded hourly klines instead of simulated ones

Peers run in environments of their own (`deploy/install-peer`, from locks with hashes). Prints a table of seconds and
of how many times ours each takes, every row naming its setting, and writes `bench.json` and `bench.svg`; all of it
after every part, so that a session cut short has what it found. Ends with 1 when two ways disagree about values, and
says which aims were missed. Seconds of different machines say nothing about each other: the ratios of one session do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.finding import Finding
from benchmarks.peers.parts import PARTS
from benchmarks.peers.picture import draw
from benchmarks.peers.place import FULL, SMALL, Place, Size, hourly_klines

SIZES = {"full": FULL, "small": SMALL}


def main() -> None:
    """Hold the parts asked for, print, write; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"comma list of parts (default: all of {', '.join(PARTS)})")
    parser.add_argument("--size", choices=SIZES, default="full", help="small tries every part in minutes")
    parser.add_argument("--turns", type=int, help="times each way is run (default 5, small 2)")
    parser.add_argument("--klines", type=Path, help="recorded hourly klines, Parquet (default: simulated)")
    parser.add_argument("--environments", type=Path, default=Path(), help="where .venv-<peer> are (default here)")
    parser.add_argument("--out", type=Path, default=Path(".bench"), help="folder of bench.json and bench.svg")
    parser.add_argument("--list", action="store_true", help="name the parts and end")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(f"{key:16} {(part.__doc__ or '').splitlines()[0]}" for key, part in PARTS.items()))
        return
    keys = chosen.only.split(",") if chosen.only else list(PARTS)
    unknown = sorted(set(keys) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    hold_parts(keys, SIZES[chosen.size], chosen)
    print(f"figures in {chosen.out / 'bench.json'}, picture in {chosen.out / 'bench.svg'}")


def hold_parts(keys: Sequence[str], size: Size, chosen: argparse.Namespace) -> None:
    """Every part on the same klines, one after the other; what is found so far is printed and written after each."""
    findings: list[Finding] = []
    asked = {"size": asdict(size), "klines": str(chosen.klines or "simulated")}
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        klines = hourly_klines(Path(scratch), size, chosen.klines)
        for key in keys:
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                place = Place(
                    folder=Path(folder),
                    klines=klines,
                    environments=chosen.environments.resolve(),
                    size=size,
                    turns=chosen.turns or size.turns,
                    told=tell,
                )
                found = PARTS[key](place)
            print_table(found)
            findings += found
            write_json(findings, chosen.out / "bench.json", asked)
            draw(findings, chosen.out / "bench.svg")


def tell(line: str) -> None:
    """Progress, with the load of the machine, since a busy one measures nothing."""
    print(f"  {line}  (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def print_table(findings: Sequence[Finding]) -> None:
    """Rows under the heading of their contest: seconds, times ours, memory, aim, note."""
    for finding in findings:
        print("", *finding.lines(), sep="\n", flush=True)


def write_json(findings: Sequence[Finding], path: Path, asked: dict[str, Any]) -> None:
    """Everything measured, with the machine and the versions it was measured on."""
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    versions = {name: version(name) for name in ("polars", "deltalake", "dagster", "mlflow", "bentoml", "xgboost")}
    found = [one.facts() for one in findings]
    whole = {"at": datetime.now(UTC).isoformat(), "machine": machine, "versions": versions, **asked, "findings": found}
    path.write_text(json.dumps(whole, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
