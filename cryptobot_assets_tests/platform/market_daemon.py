"""Dagster's daemon, whose schedules keep a clock of their own: so many seconds ahead as a file says.

Started by tests as a program: `market_daemon.py CLOCK_FILE run -m ...`. Everything but the scheduler's
clock and how often it looks at it is the daemon as it is.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from dagster._daemon.cli import create_dagster_daemon_cli
from dagster._scheduler import scheduler


def keep_time_of(clock: Path) -> None:
    """Let schedules believe it is as late as the file says."""

    def timestamp() -> float:
        return time.time() + float(clock.read_text())

    scheduler.get_current_timestamp = timestamp
    scheduler.get_current_datetime = lambda: datetime.fromtimestamp(timestamp(), UTC)
    scheduler.SECONDS_IN_MINUTE = 6


if __name__ == "__main__":
    keep_time_of(Path(sys.argv.pop(1)))
    create_dagster_daemon_cli()()
