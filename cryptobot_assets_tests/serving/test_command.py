"""How the service is started, and what importing its parts costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cryptobot_assets.serving.command import service_command
from cryptobot_assets.settings import Settings


def test_the_process_gets_the_settings_and_keeps_inside_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings.load(
        home=tmp_path / "home", interval="1h", currencies="BTCUSDT,ETHUSDT", service_market="BTCUSDT",
        mlflow_tracking_uri="http://127.0.0.1:5000", api_key="key", store_url=str(tmp_path / "elsewhere"),
    )  # fmt: skip
    argv, env = service_command(given, 3111)
    assert argv[-4:] == ["--host", "127.0.0.1", "--port", "3111"]
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    seen = Settings.load()
    for name in ("home", "interval", "currencies", "service_market", "mlflow_tracking_uri", "api_key", "lake_url"):
        assert getattr(seen, name) == getattr(given, name)
    for folder in ("BENTOML_HOME", "TMPDIR"):
        assert given.home in Path(env[folder]).parents and Path(env[folder]).is_dir()


def test_what_is_unset_stays_unset(tmp_path: Path) -> None:
    _, env = service_command(Settings.load(home=tmp_path), 3000)
    assert not {"CRYPTOBOT_API_KEY", "CRYPTOBOT_METADATA_URL"} & env.keys()


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("command", {"bentoml", "mlflow", "starlette", "dagster"}),
        ("app", {"bentoml", "mlflow", "dagster", "sklearn", "xgboost"}),
        ("opening", {"bentoml", "mlflow", "dagster", "sklearn", "xgboost"}),
        ("service", {"mlflow", "dagster", "sklearn", "xgboost", "deltalake"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(module: str, banned: set[str]) -> None:
    code = f"import sys, cryptobot_assets.serving.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not banned & set(loaded)
