"""`cryptobot backfill` against the project's own exchange: archives where they are set, REST where not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cryptobot_assets.cli.market import archive_beside
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS, KLINES, open_store
from cryptobot_assets_tests.cli.conftest import Run
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.storage.archives import make_past

DAYS = ("--from", "2024-11-05", "--to", "2025-01-10")


def sources(home: Path) -> dict[str, int]:
    rows = open_store(Settings.load(home=home)).read(KLINES)
    return dict(rows["source"].value_counts().iter_rows())


@pytest.mark.platform
def test_whole_past_months_come_from_the_archive_that_is_set(make_exchange: MakeExchange, run_process: Run, home: Path):
    start, end = datetime(2024, 11, 1, tzinfo=UTC), datetime(2025, 1, 11, tzinfo=UTC)
    url = make_exchange(make_past(end, "BTCUSDT", "ETHUSDT", start=start))
    wanted = ("backfill", "--currencies", "BTCUSDT,ETHUSDT", *DAYS)
    done = run_process(*wanted, EXCHANGE_URL=url, ARCHIVE_URL=url, INTERVAL="1h")
    assert done.code == 0, done.err
    assert sources(home) == {"archive": 2 * 61 * 24, "replay": 2 * 10 * 24}
    assert open_store(Settings.load(home=home)).read(INDICATORS).height == 2 * 71 * 24


def test_a_market_started_here_has_no_archive(home: Path):
    settings = Settings.load(home=home, exchange_url="http://127.0.0.1:9000", archive_url="http://127.0.0.1:9001")
    assert archive_beside(settings, "http://127.0.0.1:9000") == "http://127.0.0.1:9001"
    assert archive_beside(settings, "http://127.0.0.1:9002") == "none"
    assert Settings.load(home=home, archive_url=archive_beside(settings, "http://127.0.0.1:1")).archive_address is None
