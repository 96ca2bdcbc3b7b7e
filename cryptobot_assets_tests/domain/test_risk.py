"""What is left of an IC beyond low volatility and low beta."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from cryptobot_assets.domain.pool_value import Hours
from cryptobot_assets.domain.portfolio import trailing_volatility
from cryptobot_assets.domain.risk import RISK_HOURS, beyond_risk, trailing_beta

DECISIONS, CURRENCIES = 400, 12
NAMES = tuple(f"C{number:02}" for number in range(CURRENCIES))
FIRST = np.datetime64("2024-01-01T00:00", "us")


def make_closes(*, calm_gains: float = 0.0, seed: int = 0) -> np.ndarray:
    """Hourly closes, the later columns ever more volatile and less of the market; `calm_gains` a loss an hour by it."""
    random = np.random.default_rng(seed)
    length = RISK_HOURS + DECISIONS + 24
    size = np.linspace(0.5, 2.0, CURRENCIES)
    market = 0.003 * random.standard_normal((length, 1))
    own = 0.004 * size * random.standard_normal((length, CURRENCIES))
    return 100 * np.exp(np.cumsum(market * size[::-1] ** 0.5 + own - calm_gains * size, axis=0))


def split(closes: np.ndarray, predicted: np.ndarray) -> tuple[Hours, np.ndarray]:
    return Hours(NAMES, FIRST, predicted, closes[RISK_HOURS:]), closes[:RISK_HOURS]


def realised_of(closes: np.ndarray) -> np.ndarray:
    now = closes[RISK_HOURS : RISK_HOURS + DECISIONS]
    return closes[RISK_HOURS + 24 : RISK_HOURS + 24 + DECISIONS] / now - 1


def test_nothing_is_left_of_a_ranking_by_calmness():
    closes = make_closes(calm_gains=0.001)
    predicted = -trailing_volatility(closes, DECISIONS, RISK_HOURS, window=RISK_HOURS)
    predicted += predicted.std() / 2 * np.random.default_rng(1).standard_normal(predicted.shape)
    risk = beyond_risk(*split(closes, predicted), seed=0)
    assert risk.low_volatility > 0.3
    assert abs(risk.ic) < 0.1 and risk.ic_ci[0] < 0 < risk.ic_ci[1]
    assert risk.hours == DECISIONS, "no hour is ranked by calmness to the last place"


def test_knowledge_of_the_rest_is_left():
    closes = make_closes()
    noise = 0.02 * np.random.default_rng(2).standard_normal((DECISIONS, CURRENCIES))
    risk = beyond_risk(*split(closes, realised_of(closes) + noise), seed=0)
    assert risk.ic > 0.3 and risk.ic_ci[0] > 0.2
    assert risk.ic_ci[0] < risk.ic < risk.ic_ci[1]


def test_it_is_the_partial_correlation_of_the_ranks():
    """Against residuals of least squares, hour by hour."""
    closes = make_closes(seed=3)
    random = np.random.default_rng(4)
    predicted = random.standard_normal((DECISIONS, CURRENCIES)) + 10 * realised_of(closes)
    predicted[::7, 2] = np.nan
    hours, before = split(closes, predicted)
    volatility = trailing_volatility(closes, DECISIONS, RISK_HOURS, window=RISK_HOURS)
    beta = trailing_beta(closes, DECISIONS, RISK_HOURS)
    found = []
    for hour in range(DECISIONS):
        known = np.isfinite(predicted[hour])
        ranks = [rankdata(one[hour][known]) for one in (predicted, realised_of(closes), volatility, beta)]
        taken = np.column_stack([np.ones(known.sum()), *ranks[2:]])
        left = [one - taken @ np.linalg.lstsq(taken, one, rcond=None)[0] for one in ranks[:2]]
        found.append(np.corrcoef(*left)[0, 1])
    assert beyond_risk(hours, before, seed=0, draws=0).ic == pytest.approx(np.mean(found), abs=1e-9)


def test_beta_is_the_slope_on_the_market():
    closes = make_closes(seed=5)
    beta = trailing_beta(closes, DECISIONS, RISK_HOURS)
    hour = 17
    returns = np.diff(np.log(closes[hour + 1 : RISK_HOURS + hour + 1]), axis=0)
    returns = np.vstack([np.diff(np.log(closes[hour : hour + 2]), axis=0), returns])
    slopes = [np.polyfit(returns.mean(axis=1), one, 1)[0] for one in returns.T]
    assert beta[hour] == pytest.approx(slopes, rel=1e-6)


def test_no_risk_is_read_from_the_future():
    closes = make_closes(seed=6)
    changed = closes.copy()
    changed[RISK_HOURS + 101 :] *= np.random.default_rng(7).uniform(0.5, 2, changed[RISK_HOURS + 101 :].shape)
    for risk in (trailing_beta, trailing_volatility):
        before, after = (risk(one, DECISIONS, RISK_HOURS) for one in (closes, changed))
        assert np.array_equal(before[:101], after[:101]) and not np.array_equal(before[101:], after[101:])


def test_too_few_currencies_are_no_cross_section():
    closes = make_closes()
    predicted = realised_of(closes)
    predicted[:, 5:] = np.nan
    assert beyond_risk(*split(closes, predicted), seed=0) is None
