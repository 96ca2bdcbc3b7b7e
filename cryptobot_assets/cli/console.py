"""What commands print: stages with progress, tables and plain lines. The one home of rich.

On a terminal a stage is a moving bar; elsewhere (a log, CI) it is a line every few seconds.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cryptobot_assets.errors import UsageError

LINE_EVERY_SECONDS = 10.0
LOG_WIDTH = 170

out = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else LOG_WIDTH)


def say(text: str = "") -> None:
    """One plain line on stdout."""
    out.print(text, markup=False, soft_wrap=True)


class Stage:
    """A running stage: counts steps and rows, and shows both with a rate. Safe from several threads."""

    def __init__(self, title: str, total: float) -> None:
        self.title = title
        self.total = max(total, 1)
        self.done = 0.0
        self.rows = 0
        self.started = time.monotonic()
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._printed = self.started
        self._bar: Progress | None = None

    def advance(self, stage: str, *, steps: float = 0, rows: int = 0, note: str = "") -> None:
        """See `Progress.advance`; where a stage counts rows, rows are its steps."""
        with self._lock:
            self.rows += rows
            self.done += steps or rows
            self._show(note)

    def _show(self, note: str) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.done, note=f"{self._rate()} {note}")
            return
        now = time.monotonic()
        if now - self._printed >= LINE_EVERY_SECONDS:
            self._printed = now
            share = min(self.done / self.total, 1)
            left = (now - self.started) * (1 - share) / share if share else 0
            say(f"    {self.title}: {share:4.0%}  {self._rate()}  about {left:.0f} s left  {note}")

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        if self.rows:
            return f"{self.rows:,} rows, {self.rows / seconds:,.0f} rows/s"
        return f"{self.done:,.0f} of {self.total:,.0f}"

    @contextmanager
    def running(self) -> Iterator[Stage]:
        """Show the stage while the block runs, then one closing line with its time."""
        if out.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=28),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            with Progress(*columns, console=out, transient=True) as bar:
                bar.add_task(self.title, total=self.total, note="")
                self._bar = bar
                yield self
                self._bar = None
        else:
            say(f"  {self.title} ...")
            yield self
        self.seconds = time.monotonic() - self.started
        say(f"  {self.title}: {self._rate() if self.done else 'done'} in {self.seconds:.1f} s")


def print_table(title: str, columns: list[str], rows: list[list[str]], *, numbers_from: int) -> None:
    """A table; columns from `numbers_from` on are set right."""
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for position, name in enumerate(columns):
        table.add_column(name, justify="right" if position >= numbers_from else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def require_writable_file(path: Path) -> None:
    """Nothing, when a file can be written there; found out before the work, not after it."""
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a directory")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
