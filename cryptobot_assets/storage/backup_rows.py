"""Answers of a server that is backed up."""

from __future__ import annotations

from typing import Any, TypeAlias

import psycopg2.extensions

from cryptobot_assets.errors import StoreError

Cursor: TypeAlias = psycopg2.extensions.cursor


def one_row(cursor: Cursor) -> tuple[Any, ...]:
    """The row that the last statement gave; raises `StoreError` where it gave none."""
    row = cursor.fetchone()
    if row is None:
        raise StoreError(f"the server gave no row: {cursor.query!r}")
    return row
