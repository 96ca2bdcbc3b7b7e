"""Archives that are kept in a folder once they are made."""

from __future__ import annotations

from pathlib import Path

from cryptobot_assets.exchange.archives import Archives
from cryptobot_assets.exchange.market import Market
from cryptobot_assets_tests.exchange.markets import make_market

DAY = 1440


def daily(archives: Archives, market: Market, day: int = 1) -> bytes | None:
    name = f"BTCUSDT-1m-2025-01-{day:02}.zip"
    return archives.archive("daily", "BTCUSDT", "1m", name, now_ms=market.end_ms)


def test_a_file_is_made_once_and_read_from_the_folder_ever_after(tmp_path: Path) -> None:
    market = make_market(count=2 * DAY)
    made = daily(Archives(market, folder=tmp_path), market)
    assert made == daily(Archives(market), market)
    [kept] = tmp_path.iterdir()
    assert kept.read_bytes() == made
    kept.write_bytes(b"as it is kept")
    assert daily(Archives(market, folder=tmp_path), market) == b"as it is kept"


def test_nothing_is_kept_of_a_span_without_klines(tmp_path: Path) -> None:
    market = make_market(count=2 * DAY)
    assert daily(Archives(market, folder=tmp_path), market, day=3) is None
    assert list(tmp_path.iterdir()) == []
