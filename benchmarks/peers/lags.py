"""The default features in words that every environment understands; standard library alone.

`test_bench.py` holds them to the platform's own.
"""

from __future__ import annotations

LAG_HOURS = (*range(1, 650, 24), 672)
SCALE_HOURS = 672
HOURLY_MEANS = ((7, 25), (25, 99))
DAILY_MEANS = (7, 25)
DAY_HOURS = 24
LABEL_HOURS = 24
NAMES = (
    "close_minmax_scale",
    "ma7_25h_scale",
    "ma25_99h_scale",
    "ma7_25d_scale",
    *(f"close_lag_{hours}h" for hours in LAG_HOURS),
)
