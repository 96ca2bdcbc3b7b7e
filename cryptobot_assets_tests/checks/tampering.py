"""Klines changed in a lake behind the platform's back, by a program that holds to none of its rules."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from deltalake import DeltaTable, write_deltalake

from cryptobot_assets.storage.store import KLINES


def without_rules(folder: Path) -> DeltaTable:
    """The table of klines of a lake, its CHECK constraints taken away."""
    table = DeltaTable(str(folder / KLINES.name))
    for name in KLINES.rules:
        table.alter.drop_constraint(name, raise_if_not_exists=False)
    return table


def append(folder: Path, rows: pl.DataFrame) -> None:
    """Add klines, whatever their keys and prices."""
    without_rules(folder)
    write_deltalake(str(folder / KLINES.name), rows.select(list(KLINES.schema)), mode="append")
