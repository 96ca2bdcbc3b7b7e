"""What serves now, why, what served before, and how all models stood at the last evaluation."""

from __future__ import annotations

import streamlit as st

from cryptobot_assets.dashboard import champions
from cryptobot_assets.dashboard.champions import Reign
from cryptobot_assets.dashboard.queries import POOLED
from cryptobot_assets.dashboard.service import ServiceState, look_at_service
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import empty, heading, show_table
from cryptobot_assets.errors import RegistryError, StoreError
from cryptobot_assets.page import tables
from cryptobot_assets.page.last import last_report
from cryptobot_assets.page.render import page_path
from cryptobot_assets.page.tables import Table
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry_records import Override

MOST_PROMOTIONS = 50


def champion_page(settings: Settings) -> None:
    """Live state, champion, leaderboard and history of one market."""
    names = dict.fromkeys((settings.service_market, POOLED, *settings.currencies))
    market = st.sidebar.selectbox("Market", list(names), key="market-of-champion")
    heading("Champion", f"Market {market}. Figures are out of sample; a champion that no gate has passed is unproven.")
    show_service(look_at_service(settings))
    found = _reign(market)
    if found is not None:
        show_champion(found, market)
    show_leaderboard(settings, market)
    if found is not None and found.promotions:
        show_history(found)


def _reign(market: str) -> Reign | None:
    try:
        return held.ask_models(champions.reign, market)
    except (RegistryError, StoreError) as error:
        empty("The model registry does not answer", str(error))
        return None


def show_service(state: ServiceState) -> None:
    """Whether the service answers, and what it has loaded."""
    st.markdown("##### Prediction service now")
    (st.success if state.ready else st.warning)(state.told)
    if state.models:
        rows = [
            [
                model["algorithm"],
                str(model["version"]),
                ", ".join(model["aliases"]) or tables.NOTHING,
                model["verdict"],
                model["cutoff"][:10],
                model["loaded_at"][:16].replace("T", " "),
            ]
            for model in state.models
        ]
        columns = ("algorithm", "version", "alias", "verdict", "cutoff", "loaded at (UTC)")
        show_table("Loaded models", Table("loaded", columns, rows))


def show_champion(found: Reign, market: str) -> None:
    """The version in force, with its verdict and reasons."""
    if not found.trained:
        empty(
            f"No model of market {market} is trained yet",
            "Run `make demo`, or materialize the model assets in Dagster as of a cutoff day.",
        )
        return
    champion = found.champion
    if champion is None:
        empty(
            f"Market {market} has {found.trained} trained versions and no champion",
            "Materialize `evaluation_report`, `pool_value` and `champion_model` of it; under `cryptobot up` that "
            "happens at 02:00 UTC.",
        )
        return
    passed = champion["verdict"]["promote"]
    st.markdown(f"##### {champion['algorithm']} version {champion['version']} is in force")
    told = "It passed the gate" if passed else "Unproven: it did not pass the gate, and serves so that there is one"
    reasons = "\n".join(f"- {reason}" for reason in champion["verdict"]["reasons"])
    (st.success if passed else st.warning)(f"{told}.\n\n{reasons}")
    if champion.get("override"):
        st.info(Override(**champion["override"]).told)


def show_leaderboard(settings: Settings, market: str) -> None:
    """All models at the last evaluation, over all its out-of-sample rows."""
    path = page_path(settings, market)
    report = last_report(path)
    if report is None:
        empty(
            f"No evaluation of market {market} has been made on this home",
            "Materialize `evaluation_report` of it in Dagster; under `cryptobot up` that happens at 02:00 UTC.",
        )
        return
    days = report["days"]
    show_table(
        "Leaderboard of the last evaluation",
        tables.leaderboard(report),
        note=f"{days['from']} to {days['to']}, {report['source']}. The whole page: {path}",
    )
    st.markdown("\n".join(f"- {line}" for line in report["words"]))


def show_history(found: Reign) -> None:
    """Every promotion with its reasons, the newest first."""
    st.markdown("##### History")
    newest = found.promotions[:MOST_PROMOTIONS]
    st.caption(f"The {len(newest)} newest of {len(found.promotions)} promotions that the registry remembers (UTC).")
    for one in newest:
        when = one.time[:16].replace("T", " ")
        with st.expander(f"{when}: {one.algorithm} version {one.version} is {one.alias}, {one.verdict}"):
            st.markdown(f"By {one.by}; trained as of {one.cutoff}.")
            st.markdown("\n".join(f"- {reason}" for reason in one.reasons))
