"""Every page, run by Streamlit itself: what it says when something is missing, and figures when nothing is."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.dashboard.command import SCRIPT
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.processes import free_port
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS, KLINES, PAPER_BALANCES, PREDICTIONS, SERVED_PREDICTIONS
from cryptobot_assets_tests.dashboard.market import NAMES, fill
from cryptobot_assets_tests.dashboard.records import fill_paper, fill_served, served_rows

PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def own_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of the test's own, and nothing kept from another."""
    monkeypatch.setenv("CRYPTOBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CRYPTOBOT_INTERVAL", "1h")
    monkeypatch.setenv("CRYPTOBOT_CURRENCIES", ",".join(NAMES))
    monkeypatch.setenv("CRYPTOBOT_SERVICE_PORT", str(free_port()))
    for name in ("CRYPTOBOT_STORE_URL", "CRYPTOBOT_DASHBOARD_STORES", "CRYPTOBOT_HOLDOUT_FROM"):
        monkeypatch.delenv(name, raising=False)
    # Streamlit puts each page in the place of the main module, which spawned processes then look for.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path / "home"
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("filled") / "lake"
    fill(Lake(str(lake)))
    return lake


class NoModels:
    """A registry that holds nothing."""

    def champion(self, market: str) -> None:
        return None

    def promoted(self, market: str) -> list:
        return []

    def versions(self, market: str) -> list:
        return []


def one_page(title: str) -> None:
    """A script that is one page alone."""
    from cryptobot_assets.dashboard.views.app import PAGES

    PAGES[title]()


def look(page: str | None = None) -> AppTest:
    """A page, or the whole dashboard, as a browser would first see it."""
    options = {"default_timeout": PATIENCE_SECONDS}
    app = (
        AppTest.from_file(SCRIPT, **options)
        if page is None
        else AppTest.from_function(one_page, args=(page,), **options)
    )
    app.run()
    assert not app.exception, app.exception
    return app


def told(app: AppTest) -> str:
    """Everything the page says in boxes."""
    return " ".join(one.value for one in (*app.info, *app.warning, *app.error, *app.success))


def test_without_a_home_it_says_how_to_get_one() -> None:
    assert "There is no home" in told(look()) and "make demo" in told(look())


def test_without_klines_it_says_how_to_ingest(own_deployment: Path) -> None:
    own_deployment.mkdir()
    assert "No klines are stored" in told(look()) and "cryptobot backfill" in told(look())


def test_klines_without_indicators_and_indicators_without_predictions(own_deployment: Path) -> None:
    store = Lake(str(own_deployment / "lake"))
    store.replace(KLINES, make_rows(KLINES), start=None, end=None)
    assert "no indicators yet" in told(look())
    store.replace(INDICATORS, make_rows(INDICATORS), start=None, end=None)
    app = look()
    assert "No prediction of BTCUSDT is stored" in told(app), "the same process sees the new rows"
    store.replace(PREDICTIONS, make_rows(PREDICTIONS), start=None, end=None)
    assert [one.label for one in look().metric] == ["newest prediction", "rows scored", "direction right"]


def test_a_store_that_cannot_be_read_is_told_in_one_line(own_deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_deployment.mkdir()
    monkeypatch.setenv("CRYPTOBOT_STORE_URL", f"postgresql://me:hunter2@127.0.0.1:{free_port()}/rows")
    app = look()
    assert "does not answer" in told(app) and "hunter2" not in told(app)


def test_choices_change_what_is_shown(own_deployment: Path, filled: Path) -> None:
    shutil.copytree(filled, own_deployment / "lake")
    app = look()
    assert [one.label for one in app.sidebar.selectbox] == ["Currency", "Market", "Algorithm", "Version"]
    assert "ADAUSDT, 2024-01-01 to 2024-01-25 (UTC), lasso of market ALL" in app.caption[0].value
    app.sidebar.selectbox(key="algorithm").select("ridge").run()
    app.sidebar.selectbox(key="version").select("2").run()
    assert {one.label: one.value for one in app.metric}["rows scored"] == "312"
    app.sidebar.date_input(key="from-ADAUSDT").set_value(date(2024, 1, 20)).run()
    assert "2024-01-20 to 2024-01-25" in app.caption[0].value
    app.sidebar.date_input(key="to-ADAUSDT").set_value(date(2024, 1, 19)).run()
    assert "first day is after the last" in told(app) and not app.exception


def test_further_stores_are_those_of_the_settings_whatever_an_address_says(
    own_deployment: Path, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_deployment.mkdir()
    monkeypatch.setenv("CRYPTOBOT_DASHBOARD_STORES", str(filled))
    app = AppTest.from_file(SCRIPT, default_timeout=PATIENCE_SECONDS)
    app.query_params["store"] = str(filled.parent)
    app.run()
    assert app.sidebar.selectbox(key="store").options == [str(own_deployment / "lake"), str(filled)]
    assert "No klines are stored" in told(app)
    app.sidebar.selectbox(key="store").select(str(filled)).run()
    assert "ADAUSDT, 2024-01-01 to 2024-01-25" in app.caption[0].value and not app.exception


def test_skill_and_data_show_their_figures(own_deployment: Path, filled: Path) -> None:
    shutil.copytree(filled, own_deployment / "lake")
    skill = look("Skill")
    assert [one.label for one in skill.metric] == ["IC", "error against zero", "MSE", "rows"]
    assert "90 % of precisions of up lie within" in " ".join(one.value for one in skill.caption)
    data = look("Data")
    assert "older than 14 hours" in told(data)
    assert {one.label: one.value for one in data.metric} == {
        "klines stored": "598",
        "lacking": "2",
        "recorded gaps": "1",
    }


def test_paper_and_served_say_what_to_do_and_then_show_their_figures(own_deployment: Path) -> None:
    store = Lake(str(own_deployment / "lake"))
    assert "has booked nothing yet" in told(look("Paper")) and "No served prediction is stored" in told(look("Served"))
    store.replace(SERVED_PREDICTIONS, served_rows(), start=None, end=None)
    assert "No outcome of them is known yet" in told(look("Served"))
    fill_paper(store)
    fill_served(store)
    paper, served = look("Paper"), look("Served")
    figures = {one.label: one.value for one in paper.metric}
    known = store.read(PAPER_BALANCES).row(-1, named=True)
    sold = (known["cash"] + known["holdings"] * (1 - 0.0012)) / known["capital"]
    assert figures["bot, net"] == f"{sold:.3f}" and figures["costs paid"] == "0.58%"
    assert "90 %:" in " ".join(one.value for one in paper.caption)
    assert [one.label for one in served.metric] == [
        "replies", "outcomes known", "direction right", "error against zero",
    ]  # fmt: skip
    assert served.metric[0].value == "97" and served.metric[1].value == "192"


def test_without_models_and_a_service_champion_and_drift_say_what_to_do(
    own_deployment: Path, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "open_models", lambda settings: NoModels())
    shutil.copytree(filled, own_deployment / "lake")
    champion = told(look("Champion"))
    for words in (
        "Nothing answers at",
        "cryptobot up",
        "No model of market ALL is trained yet",
        "No evaluation of market",
    ):
        assert words in champion
    assert "has no champion" in told(look("Drift"))


def test_a_registry_that_does_not_answer_is_told(own_deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://127.0.0.1:{free_port()}/none")
    assert "The model registry does not answer" in told(look("Champion"))
