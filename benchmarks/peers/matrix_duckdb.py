"""The feature matrix by SQL on DuckDB: window functions over the hours of each currency, out as an Arrow table.

    python -m benchmarks.peers.matrix_duckdb KLINES SHOWN

Hours without a kline are put in as empty rows first, or a lag by rows would not be one by hours; a window with such a
row in it has no value.
"""

from __future__ import annotations

import sys
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.peers import lags
from benchmarks.peers.contestant import serve
from benchmarks.peers.shown import sampled, show


def main() -> None:
    """Open a database in memory; then answer."""
    connection = duckdb.connect()
    statement = sql(sys.argv[1])

    def work() -> pa.Table:
        return connection.sql(statement).to_arrow_table()

    def facts(made: pa.Table) -> dict[str, Any]:
        rows = made.take(sampled(made["hour"].to_numpy().astype("datetime64[h]")))
        values = np.column_stack([rows[name].to_numpy().astype(np.float64) for name in (*lags.NAMES, "label")])
        time = rows["hour"].to_numpy().astype("datetime64[h]")
        return show(sys.argv[2], rows["currency"].to_numpy().astype(str), time, values, made.num_rows)

    serve(work, facts)


def sql(klines: str) -> str:
    """The whole of it in one statement."""
    lagged = [f"lag(close, {hours}) OVER w / close - 1 AS close_lag_{hours}h" for hours in lags.LAG_HOURS]
    hourly = [
        f"({_mean(short)} - {_mean(long)}) / close AS {name}"
        for name, (short, long) in zip(lags.NAMES[1:3], lags.HOURLY_MEANS, strict=True)
    ]
    short, long = (_daily_mean(days) for days in lags.DAILY_MEANS)
    low, high = (_whole(f"{kind}(close)", lags.SCALE_HOURS) for kind in ("min", "max"))
    columns = [f"(close - {low}) / ({high} - {low}) AS close_minmax_scale", *hourly]
    columns += [f"({short} - {long}) / close AS {lags.NAMES[3]}", *lagged]
    columns.append(f"lead(close, {lags.LABEL_HOURS}) OVER w / close - 1 AS label")
    known = " AND ".join(f"{name} IS NOT NULL" for name in lags.NAMES)
    return f"""
        WITH klines AS (SELECT currency, epoch(time)::BIGINT // 3600 AS hour, close FROM '{klines}'),
        spans AS (SELECT currency, min(hour) AS first, max(hour) AS newest FROM klines GROUP BY currency),
        hours AS (SELECT currency, unnest(range(first, newest + 1)) AS hour FROM spans),
        closes AS (SELECT currency, hour, close FROM hours LEFT JOIN klines USING (currency, hour)),
        made AS (SELECT currency, hour, {", ".join(columns)} FROM closes
                 WINDOW w AS (PARTITION BY currency ORDER BY hour))
        SELECT * FROM made WHERE {known}
    """


def _whole(figure: str, hours: int) -> str:
    """A figure of the trailing hours, none of which may lack."""
    over = f"OVER (PARTITION BY currency ORDER BY hour ROWS {hours - 1} PRECEDING)"
    return f"CASE WHEN count(close) {over} = {hours} THEN {figure} {over} END"


def _mean(hours: int) -> str:
    return _whole("avg(close)", hours)


def _daily_mean(days: int) -> str:
    closes = ["close", *(f"lag(close, {lags.DAY_HOURS * day}) OVER w" for day in range(1, days))]
    return f"({' + '.join(closes)}) / {days}"


if __name__ == "__main__":
    main()
