"""The parts of the comparison by name, in the order they are held."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.peers.finding import Finding
from benchmarks.peers.growth import growth
from benchmarks.peers.matrix import feature_matrix
from benchmarks.peers.overhead import overhead
from benchmarks.peers.place import Place
from benchmarks.peers.server import data_server
from benchmarks.peers.serving import serving
from benchmarks.peers.store_formats import store_formats
from benchmarks.peers.training_loop import training_loop

PARTS: dict[str, Callable[[Place], Sequence[Finding]]] = {
    "feature_matrix": feature_matrix,
    "data_server": data_server,
    "growth": growth,
    "overhead": overhead,
    "store_formats": store_formats,
    "training_loop": training_loop,
    "serving": serving,
}
