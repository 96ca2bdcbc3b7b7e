"""Settings: who wins, and that a bad value is named."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from cryptobot_assets.errors import UsageError
from cryptobot_assets.settings import DEFAULT_CURRENCIES, Settings, parse_currencies


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting but a home of the test's own."""
    for name in list(os.environ):
        if name.startswith("CRYPTOBOT_") or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CRYPTOBOT_HOME", str(tmp_path))


def remember(home: Path, **values: object) -> None:
    (home / "home.json").write_text(json.dumps(values))


def test_the_defaults_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("CRYPTOBOT_HOME")
    monkeypatch.chdir(tmp_path)
    settings = Settings.load()
    assert settings.home == tmp_path / ".cryptobot"
    assert settings.lake_url == str(tmp_path / ".cryptobot" / "lake")
    assert settings.exchange_url == "https://data-api.binance.vision"
    assert settings.archive_url == "https://data.binance.vision"
    assert settings.currencies == DEFAULT_CURRENCIES
    assert len(DEFAULT_CURRENCIES) == 10
    assert (settings.interval, settings.partition, settings.start_day) == ("1m", "day", date(2017, 8, 17))
    assert (settings.service_port, settings.dashboard_port) == (3000, 8501)
    assert (settings.api_key, settings.mlflow_tracking_uri, settings.algorithms) == (None, None, ())


def test_archives_of_another_exchange_are_never_read(monkeypatch: pytest.MonkeyPatch):
    assert Settings.load().archive_address == "https://data.binance.vision"
    monkeypatch.setenv("CRYPTOBOT_EXCHANGE_URL", "https://data-api.binance.vision/")
    assert Settings.load().archive_address == "https://data.binance.vision"
    monkeypatch.setenv("CRYPTOBOT_EXCHANGE_URL", "http://127.0.0.1:9000")
    assert Settings.load().archive_address is None
    assert Settings.load(**Settings.load().model_dump(exclude={"exchange_url"})).archive_address is None
    monkeypatch.setenv("CRYPTOBOT_ARCHIVE_URL", "http://127.0.0.1:9000")
    assert Settings.load().archive_address == "http://127.0.0.1:9000"
    monkeypatch.delenv("CRYPTOBOT_EXCHANGE_URL")
    monkeypatch.setenv("CRYPTOBOT_ARCHIVE_URL", "none")
    assert Settings.load().archive_address is None


def test_the_directory_of_archives_is_that_of_their_address(monkeypatch: pytest.MonkeyPatch):
    assert Settings.load().archive_index_address == "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"
    monkeypatch.setenv("CRYPTOBOT_EXCHANGE_URL", "http://127.0.0.1:9000")
    assert Settings.load().archive_index_address is None
    monkeypatch.setenv("CRYPTOBOT_ARCHIVE_URL", "http://127.0.0.1:9001")
    assert Settings.load().archive_index_address == "http://127.0.0.1:9001"
    monkeypatch.setenv("CRYPTOBOT_ARCHIVE_INDEX_URL", "none")
    assert Settings.load().archive_index_address is None
    monkeypatch.setenv("CRYPTOBOT_ARCHIVE_INDEX_URL", "http://127.0.0.1:9002")
    assert Settings.load().archive_index_address == "http://127.0.0.1:9002"


def test_the_environment_wins_over_the_home_and_the_home_over_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    remember(tmp_path, interval="1h", currencies=["ADAUSDT"], start_day="2024-03-01", market="replay of a file")
    remembered = Settings.load()
    assert (remembered.interval, remembered.partition) == ("1h", "month")
    assert (remembered.currencies, remembered.start_day) == (("ADAUSDT",), date(2024, 3, 1))
    assert remembered.seed == 7
    monkeypatch.setenv("CRYPTOBOT_CURRENCIES", "btcusdt, ETHUSDT,BTCUSDT")
    monkeypatch.setenv("CRYPTOBOT_SEED", "11")
    told = Settings.load()
    assert (told.currencies, told.seed, told.interval) == (("BTCUSDT", "ETHUSDT"), 11, "1h")
    assert Settings.load(seed=12, trials=None).seed == 12


def test_an_override_of_the_home_reads_that_home_s_memory(tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    remember(other, interval="1h")
    assert Settings.load(home=other).interval == "1h"
    assert Settings.load().interval == "1m"


def test_a_home_below_the_user_s_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CRYPTOBOT_HOME", "~/bot")
    (tmp_path / "bot").mkdir()
    remember(tmp_path / "bot", interval="1h")
    assert (Settings.load().home, Settings.load().interval) == (tmp_path / "bot", "1h")


@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_a_home_whose_memory_is_broken_is_named(tmp_path: Path, content: str):
    (tmp_path / "home.json").write_text(content)
    with pytest.raises(UsageError, match=r"home\.json cannot be read"):
        Settings.load()


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch):
    for name in ("INTERVAL", "CURRENCIES", "PARTITION", "API_KEY", "STORE_URL"):
        monkeypatch.setenv(f"CRYPTOBOT_{name}", "")
    settings = Settings.load()
    assert (settings.interval, settings.api_key, settings.partition) == ("1m", None, "day")
    assert settings.currencies == DEFAULT_CURRENCIES


def test_variables_of_the_tools_keep_their_own_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry:5000")
    assert Settings.load().mlflow_tracking_uri == "http://registry:5000"


def test_the_partition_follows_the_interval_unless_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CRYPTOBOT_INTERVAL", "1h")
    assert Settings.load().partition == "month"
    monkeypatch.setenv("CRYPTOBOT_PARTITION", "day")
    assert Settings.load().partition == "day"


def test_the_store_may_be_anywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CRYPTOBOT_STORE_URL", "s3://bucket/prefix")
    assert Settings.load().lake_url == "s3://bucket/prefix"


def test_all_stands_for_every_currency(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CRYPTOBOT_CURRENCIES", " All ")
    assert Settings.load().currencies == ("all",)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CRYPTOBOT_INTERVAL", "5m"),
        ("CRYPTOBOT_PARTITION", "week"),
        ("CRYPTOBOT_START_DAY", "yesterday"),
        ("CRYPTOBOT_CURRENCIES", "BTC/USDT"),
        ("CRYPTOBOT_CURRENCIES", ","),
        ("CRYPTOBOT_SERVICE_PORT", "http"),
        ("CRYPTOBOT_DASHBOARD_PORT", "70000"),
        ("CRYPTOBOT_TRIALS", "0"),
        ("CRYPTOBOT_FOLDS", "-1"),
        ("CRYPTOBOT_SEED", "1.5"),
        ("CRYPTOBOT_TRAIN_DAYS", "0"),
        ("CRYPTOBOT_TRAIN_STRIDE_MINUTES", "0"),
        ("CRYPTOBOT_MAX_TRAINING_ROWS", "10"),
        ("CRYPTOBOT_FEE_BPS", "-1"),
        ("CRYPTOBOT_FEE_BPS", "nan"),
        ("CRYPTOBOT_SLIPPAGE_BPS", "inf"),
        ("CRYPTOBOT_HISTORY_DAYS", "6"),
        ("CRYPTOBOT_BACKUPS_KEPT", "0"),
        ("CRYPTOBOT_BACKUP_CRON", "daily"),
        ("CRYPTOBOT_AUTOMATION", "maybe"),
        ("CRYPTOBOT_INGESTION_CRON", "hourly"),
        ("CRYPTOBOT_INDICATORS_CRON", "0 1"),
        ("CRYPTOBOT_EVALUATION_CRON", "0 2 * * * *"),
        ("CRYPTOBOT_TRAINING_CRON", "now * * * *"),
        ("CRYPTOBOT_SENSOR_SECONDS", "0"),
        ("CRYPTOBOT_CATCH_UP_DAYS", "0"),
        ("CRYPTOBOT_RETRIES", "-1"),
        ("CRYPTOBOT_RETRY_SECONDS", "-1"),
        ("CRYPTOBOT_FRESHNESS_HOURS", "0"),
        ("CRYPTOBOT_ALERT_WEBHOOK", "chat.example.org/s3cret"),
        ("CRYPTOBOT_ALERT_SMTP", "http://robot:s3cret@mail.example.org"),
        ("CRYPTOBOT_ALERT_SMTP", "smtp://robot:s3cret@mail.example.org:port"),
        ("CRYPTOBOT_ALERT_EMAIL", "ann"),
        ("CRYPTOBOT_ALERT_EMAIL", "ann@example.org"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=f"^setting {variable}: ") as refusal:
        Settings.load()
    assert "\n" not in str(refusal.value)
    assert "s3cret" not in str(refusal.value) + str(refusal.value.__cause__)


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings.load().interval = "1h"


def test_currencies_are_read_from_a_list():
    assert parse_currencies(" ethusdt,,BTCUSDT,ETHUSDT ") == ("ETHUSDT", "BTCUSDT")
    with pytest.raises(UsageError, match="not currencies: B-T, X"):
        parse_currencies("b-t,BTCUSDT,x")
