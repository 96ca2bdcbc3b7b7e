"""Sources are read beside the scrape's path: one that fails or hangs is told, and costs the others nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from cryptobot_assets.monitoring.exposition import exposing
from cryptobot_assets.monitoring.families import Figure
from cryptobot_assets.monitoring.watching import LEAST_PATIENCE_SECONDS, Open, Watcher
from cryptobot_assets_tests.monitoring.expositions import series
from cryptobot_assets_tests.patience import PATIENCE_SECONDS

FREE = Figure("cryptobot_home_free_bytes", 5.0)
UP = 'cryptobot_source_up{source="%s"}'


def scrape(port: int) -> dict[str, float]:
    return series(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS, trust_env=False).text)


@contextmanager
def watched(every_seconds: float = 0.01, **sources: Open) -> Iterator[int]:
    watcher = Watcher(sources, every_seconds=every_seconds)
    watcher.start()
    try:
        with exposing(watcher.figures, 0) as port:
            yield port
    finally:
        watcher.stop()


def wait_for(port: int, name: str, value: float) -> dict[str, float]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (told := scrape(port)).get(name) != value:
        assert time.monotonic() < deadline, told
        time.sleep(0.01)
    return told


def test_a_source_that_hangs_is_down_while_others_and_the_scrape_go_on() -> None:
    released = threading.Event()

    def hang() -> list[Figure]:
        released.wait()
        return []

    with watched(home=lambda: lambda: [FREE], store=lambda: hang) as port:
        try:
            told = wait_for(port, UP % "home", 1)
            assert told["cryptobot_home_free_bytes"] == 5
            assert told[UP % "store"] == 0
        finally:
            released.set()


def test_a_source_that_fails_is_withheld_opened_again_and_told_again(caplog: pytest.LogCaptureFixture) -> None:
    opened, fails = [], threading.Event()

    def read() -> list[Figure]:
        if fails.is_set():
            raise OSError("the disk is gone")
        return [FREE]

    def open_source() -> object:
        opened.append(1)
        return read

    with watched(home=open_source) as port:
        assert wait_for(port, UP % "home", 1)["cryptobot_home_free_bytes"] == 5
        assert len(opened) == 1, "it is opened once"
        fails.set()
        assert "cryptobot_home_free_bytes" not in wait_for(port, UP % "home", 0)
        fails.clear()
        assert wait_for(port, UP % "home", 1)["cryptobot_home_free_bytes"] == 5
        assert len(opened) > 1
    assert [record.message for record in caplog.records] == ["home cannot be read: OSError: the disk is gone"]


def test_a_reading_grows_too_old_to_be_told() -> None:
    now = [1_000.0]
    watcher = Watcher({"home": lambda: lambda: [FREE]}, every_seconds=1, clock=lambda: now[0])
    assert FREE in watcher.read_all()
    now[0] += LEAST_PATIENCE_SECONDS
    assert FREE in watcher.figures()
    now[0] += 1
    figures = watcher.figures()
    assert FREE not in figures
    assert Figure("cryptobot_source_up", 0, {"source": "home"}) in figures


def test_the_exporter_is_reached_on_this_machine_alone() -> None:
    with watched(home=lambda: lambda: [FREE]) as port, pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.2:{port}/metrics", timeout=PATIENCE_SECONDS, trust_env=False)
