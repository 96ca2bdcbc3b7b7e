"""The command as a process of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from aiohttp import web

from cryptobot_assets.errors import UsageError
from cryptobot_assets.exchange.command import run_exchange
from cryptobot_assets.exchange.regime import Regime
from cryptobot_assets.exchange.server import start

PROGRAM = """
import sys
from cryptobot_assets.errors import CryptobotError
from cryptobot_assets.exchange.command import run_exchange
try:
    run_exchange({arguments})
except CryptobotError as error:
    sys.exit(str(error))
"""


def start_exchange(arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(arguments=arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_announces_itself_answers_and_stops_cleanly(stop: signal.Signals) -> None:
    with start_exchange("port=0, simulate_seed=9, currencies=2, days=2") as process:
        try:
            line = process.stdout.readline()
            pattern = (
                r"exchange: simulated market, seed 9, 2 currencies, 1m, 2025-01-01 to 2025-01-02, on (http://\S+:\d+)\n"
            )
            url = re.fullmatch(pattern, line)[1]
            assert requests.get(f"{url}/api/v3/ping", timeout=60).json() == {}
            process.send_signal(stop)
            assert process.wait(timeout=60) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
            run_exchange(port=port, currencies=1, days=1, interval="1h")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"port": 70_000}, "port 70000"),
        ({"port": 0, "faults": "nonsense"}, "unknown fault"),
        ({"port": 0, "replay": (Path("gone.parquet"),)}, "does not exist"),
        ({"port": 0, "replay": (Path("gone.parquet"),), "simulate_seed": 1}, "not both"),
        ({"port": 0, "replay": (Path("gone.parquet"),), "regime": Regime.parse("2025-02-01:2")}, "not both"),
        ({"port": 0, "days": 3, "regime": Regime.parse("2025-02-01:2")}, "does not begin within"),
        ({"port": 0, "regime": Regime.parse("2025-02-01:-3")}, "strength -3 is not between -2 and 10"),
        ({"port": 0, "regime": Regime.parse("2025-02-01:1:0")}, "volatility 0 is not above 0"),
        ({"port": 0, "weight_per_minute": 0}, "weight"),
        ({"port": 0, "days": 1, "speed": -1.0}, "speed"),
        ({"port": 0, "host": "no.such.host.invalid", "days": 1, "currencies": 1}, "cannot listen"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_exchange(**arguments)


def test_a_port_that_there_is_not_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1:70000: .* choose another port"):
        asyncio.run(start(web.Application(), port=70_000))


@pytest.mark.parametrize("text", ["", "2025-02-01", "2025-02-30:1", "2025-02-01:much", "2025-02-01:1:1:1"])
def test_a_regime_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write for example 2025-03-01:-2"):
        Regime.parse(text)
