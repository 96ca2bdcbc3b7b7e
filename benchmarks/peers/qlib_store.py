"""Qlib's own store: a calendar, a list of instruments, and a file of float32 a field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def write_store(rows: pd.DataFrame, folder: Path, freq: str, fields: tuple[str, ...]) -> None:
    """Rows (currency, time without zone, fields) as Qlib's data server keeps them; gaps are NaN.

    A file begins with the place of its first value in the calendar.
    """
    if folder.exists():
        return
    step = {"day": "D", "60min": "h"}[freq]
    times = pd.date_range(rows["time"].min(), rows["time"].max(), freq=step)
    (folder / "calendars").mkdir(parents=True)
    (folder / "instruments").mkdir()
    (folder / "calendars" / f"{freq}.txt").write_text("".join(f"{time}\n" for time in times))
    listed = []
    for name, traded in rows.groupby("currency", sort=True):
        own = traded.set_index("time").reindex(pd.date_range(traded["time"].min(), traded["time"].max(), freq=step))
        listed.append(f"{name}\t{own.index[0]}\t{own.index[-1]}\n")
        place = folder / "features" / str(name).lower()
        place.mkdir(parents=True)
        for field in fields:
            values = np.hstack([times.get_loc(own.index[0]), own[field].to_numpy()]).astype("<f")
            values.tofile(place / f"{field}.{freq}.bin")
    (folder / "instruments" / "all.txt").write_text("".join(listed))
