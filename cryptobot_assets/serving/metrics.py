"""What the service counts, for Prometheus; every label takes values from a fixed set.

BentoML's own metrics label the raw path of each request, so that any caller can grow them without
end; they are off, and these take their place. Under BentoML each worker counts into files that
whichever worker is asked adds up.
"""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass
from starlette.responses import Response

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one service; a `route` is one of the app's, or `other`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        requests = "cryptobot_requests"
        self._requests = Counter(requests, "Requests answered", ["route", "status"], registry=self._registry)
        self._seconds = Histogram(
            "cryptobot_request_seconds", "Seconds to answer", ["route"], buckets=SECONDS, registry=self._registry
        )
        self._rows = Counter("cryptobot_predictions", "Rows predicted", ["route"], registry=self._registry)
        self._loaded = Gauge(
            "cryptobot_champion_loaded",
            "1 when a champion is loaded in the worker asked",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._faulty = Gauge(
            "cryptobot_registry_faulty",
            "1 when the registry does not answer the worker asked, or gave it a version that was refused",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._log = self._counter("cryptobot_prediction_log", "Served predictions logged, or not", "outcome")
        self._log_failures = self._counter("cryptobot_prediction_log_failures", "Writes of the log that failed")
        self._shadow = self._counter("cryptobot_shadow", "Requests scored in shadow, or not", "outcome")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self._registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        counted = self._answers.get((route, status))
        if counted is None:
            counted = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._answers[route, status] = counted
        requests, durations = counted
        requests.inc()
        durations.observe(seconds)

    def predicted(self, route: str, rows: int) -> None:
        """Count rows predicted."""
        self._rows.labels(route).inc(rows)

    def champion_loaded(self, loaded: bool) -> None:
        """Say whether there is a champion to answer with."""
        self._loaded.set(1 if loaded else 0)

    def registry_faulty(self, faulty: bool) -> None:
        """Say whether `/models` has a fault of the registry to tell."""
        self._faulty.set(1 if faulty else 0)

    def log_written(self, predictions: int) -> None:
        """Count predictions that the log has on disk."""
        self._log.labels("written").inc(predictions)

    def log_dropped(self, predictions: int) -> None:
        """Count predictions that the log could not take."""
        self._log.labels("dropped").inc(predictions)

    def log_failed(self) -> None:
        """Count a write that the disk refused; what it was to write is tried again."""
        self._log_failures.inc()

    def shadowed(self, outcome: Literal["scored", "skipped", "dropped", "failed"]) -> None:
        """Count a request for the model that does not answer it."""
        self._shadow.labels(outcome).inc()

    def exposition(self) -> Response:
        """Everything counted, by all workers, in Prometheus' text format."""
        registry = self._registry
        if ValueClass is not MutexValue:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})
