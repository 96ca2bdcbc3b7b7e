"""Bad bodies against the real process of the prediction service: `python benchmarks/bad_bodies.py --bodies 10000`.

Prints how many were answered with which status, and fails when one was not 200 or 400, or when the
process did not come through.
"""

from __future__ import annotations

import argparse
import http.client
import tempfile
import time
from collections import Counter
from pathlib import Path

from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets_tests.serving.bad_bodies import bad_bodies
from cryptobot_assets_tests.serving.platform import fill_lake, read_samples, running_service, train, wait_until


def main() -> None:
    """Send them all, one connection after the other."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bodies", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load(
            home=Path(folder, "home"), interval="1h", mlflow_tracking_uri=f"sqlite:///{folder}/m.db"
        )
        settings.home.mkdir()
        registry = Registry(f"sqlite:///{folder}/m.db", Path(folder, "artifacts"))
        samples = read_samples(fill_lake(settings.lake_url))
        _, version = train(registry, samples)
        train(registry, samples, algorithm="lasso")
        registry.promote(version, alias="champion", verdict={"promote": False, "reasons": ["a benchmark"]})
        with running_service(settings) as service:
            wait_until(lambda: service.client.get("/readyz").status_code == 200, seconds=120, what="readiness")
            port = service.client.base_url.port
            assert port is not None
            started = time.perf_counter()
            statuses = send(port, asked.bodies, list(samples.features), asked.seed)
            seconds = time.perf_counter() - started
            alive = service.client.get("/readyz").status_code == 200 and service.process.poll() is None
    print(f"{asked.bodies} bodies in {seconds:.1f} s: {dict(statuses)}; the service {'lives' if alive else 'is gone'}")
    if not alive or set(statuses) - {200, 400}:
        raise SystemExit(1)


def send(port: int, count: int, features: list[str], seed: int) -> Counter[int]:
    """How many bodies were answered with each status."""
    statuses: Counter[int] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for route, body in bad_bodies(count, features, seed):
        connection.request("POST", route, body)
        reply = connection.getresponse()
        content = reply.read()
        statuses[reply.status] += 1
        if reply.status not in (200, 400):
            print(route, body[:200], reply.status, content[:300])
    connection.close()
    return statuses


if __name__ == "__main__":
    main()
