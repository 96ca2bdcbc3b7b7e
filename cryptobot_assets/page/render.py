"""The page as one HTML file that needs nothing else. The one home of Jinja."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptobot_assets.domain.promotion import Verdict
from cryptobot_assets.domain.significance import Superiority
from cryptobot_assets.leaderboard import Evidence
from cryptobot_assets.overfitting import overfitting_of
from cryptobot_assets.page.content import Content, make_content
from cryptobot_assets.page.facts import read_makings, whole_report
from cryptobot_assets.profile import market_source
from cryptobot_assets.report import judge_evaluations
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import Store

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = "report.html"


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = FileSystemLoader(Path(__file__).parent)
    return Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(TEMPLATE)


def render(content: Content) -> str:
    """The page; whatever is not our own markup is escaped."""
    return _template().render(content=content)


@dataclass(frozen=True)
class MadePage:
    """A page, the report it shows, and what the gate says of which algorithm."""

    text: str
    report: Mapping[str, Any]
    best: str
    verdict: Verdict


def make_page(store: Store, registry: Registry, settings: Settings, evidence: Evidence, *, now: datetime) -> MadePage:
    """The report page of a market, of evidence with at least one evaluation."""
    tried = overfitting_of(registry, settings, evidence.market, evidence.evaluations)
    source = market_source(settings.home, settings.exchange_url)
    report = whole_report(store, registry, settings, evidence, source, tried=tried)
    skill = report["skill"]
    best, verdict = judge_evaluations(
        evidence.evaluations,
        registry.champion(evidence.market),
        skill=Superiority(skill["hours"], skill["p_value"], tuple(skill["superior"])),
        tried=tried,
    )
    content = make_content(
        evidence,
        report,
        read_makings(registry, evidence),
        verdict,
        settings,
        best=best.algorithm,
        made=f"{now:%Y-%m-%d %H:%M} UTC",
    )
    return MadePage(render(content), report, best.algorithm, verdict)


def write_page(path: Path, page: str) -> Path:
    """Write the page, whole or not at all; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(page, encoding="utf-8")
    return draft.replace(path)


def page_path(settings: Settings, market: str) -> Path:
    """Where the newest page of a market is kept."""
    return settings.home / "reports" / f"{market}.html"
