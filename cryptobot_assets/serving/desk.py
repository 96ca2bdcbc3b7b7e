"""What the routes work with: models, features, and where what they answer is recorded."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptobot_assets.serving.keys import KeyRing
from cryptobot_assets.serving.limits import RateLimit
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.prediction_log import NoLog, PredictionLog
from cryptobot_assets.serving.shadow import NoShadow, Shadow
from cryptobot_assets.serving.shelf import ModelShelf

if TYPE_CHECKING:
    from cryptobot_assets.serving.features import FeatureSource

POOLED_MARKET = "ALL"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the routes work with.

    Attributes:
        shelf: the loaded models.
        source: live features.
        market: one currency, the only one that is then answered for, or `ALL`.
        keys: what callers must have one of, where there are any.
        limit: how often each caller may ask, None for any number.
        log: where every served prediction is recorded.
        shadow: scores requests with the model that does not answer them.
        challenger_share: share of the requests that the challenger answers.
        stalest_seconds: age of the newest features from which the answer is a 503; None for no such age.
        close: called when the app stops.
        now: the clock that ages are measured by.
        draw: a number in [0, 1) for each request, below the share where the challenger is to answer.
    """

    shelf: ModelShelf
    source: FeatureSource
    market: str
    keys: KeyRing = field(default_factory=KeyRing)
    limit: RateLimit | None = None
    log: PredictionLog = field(default_factory=NoLog)
    shadow: Shadow = field(default_factory=NoShadow)
    challenger_share: float = 0.0
    stalest_seconds: float | None = None
    metrics: Metrics = field(default_factory=Metrics)
    close: Callable[[], None] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    draw: Callable[[], float] = random.random

    @property
    def currencies(self) -> tuple[str, ...] | None:
        """The currencies answered for, None for all that are stored."""
        return None if self.market == POOLED_MARKET else (self.market,)
