"""Bad input gets one clear line on stderr and the right exit code: 2 for what the user wrote, 1 for the rest."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cryptobot_assets.cli.market import MarketPlan
from cryptobot_assets.contracts.factories import make_klines
from cryptobot_assets.home import HomeLock
from cryptobot_assets.processes import free_port
from cryptobot_assets.profile import HomeProfile, write_profile
from cryptobot_assets_tests.cli.conftest import Outcome, Run
from cryptobot_assets_tests.exchange.markets import make_market

DAYS = ("--from", "2025-01-01", "--to", "2025-01-02")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_an_unknown_currency_lists_close_matches(run: Run, make_exchange: Callable[..., str]) -> None:
    url = make_exchange(make_market())
    refusal = run("backfill", "--currencies", "BTCUSD", *DAYS, EXCHANGE_URL=url).require_refusal(2)
    assert refusal == "unknown currency 'BTCUSD'; did you mean BTCUSDT?"


@pytest.mark.parametrize("names", ["BTC/USDT", ",", "B"])
def test_names_that_are_no_currencies(run: Run, names: str) -> None:
    assert "not currencies" in run("backfill", "--currencies", names, *DAYS).require_refusal(2)
    assert "not currencies" in run("demo", "--once", "--currencies", names).require_refusal(2)


@pytest.mark.parametrize("day", ["2025-13-01", "2025-02-30", "01.02.2025", "yesterday", "2025-01-01T00:00"])
def test_malformed_days(run: Run, day: str) -> None:
    for arguments in (
        ("backfill", "--currencies", "BTCUSDT", "--from", day, "--to", "2025-01-02"),
        ("backfill", "--currencies", "BTCUSDT", "--from", "2025-01-01", "--to", day),
        ("report", "--from", day),
        ("exchange", "--port", "0", "--start", day),
    ):
        assert f"'{day}' is not a day: write YYYY-MM-DD" in run(*arguments).require_refusal(2)


def test_an_empty_range(run: Run) -> None:
    reverse = ("--from", "2025-01-02", "--to", "2025-01-01")
    assert "is empty" in run("backfill", "--currencies", "BTCUSDT", *reverse).require_refusal(2)
    assert "is empty" in run("report", *reverse).require_refusal(2)


def test_a_range_in_the_future(run: Run) -> None:
    day = (datetime.now(UTC) + timedelta(days=2)).date()
    refusal = run("backfill", "--currencies", "BTCUSDT", "--from", day, "--to", day).require_refusal(2)
    assert "lies in the future" in refusal


def test_an_unreachable_exchange_is_told_within_seconds(run: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    started = time.monotonic()
    refusal = run("backfill", "--currencies", "BTCUSDT", *DAYS, EXCHANGE_URL=url).require_refusal(1)
    assert url in refusal and "nothing answers there" in refusal
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("arguments", [("demo", "--once"), ("up",), ("backfill", "--currencies", "BTCUSDT", *DAYS)])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/cryptobot"])
def test_an_unwritable_home(run: Run, tmp_path: Path, arguments: tuple[str, ...], place: str) -> None:
    (tmp_path / "file").write_text("not a directory")
    refusal = run(*arguments, HOME=tmp_path / place).require_refusal(2)
    assert "cannot be written" in refusal and str(tmp_path / place) in refusal


def test_doctor_names_an_unwritable_home(run: Run, tmp_path: Path, make_exchange: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("not a directory")
    url = make_exchange(make_market())
    outcome = run("doctor", HOME=tmp_path / "file", EXCHANGE_URL=url, CURRENCIES="BTCUSDT", INTERVAL="1m")
    assert "MEND" in outcome.require_refusal(1)
    told = {line.split()[1]: line.split()[0] for line in outcome.out.splitlines()}
    assert told["home"] == "MEND"
    assert told["settings"] == told["exchange"] == "ok"


@pytest.mark.parametrize("setting", ["SERVICE_PORT", "WEBSERVER_PORT", "MLFLOW_PORT", "METRICS_PORT"])
def test_up_on_a_port_in_use(run: Run, taken_port: int, setting: str) -> None:
    names = ("SERVICE_PORT", "WEBSERVER_PORT", "MLFLOW_PORT", "DASHBOARD_PORT", "METRICS_PORT")
    ports = {name: free_port() for name in names}
    refusal = run("up", **{**ports, setting: taken_port}).require_refusal(2)
    assert f"port {taken_port} is in use" in refusal and f"CRYPTOBOT_{setting}" in refusal


def test_an_exchange_on_a_port_in_use(run: Run, taken_port: int) -> None:
    arguments = ("exchange", "--port", taken_port, "--days", "1", "--currencies", "1")
    assert str(taken_port) in run(*arguments).require_refusal(2)


def write_replay(path: Path, klines: pl.DataFrame) -> Path:
    klines.write_parquet(path)
    return path


def make_replays(folder: Path) -> dict[str, tuple[Path, int, str]]:
    """Replay files that cannot be used: path, exit code, words of the message."""
    klines = make_klines(48).drop("quote_volume", "trades", "source")
    (folder / "text.parquet").write_text("no Parquet")
    (folder / "nothing").mkdir()
    disagreeing = pl.concat([klines, klines.head(1).with_columns(volume=pl.lit(9.0))])
    return {
        "lacks columns": (write_replay(folder / "lacks.parquet", klines.drop("low", "volume")), 2, "low, volume"),
        "no klines": (write_replay(folder / "none.parquet", klines.clear()), 2, "holds no klines"),
        "no parquet": (folder / "text.parquet", 2, "is not a Parquet file"),
        "no files": (folder / "nothing", 2, "holds no Parquet file"),
        "missing": (folder / "gone.parquet", 2, "does not exist"),
        "text prices": (
            write_replay(folder / "words.parquet", klines.with_columns(close=pl.lit("many"))), 2, "column close",
        ),
        "disagree": (write_replay(folder / "disagree.parquet", disagreeing), 1, "disagree"),
        "high below low": (
            write_replay(folder / "rule.parquet", klines.with_columns(high=pl.lit(0.5), low=pl.lit(0.4))), 1, "high",
        ),
        "not a number": (
            write_replay(folder / "nan.parquet", klines.with_columns(close=pl.lit(float("nan")))), 1, "finite",
        ),
    }  # fmt: skip


REPLAYS = (
    "lacks columns",
    "no klines",
    "no parquet",
    "no files",
    "missing",
    "text prices",
    "disagree",
    "high below low",
    "not a number",
)


@pytest.mark.parametrize("kind", REPLAYS)
def test_a_replay_that_cannot_be_used(run: Run, tmp_path: Path, kind: str) -> None:
    path, code, words = make_replays(tmp_path)[kind]
    assert words in run("exchange", "--port", "0", "--replay", path).require_refusal(code)


@pytest.mark.parametrize("kind", ["lacks columns", "disagree"])
def test_a_demo_of_a_replay_that_cannot_be_used(run: Run, tmp_path: Path, kind: str) -> None:
    path, code, words = make_replays(tmp_path)[kind]
    outcome = run("demo", "--once", "--interval", "1h", "--replay", path)
    assert words in outcome.require_refusal(code)


def test_a_demo_of_a_replay_that_reaches_into_days_to_come(run: Run, tmp_path: Path) -> None:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=8)
    path = write_replay(tmp_path / "ahead.parquet", make_klines(10 * 24, start=start))
    refusal = run("demo", "--once", "--interval", "1h", "--replay", path).require_refusal(2)
    assert f"klines up to {(start + timedelta(days=9)).date()}" in refusal and "end by today" in refusal


def test_a_replay_of_another_interval(run: Run, tmp_path: Path) -> None:
    path = write_replay(tmp_path / "hourly.parquet", make_klines(48))
    assert "1h" in run("demo", "--once", "--interval", "1m", "--replay", path).require_refusal(2)


def test_a_demo_of_an_unknown_currency(run: Run) -> None:
    refusal = run("demo", "--once", "--interval", "1h", "--currencies", "BTCUSTD").require_refusal(2)
    assert "unknown currency 'BTCUSTD'; did you mean BTCUSDT" in refusal


def test_an_unknown_algorithm(run: Run) -> None:
    refusal = run("demo", "--once", "--algorithms", "ridge,gpt").require_refusal(2)
    assert "gpt" in refusal and "xgboost" in refusal and "unknown" in refusal


@pytest.mark.parametrize(
    "arguments",
    [
        ("--interval", "5m"),
        ("--trials", "0"),
        ("--folds", "x"),
        ("--cutoffs", "0"),
        ("--seed", "-1"),
        ("--no-such-option",),
    ],
)
def test_options_that_mean_nothing(run: Run, arguments: tuple[str, ...]) -> None:
    assert arguments[0] in run("demo", "--once", *arguments).require_refusal(2)


def test_a_report_that_cannot_be_written_is_told_before_the_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    for place in (tmp_path / "file" / "report.json", tmp_path):
        assert f"cannot write {place}" in run("demo", "--once", "--report", place).require_refusal(2)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("INTERVAL", "5x"),
        ("PARTITION", "week"),
        ("SERVICE_PORT", "http"),
        ("START_DAY", "yesterday"),
        ("TRIALS", "0"),
        ("FEE_BPS", "-1"),
        ("CURRENCIES", "BTC/USDT"),
        ("STORE_URL", "ftp://host/lake"),
    ],
)
def test_settings_that_mean_nothing(run: Run, setting: str, value: str) -> None:
    refusal = run("sql", "SELECT 1", **{setting: value}).require_refusal(2)
    assert setting in refusal.upper() or value in refusal


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("DROP TABLE klines", "read-only"),
        ("DELETE FROM klines", "read-only"),
        ("CREATE TABLE mine AS SELECT 1", "read-only"),
        ("COPY klines TO '/tmp/klines.csv'", "read-only"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("", "one SELECT"),
        ("SELEC 1", "SQL"),
        ("SELECT nope FROM klines", "nope"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT * FROM read_csv('/etc/passwd')", "SQL"),
    ],
)
def test_sql_that_is_no_reading_of_the_tables(run: Run, query: str, words: str) -> None:
    assert words in run("sql", query).require_refusal(2)


@pytest.mark.parametrize("kind", ["table", "csv", "parquet"])
def test_sql_into_a_file_that_cannot_be_written(run: Run, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "no" / "such" / "file"
    assert f"cannot write {out}" in run("sql", "SELECT 1", "--format", kind, "--out", out).require_refusal(2)


def test_a_report_of_an_empty_home(run: Run, home: Path) -> None:
    assert "cryptobot demo" in run("report").require_refusal(1)
    assert not home.exists()


def test_a_report_of_an_unknown_market(run: Run) -> None:
    refusal = run("report", "--market", "BTCUSD").require_refusal(2)
    assert refusal.startswith("unknown currency 'BTCUSD'; did you mean BTCUSDT")


def fill_profile(home: Path, plan: MarketPlan) -> None:
    """The home as a demo of that market leaves it, as far as later commands ask."""
    home.mkdir()
    write_profile(home, HomeProfile(plan.interval, "month", ("BTCUSDT",), date(2025, 1, 1), "ALL", plan.facts))


@pytest.mark.parametrize("arguments", [("--seed", "8"), ("--interval", "1m")])
def test_a_home_that_holds_another_market(run: Run, home: Path, arguments: tuple[str, ...]) -> None:
    fill_profile(home, MarketPlan(interval="1h", seed=7))
    refusal = run("demo", "--once", *arguments).require_refusal(2)
    assert "holds another market" in refusal and "seed 7" in refusal and "--home" in refusal


def test_a_home_of_a_simulated_market_refuses_another_exchange(
    run: Run, home: Path, make_exchange: Callable[..., str]
) -> None:
    fill_profile(home, MarketPlan(interval="1h", seed=7))
    url = make_exchange(make_market(interval="1h"))
    refusal = run("backfill", "--currencies", "BTCUSDT", *DAYS, EXCHANGE_URL=url).require_refusal(2)
    assert "another market" in refusal


@pytest.mark.parametrize("arguments", [("demo", "--once"), ("backfill", "--currencies", "BTCUSDT", *DAYS)])
def test_a_home_another_command_is_working_on(run: Run, home: Path, arguments: tuple[str, ...]) -> None:
    with HomeLock(home, "cryptobot demo"):
        refusal = run(*arguments).require_refusal(2)
    assert "is in use by pid" in refusal and "cryptobot demo" in refusal


def test_debug_adds_the_traceback_to_the_line(run: Run) -> None:
    for arguments in (("--debug", "sql", "DROP TABLE klines"), ("sql", "DROP TABLE klines", "--debug")):
        outcome = run(*arguments)
        assert outcome.code == 2
        assert outcome.err.startswith("Traceback (most recent call last)")
        assert outcome.err.splitlines()[-1].startswith("cryptobot: SQL:")


def test_a_bug_is_one_line_too_and_points_at_debug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(settings: object) -> None:
        raise ZeroDivisionError("a fault\nof ours")

    monkeypatch.setattr("cryptobot_assets.cli.sql.open_store", broken)
    refusal = run("sql", "SELECT 1").require_refusal(1)
    assert refusal.startswith("unexpected ZeroDivisionError: a fault of ours") and "--debug" in refusal


def test_a_real_process_ends_with_the_code_and_one_line(run_process: Run) -> None:
    outcome: Outcome = run_process("backfill", "--currencies", "BTCUSDT", "--from", "2025-01-02", "--to", "2025-01-01")
    assert "is empty" in outcome.require_refusal(2)
    assert outcome.out == ""


def test_a_closed_pipe_is_no_error_worth_telling(home: Path) -> None:
    """`cryptobot sql ... | head -0` says nothing."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "cryptobot_assets.cli.main", "sql", "SELECT * FROM range(100000)", "--format", "csv"],
        env={**os.environ, "CRYPTOBOT_HOME": str(home)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
