"""What time it is on the market behind a home."""

from __future__ import annotations

from datetime import datetime

from cryptobot_assets.errors import ExchangeError
from cryptobot_assets.profile import expected_market
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange_client import exchange_at
from cryptobot_assets.storage.store import KLINES, Store, newest_times

ASK_SECONDS = 5.0


def market_now(settings: Settings, store: Store, moment: datetime) -> datetime:
    """`moment` on a live market; on a simulated or replayed one, which has ended, its exchange's present.

    While that exchange does not answer it is the newest kline stored, or `moment` when there is none.
    """
    market = expected_market(settings.home)
    if not market:
        return moment
    exchange = exchange_at(settings.exchange_url, timeout_seconds=ASK_SECONDS, retries=1, expected_market=market)
    try:
        return exchange.server_time()
    except ExchangeError:
        return max(newest_times(store, KLINES).values(), default=moment)
