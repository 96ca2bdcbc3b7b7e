"""The label: the return of the 24 hours after a row is known.

::

    row t      known_at = t + interval                       label_end_time = known_at + 24 h
    |----------|------------------------ horizon ------------------------|
    close(t) is the last price before known_at; close(t + 24 h) the last before label_end_time

label(t) = close(t + 24 h) / close(t) - 1, null until label_end_time and wherever either close
is missing.
"""

from __future__ import annotations

import numpy as np

from cryptobot_assets.domain.intervals import HOUR

HORIZON_HOURS = 24
HORIZON = HORIZON_HOURS * HOUR

PREDICTION_DEFINITION = "close 24 hours later / close - 1, decided at the close of the row"


def label_array(closes: np.ndarray) -> np.ndarray:
    """Labels of closes laid on the hour grid (`HourGrid.values`), same shape, NaN where unknown."""
    labels = np.full_like(closes, np.nan)
    if len(closes) > HORIZON_HOURS:
        labels[:-HORIZON_HOURS] = closes[HORIZON_HOURS:] / closes[:-HORIZON_HOURS] - 1
    return labels
