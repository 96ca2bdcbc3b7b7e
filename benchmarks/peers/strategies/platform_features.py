"""Our default features and label as a FreqAI strategy, named in the order that `features` of its plan has."""

from __future__ import annotations

from typing import Any

import pandas as pd
from freqtrade.strategy import IStrategy

DAY_HOURS, MONTH_HOURS, HORIZON_HOURS = 24, 672, 24
LAG, LAG_END = "close_lag_", "h"


class PlatformFeatures(IStrategy):
    """Predicts the return of the next 24 hours; never trades."""

    timeframe = "1h"
    stoploss = -0.99
    startup_candle_count = MONTH_HOURS
    process_only_new_candles = True

    def feature_engineering_standard(
        self, dataframe: pd.DataFrame, metadata: dict[str, Any], **kwargs: Any
    ) -> pd.DataFrame:
        """All features at once: one by one they would fragment the frame."""
        close = dataframe["close"]
        made = {f"%-{name}": feature(close, name) for name in self.config["platform_features"]}
        return pd.concat([dataframe, pd.DataFrame(made)], axis=1)

    def set_freqai_targets(self, dataframe: pd.DataFrame, metadata: dict[str, Any], **kwargs: Any) -> pd.DataFrame:
        """Close 24 hours later / close - 1."""
        return dataframe.assign(**{"&-return": dataframe["close"].shift(-HORIZON_HOURS) / dataframe["close"] - 1})

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        return self.freqai.start(dataframe, metadata, self)

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        return dataframe

    def populate_exit_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        return dataframe


def feature(close: pd.Series, name: str) -> pd.Series:
    """One of our default features of hourly closes."""
    if name.startswith(LAG):
        return close.shift(int(name.removeprefix(LAG).removesuffix(LAG_END))) / close - 1
    if name == "close_minmax_scale":
        window = close.rolling(MONTH_HOURS)
        return (close - window.min()) / (window.max() - window.min())
    short, long = name.removeprefix("ma").removesuffix("_scale").split("_")
    step = DAY_HOURS if long.endswith("d") else 1
    return (mean(close, int(short), step) - mean(close, int(long[:-1]), step)) / close


def mean(close: pd.Series, samples: int, step: int) -> pd.Series:
    """Mean of so many closes, `step` hours apart, the row's own the last."""
    if step == 1:
        return close.rolling(samples).mean()
    return sum(close.shift(step * place) for place in range(samples)) / samples
