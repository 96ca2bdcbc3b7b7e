"""What the service counts, for Prometheus; every label takes values from a fixed set.

BentoML's own metrics label the raw path of each request, so that any caller can grow them without
end; they are off, and these take their place. Under BentoML each worker counts into files that
whichever worker is asked adds up.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MutexValue, ValueClass
from starlette.responses import Response

from cryptobot_assets.serving.lineup import ALIASES, Alias, Appointment

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
AGES = (60, 300, 900, 3_600, 2 * 3_600, 6 * 3_600, 12 * 3_600, 24 * 3_600, 48 * 3_600, 168 * 3_600)
"""Seconds between the instant features were known and the reply made of them."""
LOG_OUTCOMES = ("written", "dropped")
SHADOW_OUTCOMES = ("scored", "skipped", "dropped", "failed")
LOAD_OUTCOMES = ("loaded", "refused")


Mode = Literal["livemin", "livemax", "livesum", "max", "mostrecent"]
"""How the figures of all workers become one."""

EXTREMES: tuple[tuple[str, Mode, str], ...] = (("min", "livemin", "the lowest"), ("max", "livemax", "the highest"))


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
        self._rows = self._counter("cryptobot_predictions", "Rows predicted", "route")
        self._ages = Histogram(
            "cryptobot_features_age_seconds",
            "Seconds between the instant features were known and the reply made of them",
            buckets=AGES,
            registry=self._registry,
        )
        self._in_flight = self._gauge("cryptobot_requests_in_flight", "Requests being answered now", "livesum")
        self._loaded = self._gauge(
            "cryptobot_champion_loaded", "1 when a champion is loaded in the worker asked", "mostrecent"
        )
        self._faulty = self._gauge(
            "cryptobot_registry_faulty",
            "1 when the registry does not answer the worker asked, or gave it a version that was refused",
            "mostrecent",
        )
        self._checked = self._gauge(
            "cryptobot_registry_checked_timestamp_seconds", "When the registry last told a worker who serves", "max"
        )
        version = "Version of cryptobot-<market> in force, {} of all workers; NaN for none"
        self._lowest, self._highest = (
            self._gauge(f"cryptobot_served_version_{kind}", version.format(of), mode, "market", "alias")
            for kind, mode, of in EXTREMES
        )
        self._cutoff = self._gauge(
            "cryptobot_served_cutoff_timestamp_seconds",
            "Last instant that the training of the version in force knew; NaN for none",
            "mostrecent",
            "market",
            "alias",
        )
        self._proven = self._gauge(
            "cryptobot_served_passed", "1 when the champion in force has passed the promotion gate", "mostrecent"
        )
        self._swaps = self._counter("cryptobot_model_swaps", "Changes of the version in force in a worker", "alias")
        self._loads = self._counter("cryptobot_model_loads", "Versions loaded into a worker, or refused", "outcome")
        self._log = self._counter("cryptobot_prediction_log", "Served predictions logged, or not", "outcome")
        self._log_failures = self._counter("cryptobot_prediction_log_failures", "Writes of the log that failed")
        self._queued = self._gauge(
            "cryptobot_prediction_log_queued", "Served predictions that wait to be logged", "livesum"
        )
        self._shadow = self._counter("cryptobot_shadow", "Requests scored in shadow, or not", "outcome")
        self._begin()

    def _begin(self) -> None:
        """Series that are there from the start, so that their first increase shows."""
        for counter, values in (
            (self._log, LOG_OUTCOMES),
            (self._shadow, SHADOW_OUTCOMES),
            (self._loads, LOAD_OUTCOMES),
            (self._swaps, ALIASES),
        ):
            for value in values:
                counter.labels(value)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self._registry)

    def _gauge(self, name: str, what: str, mode: Mode, *labels: str) -> Gauge:
        return Gauge(name, what, labels, registry=self._registry, multiprocess_mode=mode)

    def arrived(self) -> None:
        """Count a request that is being answered now."""
        self._in_flight.inc()

    def left(self) -> None:
        """Count it no more."""
        self._in_flight.dec()

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

    def aged(self, seconds: float) -> None:
        """Tell how old the features of a reply were."""
        self._ages.observe(seconds)

    def in_force(
        self, market: str, appointments: Mapping[Alias, Appointment], before: Mapping[Alias, Appointment]
    ) -> None:
        """Tell which versions serve a market from now on, and which did before."""
        for alias in ALIASES:
            now, then = appointments.get(alias), before.get(alias)
            version = float(now.registered_version) if now else math.nan
            for gauge in (self._lowest, self._highest):
                gauge.labels(market, alias).set(version)
            self._cutoff.labels(market, alias).set(now.model.cutoff.timestamp() if now else math.nan)
            if now and then and now.model != then.model:
                self._swaps.labels(alias).inc()
        champion = appointments.get("champion")
        self._proven.set(1 if champion and champion.verdict == "passed" else 0)

    def loaded(self, outcome: Literal["loaded", "refused"]) -> None:
        """Count a version that was fetched, loaded and warmed up, or that failed in one of these."""
        self._loads.labels(outcome).inc()

    def registry_told(self, at: datetime) -> None:
        """Say when the registry last answered."""
        self._checked.set(at.timestamp())

    def champion_loaded(self, *, loaded: bool) -> None:
        """Say whether there is a champion to answer with."""
        self._loaded.set(1 if loaded else 0)

    def registry_faulty(self, *, faulty: bool) -> None:
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

    def log_queued(self, predictions: int) -> None:
        """Say how many predictions wait to be logged."""
        self._queued.set(predictions)

    def shadowed(self, outcome: Literal["scored", "skipped", "dropped", "failed"]) -> None:
        """Count a request for the model that does not answer it."""
        self._shadow.labels(outcome).inc()

    def exposition(self) -> Response:
        """Everything counted, by all workers, in Prometheus' text format."""
        registry = self._registry
        if ValueClass is not MutexValue:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
            forget_the_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


def forget_the_dead(folder: Path) -> None:
    """Take the gauges of workers that are no more out of what all workers say together."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))
        except PermissionError:
            continue  # somebody else's by now; it will end too
