"""What politeness costs: pages of klines over loopback with the shared budget, and without any.

    python benchmarks/rest_client.py [--days 30] [--repeat 3] [--json result.json]

One process reads a simulated exchange, another one, page by page at 1m, each way in turn, best of several
runs, in seconds of the clock and of the reader's processor time:

- polite: as the platform reads, each request reserved in the budget that this machine's processes share
  (a locked file) and set right by the answer's headers;
- bare: the same client with a budget that counts nothing.

And the budget alone: microseconds of a reservation and its answer, with a minute full of requests behind it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from cryptobot_assets.errors import ExchangeUnreachable
from cryptobot_assets.exchange.command import run_exchange
from cryptobot_assets.exchange.simulation import START
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.weight import WEIGHT_HEADER, Budget, Wait
from cryptobot_assets.storage.weight_account import WINDOW_SECONDS

SPAWN = multiprocessing.get_context("spawn")
ANSWER = {WEIGHT_HEADER: "30", "Date": "Wed, 01 Jan 2025 12:00:00 GMT"}


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock and of the processor."""

    clock: float
    processor: float


class Uncounted(Budget):
    """Everything may be sent at once, and nothing is remembered."""

    def reserve(self, weight: int) -> Wait | None:
        return None

    def hear(self, headers: Mapping[str, str]) -> None:
        return None

    def knows_limit(self) -> bool:
        return True


def best_of(repeat: int, work: Callable[[], object]) -> Cost:
    """The quickest of several runs, by each measure."""
    costs = []
    for _ in range(repeat):
        clock, processor = time.perf_counter(), time.process_time()
        work()
        costs.append(Cost(time.perf_counter() - clock, time.process_time() - processor))
    return Cost(min(cost.clock for cost in costs), min(cost.processor for cost in costs))


def read(url: str, budget: Budget, days: int) -> int:
    """How many klines came."""
    pages = Exchange(url, budget=budget).klines("BTCUSDT", "1m", START, START + timedelta(days=days))
    return sum(page.height for page in pages)


def reserve(budget: Budget, count: int) -> None:
    for _ in range(count):
        budget.reserve(0)
        budget.hear(ANSWER)


def await_answer(url: str) -> None:
    """Until the exchange is up."""
    while True:
        try:
            Exchange(url, retries=0).server_time()
            return
        except ExchangeUnreachable:
            time.sleep(0.1)


def measure(days: int, repeat: int) -> dict[str, object]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    options = {"port": port, "simulate_seed": 7, "currencies": 1, "days": days, "weight_per_minute": 10**9}
    server = SPAWN.Process(target=run_exchange, kwargs=options, daemon=True)
    server.start()
    url = f"http://127.0.0.1:{port}"
    try:
        await_answer(url)
        with tempfile.TemporaryDirectory() as machine:
            budget = Budget(url, directory=Path(machine))
            uncounted = Uncounted(url, directory=Path(machine))
            rows = read(url, budget, days)
            polite = best_of(repeat, lambda: read(url, budget, days))
            bare = best_of(repeat, lambda: read(url, uncounted, days))
            with budget.file.held() as (account, now):
                account.sent = [(int(now) - age, 80) for age in range(WINDOW_SECONDS - 6, -1, -1)]
            alone = best_of(repeat, lambda: reserve(budget, 500))
    finally:
        server.terminate()
        server.join()
    return {
        "rows": rows,
        "polite": asdict(polite),
        "bare": asdict(bare),
        "polite_times_bare": {name: getattr(polite, name) / getattr(bare, name) for name in ("clock", "processor")},
        "microseconds_a_request": {"clock": alone.clock * 2000, "processor": alone.processor * 2000},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.days, options.repeat)
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
