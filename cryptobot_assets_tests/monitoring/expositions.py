"""Pages of metrics as tests read them."""

from __future__ import annotations


def series(exposition: str) -> dict[str, float]:
    """Every series of a page of metrics, by name and labels as they stand there."""
    lines = [line for line in exposition.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
