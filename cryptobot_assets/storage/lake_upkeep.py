"""Upkeep of a lake's tables: small files merged, and old versions kept as long as someone may ask for them.

A version of a table can be read again while the log of its commits and the files they name are
there. Delta forgets both by default: the log after 30 days, whenever a checkpoint is written, and
which files an old version had after 7. Models name the version they were trained on, for good. So
here the log is kept for ten years (a kilobyte or two a commit), and files until every version that
names them is older than the history and named by no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import timedelta

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from cryptobot_assets.storage.lake_files import layout
from cryptobot_assets.storage.store import Table

HISTORY = timedelta(days=30)
LOG_DAYS = 3650
TARGET_BYTES = 32_000_000
MANY_SMALL_FILES = 8
"""In one partition: merging them each time one came would write every row again and again."""


def properties(history: timedelta) -> dict[str, str]:
    """Delta's settings of a table that keep its log, and the memory of which files an old version had."""
    return {
        "delta.logRetentionDuration": f"interval {LOG_DAYS} days",
        "delta.deletedFileRetentionDuration": f"interval {history.days} days",
    }


def maintain(delta: DeltaTable, table: Table, *, history: timedelta, keep: Collection[int]) -> dict[str, int]:
    """See `Store.maintain`; the versions to keep can all be read."""
    wanted = properties(history)
    if not wanted.items() <= delta.metadata().configuration.items():
        delta.alter.set_table_properties(wanted)
    before = delta.get_add_actions().num_rows
    merged = _compact(delta, table)
    kept = sorted(keep)
    deleted = delta.vacuum(retention_hours=history.days * 24, dry_run=False, full=True, keep_versions=kept or None)
    return {
        "files_before": before,
        "files_after": delta.get_add_actions().num_rows,
        "partitions_merged": merged,
        "old_files_deleted": len(deleted),
        "versions_kept_for_models": len(kept),
    }


def _compact(delta: DeltaTable, table: Table) -> int:
    """Merge the small files of every partition that has many; returns how many partitions that were."""
    column = table.partition_by[0] if table.partition_by else None
    files = pl.DataFrame(delta.get_add_actions(flatten=True)).filter(pl.col("size_bytes") < TARGET_BYTES)
    small = Counter(files[f"partition.{column}"].to_list() if column else [None] * files.height)
    merged = 0
    for value in sorted((value for value, count in small.items() if count >= MANY_SMALL_FILES), key=str):
        try:
            part = [(column, "=", value)] if column else None
            delta.optimize.compact(part, target_size=TARGET_BYTES, writer_properties=layout(table))
        except CommitFailedError:
            continue  # a writer changed the same files meanwhile; there is a next time
        finally:
            delta.update_incremental()
        merged += 1
    return merged
