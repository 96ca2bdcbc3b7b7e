from __future__ import annotations

from datetime import timedelta

import numpy as np

from cryptobot_assets.domain.uniqueness import average_uniqueness

DAY = timedelta(hours=24)


def by_counting(hours: np.ndarray, currencies: np.ndarray) -> np.ndarray:
    """The definition itself, hour by hour."""
    made = []
    for hour, currency in zip(hours, currencies, strict=True):
        others = hours[currencies == currency]
        lasting = [np.sum((others <= at) & (at < others + 24)) for at in range(hour, hour + 24)]
        made.append(np.mean(1 / np.array(lasting)))
    return np.array(made)


def test_it_is_the_mean_of_one_over_how_many_labels_last() -> None:
    draw = np.random.default_rng(0)
    hours = draw.integers(0, 200, 60)
    currencies = draw.choice(["AUSDT", "BUSDT"], 60).astype(object)
    times = np.datetime64("2023-01-01", "us") + hours * np.timedelta64(1, "h")
    np.testing.assert_allclose(average_uniqueness(times, currencies, DAY), by_counting(hours, currencies), rtol=1e-12)


def test_rows_every_half_hour_are_worth_one_in_forty_eight() -> None:
    times = np.datetime64("2023-01-01", "us") + np.arange(480) * np.timedelta64(30, "m")
    weights = average_uniqueness(times, np.full(480, "AUSDT"), DAY)
    np.testing.assert_allclose(weights[47:-47], 1 / 48)
    assert weights[0] > 2 / 48
    assert weights[-1] > 2 / 48


def test_no_row_has_no_weight() -> None:
    assert len(average_uniqueness(np.empty(0, "datetime64[us]"), np.empty(0, object), DAY)) == 0
