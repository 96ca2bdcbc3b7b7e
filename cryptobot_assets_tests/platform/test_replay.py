"""The demo on recorded klines: real figures, and the exchange's own outage told as a gap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cryptobot_assets_tests.platform.commands import left_behind, read_report, read_tables, require_numbers, run

pytestmark = [pytest.mark.platform, pytest.mark.recorded, pytest.mark.timeout(600)]

CURRENCIES = ("BTC", "ETH", "LTC")
FILE = "spot-1h-2022-08_2023-12.parquet"
PRICES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Replayed:
    """A home after the demo, its report, and what was recorded."""

    home: Path
    report: dict[str, Any]
    out: str
    recorded: pl.DataFrame


@pytest.fixture(scope="module")
def replayed(recorded_klines: Path, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    file, folder = recorded_klines / FILE, tmp_path_factory.mktemp("replay")
    home, report = folder / "home", folder / "report.json"
    out = run(
        home, "demo", "--once", "--replay", file, "--interval", "1h", "--currencies", ",".join(CURRENCIES),
        "--algorithms", "ridge", "--trials", 2, "--folds", 2, "--cutoffs", 1, "--home", home, "--report", report,
    )  # fmt: skip
    recorded = pl.read_parquet(file).filter(pl.col("currency").is_in(CURRENCIES))
    symbols = recorded.with_columns(pl.col("currency") + "USDT").sort("currency", "time")
    return Replayed(home, read_report(report), out, symbols)


def test_every_recorded_kline_is_stored_unchanged(replayed: Replayed) -> None:
    stored = read_tables(replayed.home)["klines"]
    assert stored["source"].unique().to_list() == ["replay"]
    assert stored.select("currency", "time").equals(replayed.recorded.select("currency", "time"))
    for name in PRICES:
        assert ((stored[name] - replayed.recorded[name]).abs() <= 1e-8).all(), name


def test_the_outage_of_march_2023_is_a_gap_of_every_currency(replayed: Replayed) -> None:
    klines = replayed.report["klines"]
    hour = {"from": "2023-03-24T13:00:00+00:00", "to": "2023-03-24T14:00:00+00:00"}
    assert klines["gaps"] == [{"currency": f"{name}USDT", **hour} for name in CURRENCIES]
    assert klines["missing"] == len(CURRENCIES)
    assert klines["rows"] == replayed.recorded.height == klines["expected"] - klines["missing"]


def test_the_report_is_complete_and_names_its_source(replayed: Replayed) -> None:
    report = replayed.report
    require_numbers(report)
    assert report["source"] == f"replay of {FILE}"
    assert report["currencies"] == [f"{name}USDT" for name in CURRENCIES]
    assert report["days"] == {"from": "2022-08-01", "to": "2023-12-30"}
    assert [(model["algorithm"], model["trials"], model["folds"]) for model in report["models"]] == [("ridge", 2, 2)]
    assert report["prediction"]["response"]["known_at"] == "2023-12-31T00:00:00Z"
    assert "simulated" not in replayed.out


def test_no_process_is_left_behind(replayed: Replayed) -> None:
    assert left_behind(replayed.home) == []
