"""The report page: whole, the same figures as the JSON, needing nothing, and proof against hostile text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cryptobot_assets.contracts.factories import hours_after, make_predictions
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.domain.promotion import Verdict
from cryptobot_assets.leaderboard import Evidence, read_evidence
from cryptobot_assets.page.content import Content, make_content
from cryptobot_assets.page.facts import Making, whole_report
from cryptobot_assets.page.render import page_path, render, write_page
from cryptobot_assets.report import report_of
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES, PREDICTIONS

HOURS = 24 * 25
NAMES = ("ADAUSDT", "BTCUSDT", "ETHUSDT")
HOSTILE = '</script><img src="https://elsewhere/x" onerror=alert(1)>'
VOID = {"meta", "link", "img", "br"}
CHARTS = {
    "against_outcome", "calibration", "skill_over_time", "skill_by_currency", "equity", "costs", "importance", "trials",
    "feature_worth",
}  # fmt: skip


class NoRegistry:
    """A registry that holds nothing."""

    def versions(self, market: str) -> list:
        return []

    def champion(self, market: str) -> None:
        return None


@dataclass
class Place:
    """A market of three currencies: `ridge` knows something, the other has a hostile name and knows nothing."""

    settings: Settings
    evidence: Evidence
    report: dict[str, Any]


class Page(HTMLParser):
    """What a browser would make of the page, in the little that is asked of it here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.cells.append([])
        if tag in ("th", "td"):
            self.cells[-1].append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack and self.stack.pop() == tag, f"</{tag}> in {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] in ("th", "td"):
            self.cells[-1][-1] += data
        if self.stack:
            self.text.setdefault(self.stack[-1], []).append(data)

    def row(self, first: str) -> list[str]:
        """The first row of a table that begins with this cell."""
        return next(cells for cells in self.cells if cells[0] == first)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    settings = Settings.load(home=tmp_path_factory.mktemp("home"), interval="1h", currencies=",".join(NAMES))
    store = Lake(settings.lake_url)
    closes = pl.concat([make_rows(INDICATORS, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    klines = pl.concat([make_rows(KLINES, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    store.replace(INDICATORS, closes, start=None, end=None)
    store.replace(KLINES, klines.filter(pl.col("time") != hours_after(50)), start=None, end=None)
    gap = {"currency": NAMES[0], "time": hours_after(50), "end": hours_after(51), "missing": 1, "kind": None}
    store.replace(GAPS, pl.DataFrame([gap], schema=GAPS.schema), start=None, end=None)
    noise = make_predictions(closes, algorithm=HOSTILE)
    guess = pl.col("predicted_return") + pl.col("realised_return").fill_null(0.0) / 2
    ridge = noise.with_columns(algorithm=pl.lit("ridge"), predicted_return=guess)
    store.replace(PREDICTIONS, pl.concat([noise, ridge]), start=None, end=None)
    evidence = read_evidence(store, settings, "ALL", draws=30)
    return Place(settings, evidence, whole_report(store, NoRegistry(), settings, evidence, HOSTILE))


def make_making(**changes: Any) -> Making:
    made = Making(
        version="1",
        cutoff="2024-01-01",
        trials=(2e-4, None, 1e-4),
        zero=1.5e-4,
        importance={"lag": 0.7, HOSTILE: 0.3},
        tuned={"alpha": "0.5"},
        worths=[{"group": HOSTILE, "features": 3, "gain": 0.01, "ci": [-0.002, 0.02]}],
        params={"rows_lacking_a_feature": "12"},
        git_commit="c0ffee",
        store_version="indicators@5",
    )
    return replace(made, **changes)


def content_of(place: Place, **report: Any) -> Content:
    return make_content(
        place.evidence,
        place.report | report,
        {"ridge": [make_making(), make_making(version="2", cutoff="2024-01-09")]},
        Verdict(False, (f"no better than {HOSTILE}",)),
        place.settings,
        best="ridge",
        made="2024-02-01",
    )


@pytest.fixture(scope="module")
def text(place: Place) -> str:
    return render(content_of(place, overfitting={HOSTILE: 0.25, "interval": [0.1, 0.9]}))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_part_is_there(page: Page) -> None:
    sections = {attributes["id"] for tag, attributes in page.tags if tag == "section"}
    assert sections == {"verdict", "models", "each", "missing", "further"}
    figures = [attributes["class"] for tag, attributes in page.tags if tag == "figure"]
    assert set(figures) == CHARTS | {"values", "skills"}
    assert {name: figures.count(name) for name in ("equity", "trials")} == {"equity": 2, "trials": 1}
    tables = [attributes["class"] for tag, attributes in page.tags if tag == "table"]
    assert tables.count("rules") == 2 and {"leaderboard", "gaps", "classes", "versions", "further"} <= set(tables)
    told = set(page.text["dd"])
    assert {"c0ffee", "indicators@5", "2024-01-01", "10 bps fee and 2 bps slippage", "2024-02-01"} <= told
    assert any("1 of" not in line and "12 rows lacked" in line for line in page.text["li"])


def test_every_chart_has_a_title_a_sentence_and_its_axes(place: Place) -> None:
    content = content_of(place)
    shown = [*content.overview, *(chart for section in content.sections for chart in section.charts)]
    assert len(shown) == 17
    for chart in shown:
        drawn = Page(chart.svg)
        assert chart.title and chart.reading.endswith(".")
        classes = [attributes.get("class", "") for tag, attributes in drawn.tags if tag == "text"]
        assert 1 <= classes.count("axis") <= 2 and classes.count("tick") >= 4, chart.name
        numbers = [value for _, attributes in drawn.tags for value in attributes.values() if value]
        assert not any(word in number for number in numbers for word in ("nan", "inf")), chart.name


def test_nothing_is_loaded_from_anywhere(page: Page, text: str) -> None:
    loading = {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "style"}
    assert not [attributes for _, attributes in page.tags if loading & set(attributes)]
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "use", "image", "base"}
    style = "".join(page.text["style"])
    assert "url(" not in style and "@import" not in style
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [
        {"type": "application/json", "id": "report"}
    ]
    assert len(text) < 3_000_000


def test_the_figures_are_those_of_the_json_report(place: Place, page: Page) -> None:
    held = json.loads("".join(page.text["script"]))
    made = report_of(place.evidence, NoRegistry(), place.settings)
    assert {name: held[name] for name in made} == json.loads(json.dumps(made))
    assert held["klines"]["missing"] == 3 and len(held["klines"]["gaps"]) == 1
    model = next(one for one in made["models"] if one["algorithm"] == "ridge")
    cells = page.row("ridge")
    pool, classes = model["pool_value"], model["classification"]
    assert cells[2] == f"{pool['net']:.3f} ({pool['net_ci'][0]:.3f}\u2009to\u2009{pool['net_ci'][1]:.3f})"
    assert cells[4].startswith(f"{model['ic']:.3f} ({model['ic_ci'][0]:.3f}")
    assert cells[5] == f"{model['mse'] / model['mse_zero'] - 1:+.2%}"
    assert cells[6:8] == [f"{classes['1']['precision']:.3f}", f"{classes['base_rate']:.3f}"]
    assert cells[9:] == [f"{classes['effective_n']:,.0f}", f"{model['rows']:,}", f"{pool['trades']:,}"]
    assert page.row("holding all (control)")[2] == f"{made['control']['net']:.3f}"
    assert page.row("holding BTC")[2] == f"{made['control']['btc']['net']:.3f}"
    rule = pool["rules"][0]
    assert page.row(rule["rule"])[1].startswith(f"{rule['net']:.3f}")
    luck = made["skill"]["p_value"]
    assert (f"{luck:.1%}" if luck >= 0.001 else "< 0.1%") in page.text["strong"]


def test_hostile_text_stays_text(page: Page, text: str) -> None:
    assert "<img" not in text and text.count("</script>") == 1
    assert page.row(HOSTILE)[0] == HOSTILE
    assert f"no better than {HOSTILE}" in page.text["li"]
    assert any(HOSTILE in words for words in page.text["b"]), "its own section"
    assert page.row(f"overfitting / {HOSTILE}")[1] == "0.25"


def test_a_market_with_little_still_makes_a_page(place: Place) -> None:
    early = {name: rows.filter(pl.col("time") < hours_after(2)) for name, rows in place.evidence.predictions.items()}
    bare = [replace(one, pool=None, control=None, hours=None) for one in place.evidence.evaluations]
    evidence = replace(place.evidence, predictions=early, evaluations=bare, rules={})
    report = place.report | report_of(evidence, NoRegistry(), place.settings)
    content = make_content(evidence, report, {}, Verdict(True, ()), place.settings, best="ridge", made="now")
    drawn = Page(render(content))
    assert "ridge passes the gate" in "".join(drawn.text["h2"])
    assert not any(attributes.get("class") == "equity" for _, attributes in drawn.tags)


def test_a_page_is_written_whole(place: Place, tmp_path: Path) -> None:
    settings = place.settings.model_copy(update={"home": tmp_path})
    path = write_page(page_path(settings, "ALL"), "one")
    assert write_page(path, "two \N{EN DASH}") == tmp_path / "reports" / "ALL.html" == path
    assert path.read_text(encoding="utf-8") == "two \N{EN DASH}" and len(list(path.parent.iterdir())) == 1
