"""How much of a ranking's skill is more than preferring calm currencies.

Currencies of low volatility and low beta have done better than others for long stretches (Frazzini and
Pedersen, Betting Against Beta, 2014, of stocks). A model that only learnt that ranks well without any
view on returns. What is left of its IC once both are taken out, of prediction and of outcome, hour by
hour, is the partial rank correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS, Interval, bootstrap_interval
from cryptobot_assets.domain.labels import HORIZON_HOURS
from cryptobot_assets.domain.metrics import IC_BLOCK_HOURS
from cryptobot_assets.domain.pool_value import Hours
from cryptobot_assets.domain.portfolio import trailing_volatility

RISK_HOURS = 672
SMALLEST_CROSS_SECTION = 6
"""With two figures taken out, fewer currencies leave next to nothing to correlate."""


@dataclass(frozen=True)
class BeyondRisk:
    """The IC beside what is left of it.

    Attributes:
        hours: hours that were compared.
        ic: mean hourly partial rank correlation of prediction and outcome, volatility and beta taken out.
        ic_ci: its 90 % interval.
        low_volatility, low_beta: mean hourly IC of ranking by calmness alone, over the same hours.
    """

    hours: int
    ic: float
    ic_ci: Interval
    low_volatility: float
    low_beta: float


def beyond_risk(hours: Hours, before: np.ndarray, *, seed: int, draws: int = DRAWS) -> BeyondRisk | None:
    """What is left of the IC of `hours` beyond low volatility and low beta.

    Args:
        before: (b, n) closes of the hours just before the first decision, NaN where none is stored.
            Both risks are of the `RISK_HOURS` up to each decision, so known at it.

    Returns:
        None where no hour has `SMALLEST_CROSS_SECTION` currencies with all four figures.
    """
    decisions = len(hours.predicted)
    closes = np.vstack([before, hours.closes])
    now, later = hours.closes[:decisions], hours.closes[HORIZON_HOURS : HORIZON_HOURS + decisions]
    with np.errstate(invalid="ignore", divide="ignore"):
        realised = later / now - 1
    volatility = trailing_volatility(closes, decisions, len(before), window=RISK_HOURS)
    figures = [hours.predicted, realised, volatility, trailing_beta(closes, decisions, len(before))]
    known = np.logical_and.reduce([np.isfinite(one) for one in figures])
    known &= (known.sum(axis=1) >= SMALLEST_CROSS_SECTION)[:, None]
    predicted, outcome, volatile, beta = (_centred_ranks(one, known) for one in figures)
    calm, calm_beta = -_correlation(volatile, outcome), -_correlation(beta, outcome)
    apart = _without(beta, volatile)
    left = _correlation(*(_without(_without(one, volatile), apart) for one in (predicted, outcome)))
    usable = np.isfinite(left)
    if not usable.any():
        return None
    series = left[usable]
    return BeyondRisk(
        hours=len(series),
        ic=float(series.mean()),
        ic_ci=bootstrap_interval(series, np.mean, block=IC_BLOCK_HOURS, overlap=HORIZON_HOURS, seed=seed, draws=draws),
        low_volatility=float(np.nanmean(calm[usable])),
        low_beta=float(np.nanmean(calm_beta[usable])),
    )


def trailing_beta(closes: np.ndarray, decisions: int, before: int) -> np.ndarray:
    """Slope of each currency's hourly log returns on their mean over all, of the past `RISK_HOURS`.

    Args:
        closes: (before + decisions + ..., n) hourly closes, the first `before` of them earlier than the
            first decision.

    Returns:
        (decisions, n), NaN where fewer than half of the returns are known.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.diff(np.log(closes), axis=0, prepend=np.nan)
    known = np.isfinite(returns)
    own = np.where(known, returns, 0.0)
    market = own.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    common = np.where(known, market[:, None], 0.0)
    ends = np.arange(before, before + decisions) + 1
    starts = np.maximum(ends - RISK_HOURS, 0)

    def over(part: np.ndarray) -> np.ndarray:
        sums = np.cumsum(np.pad(part, ((1, 0), (0, 0))), axis=0)
        within: np.ndarray = sums[ends] - sums[starts]
        return within

    count, of_own, of_market = over(known.astype(float)), over(own), over(common)
    with np.errstate(invalid="ignore", divide="ignore"):
        together = over(own * common) / count - of_own * of_market / count**2
        spread = over(common**2) / count - (of_market / count) ** 2
        slope = together / spread
    return np.where((count >= RISK_HOURS / 2) & (spread > 0), slope, np.nan)


def _centred_ranks(figure: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(d, n) ranks across the known currencies of each hour less their mean, 0 where not known."""
    rows, columns = np.nonzero(known)
    ranked = pl.DataFrame({"hour": rows, "figure": figure[known]}).select(
        pl.col("figure").rank().over("hour") - (pl.len().over("hour") + 1) / 2
    )
    made = np.zeros(figure.shape)
    made[rows, columns] = ranked.to_series().to_numpy()
    return made


def _without(figure: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Each hour's figure less its projection on another; itself where the other is constant."""
    square = (other**2).sum(axis=1, keepdims=True)
    slope = (figure * other).sum(axis=1, keepdims=True) / np.where(square > 0, square, 1.0)
    rest: np.ndarray = figure - slope * other
    return rest


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlation of each hour's centred figures, NaN where one is constant."""
    scale = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    known = scale > 1e-9
    return np.where(known, (one * other).sum(axis=1) / np.where(known, scale, 1.0), np.nan)
