"""A real registry and the dashboard's own process, as a person uses it in headless Chromium: on a desk, on a phone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import Page, expect

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.dashboard import champions, drifting
from cryptobot_assets.dashboard.command import HEALTH, dashboard_command
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.processes import Supervisor, free_port
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets_tests.browser import SETTLE_MS, keep_picture, opened_page
from cryptobot_assets_tests.conftest import MakeDatabase
from cryptobot_assets_tests.dashboard.market import NAMES, SECOND_CUTOFF, fill
from cryptobot_assets_tests.dashboard.records import fill_paper, fill_served
from cryptobot_assets_tests.dashboard.registered import (
    FEATURES,
    PASSED,
    UNPROVEN,
    promote_twice,
    register,
)
from cryptobot_assets_tests.patience import PATIENCE_SECONDS

pytestmark = [pytest.mark.platform, pytest.mark.timeout(1800)]

DESK, PHONE = {"width": 1280, "height": 2000}, {"width": 375, "height": 2400}
FOREIGN = ("CRYPTOBOT_", "MLFLOW_", "STREAMLIT_")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, mlflow_database: MakeDatabase) -> Registry:
    """One champion, promoted by a person and then by the gate."""
    folder = tmp_path_factory.mktemp("registry")
    opened = Registry(mlflow_database(folder / "mlflow.db"), folder / "artifacts")
    promote_twice(opened, register(opened, cutoff=SECOND_CUTOFF, currencies=NAMES))
    return opened


@pytest.fixture(scope="module")
def dashboard(chromium: str, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a dashboard over a small market with a champion; nothing of it is left afterwards."""
    folder = tmp_path_factory.mktemp("deployment")
    home, port = folder / "home", free_port()
    lake = Lake(str(home / "lake"))
    for what in (fill, fill_paper, fill_served):
        what(lake)
    argv, extra = dashboard_command(Settings.load(home=home), port)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment = kept | extra | {
        "HOME": str(folder),
        "CRYPTOBOT_INTERVAL": "1h",
        "CRYPTOBOT_CURRENCIES": ",".join(NAMES),
        "CRYPTOBOT_SERVICE_PORT": str(free_port()),
        "MLFLOW_TRACKING_URI": registry.tracking_uri,
    }  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with Supervisor() as programs:
        child = programs.start(
            "dashboard",
            argv,
            env=environment,
            log_path=folder / "dashboard.log",
            ready=f"{url}{HEALTH}",
            timeout_seconds=PATIENCE_SECONDS,
        )
        listening = {one.laddr.ip for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port}
        assert listening == {"127.0.0.1"}
        yield url
        assert "Traceback" not in child.output(), child.output()
    assert not [one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port and one.pid]


def test_history_tells_every_promotion_with_its_reasons_and_whose_it_was(registry: Registry) -> None:
    assert champions.reign(registry, "BTCUSDT") == champions.Reign(None, (), 0)
    assert drifting.champion_training(registry, "BTCUSDT") is None
    found = champions.reign(registry, "ALL")
    assert found.trained == 1 and found.champion["algorithm"] == "ridge"
    assert found.champion["verdict"] == PASSED
    newest, oldest = found.promotions
    assert (newest.verdict, list(newest.reasons), newest.by) == ("passed", PASSED["reasons"], "the gate")
    assert (oldest.verdict, list(oldest.reasons), oldest.by) == ("unproven", UNPROVEN["reasons"], "ann: a trial")
    assert newest.time > oldest.time and newest.cutoff == f"{SECOND_CUTOFF:%Y-%m-%d}"
    trained = drifting.champion_training(registry, "ALL")
    assert (trained.features, trained.currencies) == (FEATURES, NAMES)
    assert (trained.start, trained.end) == (START, START + 12 * DAY)


@pytest.mark.browser
def test_a_person_chooses_and_reads_on_a_desk_and_on_a_phone(chromium: str, dashboard: str) -> None:
    with opened_page(chromium, base_url=dashboard, viewport=DESK) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        read_on_a_desk(page)
        page.set_viewport_size(PHONE)
        read_on_a_phone(page)
        elsewhere = [
            one for one in asked if not one.startswith((dashboard, dashboard.replace("http", "ws"), "data:", "blob:"))
        ]
        assert elsewhere == []


def read_on_a_desk(page: Page) -> None:
    """Choose a model, and see the figures follow; then the other pages, each of which fits a phone too."""
    page.goto("/")
    expect(page.get_by_text("ADAUSDT, 2024-01-01 to 2024-01-25 (UTC), lasso of market ALL")).to_be_visible()
    drawn(page, 2)
    choose(page, "Algorithm", "ridge")
    expect(page.get_by_text("ridge of market ALL, every version in turn")).to_be_visible()
    choose(page, "Currency", "BTCUSDT")
    choose(page, "Market", "BTCUSDT")
    expect(page.get_by_text("huber of market BTCUSDT")).to_be_visible()
    choose(page, "Market", "ALL")
    assert "currency=BTCUSDT" in page.url, "what is looked at can be shared by its address"
    keep_picture(page, "predictions-desk")
    for name, words in {
        "Skill": "Error against predicting zero",
        "Value": "Value of the sleeves against holding",
        "Paper": "The paper bot against holding",
        "Served": "The same rows by two versions",
        "Data": "Freshness",
        "Drift": "Population stability index of the features of ridge",
    }.items():
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_text(words).first).to_be_visible()
        keep_picture(page, f"{name.lower()}-desk")
        turn_to_a_phone(page, name.lower())
    page.get_by_role("link", name="Champion", exact=True).click()
    expect(page.get_by_text("ridge version 1 is in force")).to_be_visible()
    expect(page.get_by_text(re.compile("Nothing answers at .*cryptobot up"))).to_be_visible()
    keep_picture(page, "champion-desk")
    turn_to_a_phone(page, "champion")


def read_on_a_phone(page: Page) -> None:
    """The first page, opened on a phone."""
    page.goto("/")
    require_fit(page, "predictions")


def turn_to_a_phone(page: Page, name: str) -> None:
    """Look at the page that is open as a phone does, and then as before."""
    page.set_viewport_size(PHONE)
    require_fit(page, name)
    page.set_viewport_size(DESK)


def require_fit(page: Page, name: str) -> None:
    """Nothing, when the page that is open fits the width of a phone."""
    page.wait_for_selector("h3")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_timeout(SETTLE_MS)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], f"{name} is {width} wide"
    keep_picture(page, f"{name}-phone")


def drawn(page: Page, count: int) -> None:
    """Return when so many charts have drawn a line."""
    page.wait_for_selector(".js-plotly-plot .scatterlayer .js-line", state="attached")
    expect(page.locator(".js-plotly-plot")).to_have_count(count)


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option at the side."""
    box = page.get_by_test_id("stSelectbox").filter(has_text=label).first
    box.locator("input").click()
    page.get_by_role("option", name=option, exact=True).click()
