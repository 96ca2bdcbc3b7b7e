"""How the dashboard is started: on this machine alone, telling nobody anything."""

from __future__ import annotations

from pathlib import Path

from cryptobot_assets.dashboard.command import SCRIPT, dashboard_command
from cryptobot_assets.dashboard.opening import addresses
from cryptobot_assets.settings import Settings


def test_it_is_bound_to_this_machine_and_tells_nobody_anything(tmp_path: Path) -> None:
    argv, environment = dashboard_command(Settings.load(home=tmp_path), 8123)
    assert argv[argv.index("run") + 1] == str(SCRIPT) and SCRIPT.is_file()
    assert {
        "--server.port=8123", "--server.address=127.0.0.1", "--server.headless=true", "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false", "--server.allowedHosts=127.0.0.1",
    } <= set(argv)  # fmt: skip
    assert environment == {"CRYPTOBOT_HOME": str(tmp_path)}


def test_stores_are_those_that_the_settings_name_without_passwords(tmp_path: Path) -> None:
    others = "s3://bucket/lake, postgresql://me:hunter2@localhost/rows"
    settings = Settings.load(home=tmp_path, dashboard_stores=others)
    known = addresses(settings)
    assert list(known) == [str(tmp_path / "lake"), "s3://bucket/lake", "postgresql://localhost/rows"]
    assert "hunter2" in known["postgresql://localhost/rows"] and not any("hunter2" in name for name in known)
