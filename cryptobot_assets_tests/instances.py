"""Dagster instances on disk, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg


@contextmanager
def opened_instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance in a folder; its event log is one database, as PostgreSQL's is, not one more for every run."""
    folder.mkdir(exist_ok=True)
    one = {"base_dir": str(folder / "events")}
    log = {
        "module": "dagster._core.storage.event_log",
        "class": "ConsolidatedSqliteEventLogStorage",
        "config": one,
    }
    with dg.DagsterInstance.local_temp(str(folder), overrides={"event_log_storage": log}) as instance:
        yield instance
