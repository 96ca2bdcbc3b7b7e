"""The universe of a deployment: the currencies the settings name, or all that trade."""

from __future__ import annotations

from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange

EVERY = ("all",)
QUOTE = "USDT"


def traded_currencies(exchange: Exchange) -> tuple[str, ...]:
    """Every symbol quoted in USDT that trades now, in the exchange's order."""
    return tuple(symbol.name for symbol in exchange.symbols() if symbol.trading and symbol.quote == QUOTE)


def with_universe(settings: Settings) -> Settings:
    """The settings with `all` replaced by what trades at their exchange now; others as they are."""
    if settings.currencies != EVERY:
        return settings
    names = traded_currencies(Exchange(settings.exchange_url))
    return Settings.load(**settings.model_dump(exclude={"currencies"}), currencies=",".join(names))
