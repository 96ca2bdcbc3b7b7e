"""Dagster's pages as a person uses them: the lineage, a partition materialized by clicking, what it tells."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
from playwright.sync_api import Page, expect

from cryptobot_assets.cli.market import READY
from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.processes import Child, Supervisor, free_port
from cryptobot_assets.settings import Settings
from cryptobot_assets_tests.browser import keep_picture, opened_page
from cryptobot_assets_tests.monitoring.expositions import series
from cryptobot_assets_tests.patience import PATIENCE_SECONDS

pytestmark = [pytest.mark.browser, pytest.mark.platform, pytest.mark.timeout(1800)]

DAY = "2025-01-02"
DAY_MS = 1_735_776_000_000
HALF_DAY_MS = 12 * 60 * 60 * 1_000
WIDE, TALL = {"width": 1600, "height": 1000}, {"width": 1600, "height": 2000}
PORTS = (
    "CRYPTOBOT_WEBSERVER_PORT",
    "CRYPTOBOT_MLFLOW_PORT",
    "CRYPTOBOT_SERVICE_PORT",
    "CRYPTOBOT_DASHBOARD_PORT",
    "CRYPTOBOT_METRICS_PORT",
)


@dataclass(frozen=True)
class Platform:
    """What `cryptobot up` started."""

    url: str
    exchange: str
    home: Path
    up: Child

    def wait_until_everything_is_up(self) -> None:
        """Return when the last service has answered; the browser need not wait for it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "Everything is up" not in self.up.output():
            assert self.up.is_alive(), self.up.output()
            assert time.monotonic() < deadline, self.up.output()
            time.sleep(0.2)


@pytest.fixture(scope="module")
def platform(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A small simulated market and the platform over it, stopped afterwards with all its processes."""
    home = tmp_path_factory.mktemp("home")
    logs = tmp_path_factory.mktemp("logs")
    cryptobot = [sys.executable, "-m", "cryptobot_assets.cli.main"]
    with Supervisor() as programs:
        market = ["--simulate", "7", "--currencies", "2", "--days", "3"]
        exchange = programs.start(
            "exchange", [*cryptobot, "exchange", "--port", "0", *market], log_path=logs / "exchange.log", ready=READY
        )
        url = READY.search(exchange.output()).group("url")
        up = programs.start(
            "cryptobot up",
            [*cryptobot, "up"],
            env=environment(home, url),
            log_path=logs / "up.log",
            ready=re.compile(r"^Dagster daemon", re.MULTILINE),
            timeout_seconds=PATIENCE_SECONDS,
            grace_seconds=30,
        )
        dagster = re.search(r"^Dagster +(http://\S+)$", up.output(), re.MULTILINE)
        yield Platform(dagster.group(1), url, home, up)
    assert processes_of(home) == []


def environment(home: Path, exchange_url: str) -> dict[str, str]:
    """Ours, without settings of another deployment, with those of this one."""
    foreign = ("CRYPTOBOT_", "DAGSTER_", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "CRYPTOBOT_HOME": str(home),
        "CRYPTOBOT_EXCHANGE_URL": exchange_url,
        "CRYPTOBOT_CURRENCIES": "BTCUSDT,ETHUSDT",
        "CRYPTOBOT_START_DAY": "2025-01-01",
        "CRYPTOBOT_AUTOMATION": "false",
        "CRYPTOBOT_MLFLOW_ACCESS": "true",
        **{name: str(free_port()) for name in PORTS},
    }


def processes_of(home: Path) -> list[str]:
    """Command lines of the processes that still live for a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CRYPTOBOT_HOME") == str(home):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.fixture
def page(chromium: str, platform: Platform) -> Iterator[Page]:
    """A fresh page in headless Chromium."""
    with opened_page(chromium, base_url=platform.url, viewport=WIDE) as opened:
        yield opened


def test_a_person_can_see_the_lineage_and_materialize_a_partition(platform: Platform, page: Page) -> None:
    see_every_asset(page, platform.home)
    materialize(page, "klines", currency="BTCUSDT", day=DAY)
    keep_picture(page, "launched")
    wait_for_success(page)
    keep_picture(page, "runs")
    see_partition(page, rows=rows_recorded(platform.exchange, "BTCUSDT"))
    platform.wait_until_everything_is_up()
    see_the_dashboard(page, platform)
    see_the_metrics(platform)


def see_the_dashboard(page: Page, platform: Platform) -> None:
    """Open the address that was printed, and read that it looks at this deployment's store."""
    page.goto(re.search(r"^Dashboard +(http://\S+)$", platform.up.output(), re.MULTILINE).group(1) + "/data")
    expect(page.get_by_text(str(platform.home / "lake"))).to_be_visible()


def see_the_metrics(platform: Platform) -> None:
    """Read at the address that was printed that every source is read, and what of it is known here."""
    address = re.search(r"^Metrics +(http://\S+)$", platform.up.output(), re.MULTILINE).group(1)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        told = series(requests.get(address, timeout=PATIENCE_SECONDS).text)
        down = [name for name, value in told.items() if name.startswith("cryptobot_source_up") and not value]
        if not down:
            break
        assert time.monotonic() < deadline, f"{down}; {(platform.home / 'logs' / 'metrics.log').read_text()}"
        time.sleep(0.2)
    assert told['cryptobot_currencies{table="klines"}'] == 1
    assert told['cryptobot_asset_partitions{asset="klines"}'] == 1
    assert told['cryptobot_asset_run_passed{asset="klines"}'] == 1
    assert told['cryptobot_champion_promotions{market="ALL"}'] == 0


def see_every_asset(page: Page, home: Path) -> None:
    """Open the lineage, expand its groups, and find each defined asset drawn."""
    page.goto("/asset-groups")
    assets = build_definitions(Settings.load(home=home)).resolve_asset_graph()
    wait_until_drawn(page, {node.group_name for node in assets.asset_nodes})
    page.locator("svg").last.click(button="right", position={"x": 20, "y": 20})
    page.get_by_role("menuitem", name="Expand all groups").click()
    page.wait_for_url("**expanded=**")
    page.set_viewport_size(TALL)  # nothing is drawn outside the window
    page.reload()
    wait_until_drawn(page, {key.to_user_string() for key in assets.get_all_asset_keys()})
    keep_picture(page, "lineage")
    page.set_viewport_size(WIDE)


def wait_until_drawn(page: Page, names: set[str]) -> None:
    """Return when the graph shows a box of each name."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        labels = page.locator("foreignObject").all_text_contents()
        missing = sorted(name for name in names if not any(reads(label, name) for label in labels))
        if not missing:
            return
        assert time.monotonic() < deadline, f"the lineage does not show {missing}, only {labels}"
        page.wait_for_timeout(200)


def reads(label: str, name: str) -> bool:
    """Whether a label is the name, or the name with its middle cut out to fit the box."""
    start, cut, end = label.partition("…")
    return label == name or (cut != "" and name.startswith(start) and name.endswith(end))


def materialize(page: Page, asset: str, *, currency: str, day: str) -> None:
    """Launch a run of one partition from the asset's page, choosing it in the dialog."""
    page.goto(f"/assets/{asset}?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    page.locator("text=Select a partition >> visible=true").first.click()
    page.locator(f"text=/^{currency}$/ >> visible=true").last.click()
    page.keyboard.press("Escape")
    launch = page.get_by_role("button", name="Launch 1 run")
    days = page.get_by_placeholder("ex: ").last
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not launch.is_visible():  # what is typed before the page knows its partitions is forgotten
        assert time.monotonic() < deadline, page.get_by_role("dialog").all_inner_texts()
        days.fill(day)
        days.press("Enter")
        page.wait_for_timeout(1_000)
    launch.click()
    expect(page.get_by_text("Launch runs to materialize")).to_have_count(0)


def wait_for_success(page: Page) -> None:
    """Watch the runs until the one launched has ended well."""
    page.goto("/runs")
    expect(page.get_by_text(re.compile("^(Success|Failure)$")).first).to_be_visible()
    expect(page.get_by_text("Failure", exact=True)).to_have_count(0)


def see_partition(page: Page, *, rows: int) -> None:
    """Find the counts and the picture on the partition's page."""
    page.goto(f"/assets/klines?view=partitions&partition=BTCUSDT%7C{DAY}")
    row_count = page.locator("tr").filter(has_text="dagster/row_count")
    expect(row_count).to_contain_text(str(rows))
    expect(page.locator("tr").filter(has_text="missing_klines")).to_contain_text(str(24 * 60 - rows))
    keep_picture(page, "partition")
    page.locator("tr").filter(has_text="picture").get_by_text("[Show Markdown]").click()
    picture = page.locator('img[src^="data:image/png;base64,"]')
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 500
    keep_picture(page, "picture")


def rows_recorded(exchange: str, currency: str) -> int:
    """Klines of the day the exchange holds, asked of it in two pages."""
    asked = {"symbol": currency, "interval": "1m", "limit": 1000}
    halves = [(DAY_MS, DAY_MS + HALF_DAY_MS - 1), (DAY_MS + HALF_DAY_MS, DAY_MS + 2 * HALF_DAY_MS - 1)]
    pages = [
        requests.get(
            f"{exchange}/api/v3/klines",
            params=asked | {"startTime": first, "endTime": last},
            timeout=PATIENCE_SECONDS,
        ).json()
        for first, last in halves
    ]
    return sum(map(len, pages))
