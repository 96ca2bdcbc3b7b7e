"""Figures as Prometheus reads them, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cryptobot_assets.monitoring.families import FAMILIES, Figure

HERE = "127.0.0.1"


class Board(Collector):
    """What `read` gives when Prometheus asks: it must answer from memory."""

    def __init__(self, read: Callable[[], Iterable[Figure]]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """Nothing: asking at registration would cost a reading."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family that has a figure now."""
        found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for figure in self._read():
            family = FAMILIES[figure.name]
            if figure.name not in found:
                kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                found[figure.name] = kind(figure.name, family.help, labels=family.labels)
            found[figure.name].add_metric([figure.labels[label] for label in family.labels], figure.value)
        yield from found.values()


@contextmanager
def exposing(read: Callable[[], Iterable[Figure]], port: int, *, host: str = HERE) -> Iterator[int]:
    """Serve the figures inside the block; gives the port (a free one for 0)."""
    server, thread = start_http_server(port, addr=host, registry=_registry(read))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def exposition(read: Callable[[], Iterable[Figure]]) -> str:
    """The figures as the page that Prometheus reads."""
    return generate_latest(_registry(read)).decode()


def _registry(read: Callable[[], Iterable[Figure]]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Board(read))
    return registry
