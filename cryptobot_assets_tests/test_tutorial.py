"""The tutorial, followed to the letter: its package is installed, passes its tests, and goes through a pipeline."""

from __future__ import annotations

import os
import re
import runpy
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.assets.training_record import describe
from cryptobot_assets.assets.training_set import TrainingSets
from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.models.algorithms import ALGORITHMS, features_of
from cryptobot_assets.models.base import FittedModel, defaults
from cryptobot_assets.models.card import ModelCard, warmup, write_model
from cryptobot_assets.models.loading import load_scorer
from cryptobot_assets.models.preparation import fit_prepared, search_space
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange_client import exchange_at
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import INDICATORS, KLINES
from cryptobot_assets_tests.outside import installed

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"
FILE = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOLD_SHORT = ("rebound/features.py", "rebound/models.py", "rebound/exchange.py")
START = datetime(2024, 1, 1, tzinfo=UTC)
CUTOFF = START + 40 * DAY


def files() -> dict[str, str]:
    """The files that the page shows, by their path."""
    return dict(FILE.findall(PAGE.read_text()))


def entry_points(project: Mapping[str, Mapping[str, str]]) -> str:
    """As an installer writes them of a project's table."""
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package as pip would leave it, on the path."""
    shown, place = files(), tmp_path_factory.mktemp("site")
    project = tomllib.loads(shown.pop("pyproject.toml"))["project"]
    with installed(place, shown, entry_points(project), name=project["name"], version=project["version"]):
        yield place


@pytest.mark.parametrize("path", TOLD_SHORT)
def test_each_part_takes_fewer_than_fifty_lines(path: str):
    assert sum(1 for line in files()[path].splitlines() if line.strip()) < 50


def test_the_package_passes_the_suites_that_ours_pass(folder: Path):
    ended = pytest.main([
        str(folder / "test_rebound.py"), "-q", "-c", os.devnull, "--rootdir", str(folder),
        *("-p", "no:cacheprovider", "-p", "no:timeout", "-p", "no:xdist", "--import-mode", "importlib"),
    ])  # fmt: skip
    assert ended == pytest.ExitCode.OK


def test_it_is_part_of_the_platform(folder: Path, tmp_path: Path):
    settings = Settings.load(home=tmp_path, interval="1h", algorithms=("few",))
    graph = build_definitions(settings).resolve_asset_graph()
    [model] = [node for node in graph.asset_nodes if node.key.to_user_string() == "few_model"]
    assert "rebound" in model.kinds


def test_its_parts_carry_klines_to_a_prediction(folder: Path, tmp_path: Path):
    """Its exchange's klines, its feature, its algorithm; and a saved file that needs none of them to be read."""
    settings = Settings.load(home=tmp_path, interval="1h", currencies="BTCUSDT", train_days=40)
    lake, features = Lake(str(tmp_path / "lake")), features_of("few")
    with runpy.run_path(str(folder / "test_rebound.py"))["serving"]() as address:
        ingest(lake, address)
    sets = TrainingSets(settings, features)
    training_set = sets.read(lake, ("BTCUSDT",), "BTCUSDT", CUTOFF)
    assert training_set.samples.features[-1] == "rebound_72h"
    assert sets.look_ahead(lake, ("BTCUSDT",), training_set).is_empty()
    record = describe("few", "BTCUSDT", CUTOFF, training_set, settings, tags={})
    assert record.params["packages"] == "rebound 0.1"
    params = defaults(search_space(ALGORITHMS["few"], features))
    model = fit_prepared(ALGORITHMS["few"], training_set.rows, params=params, seed=0)
    write_model(model, make_card(model, training_set.samples), tmp_path / "model")
    row = SampleReader(lake, "1h", ("BTCUSDT",)).read(features, ("BTCUSDT",), CUTOFF - HOUR, CUTOFF)
    predicted = load_scorer(tmp_path / "model").predict(row.X)
    np.testing.assert_allclose(predicted, model.predict(row.X), atol=1e-9)
    assert np.isfinite(predicted).all() and len(predicted) == 1


def make_card(model: FittedModel, samples: Samples) -> ModelCard:
    """What is kept beside the saved model."""
    return ModelCard(
        algorithm="few",
        market="BTCUSDT",
        cutoff=CUTOFF,
        interval="1h",
        features=samples.features,
        horizon_hours=24,
        prediction="close 24 h later / close - 1",
        residual_quantiles={"0.05": -0.05, "0.95": 0.05},
        **warmup(model, samples.X[:3]),
    )


def ingest(lake: Lake, address: str) -> None:
    """Every kline and indicator that the exchange can give."""
    span = Span("BTCUSDT", START, CUTOFF + timedelta(days=1))
    [fetched] = History(exchange_at(address)).fetch([span], "1h", Silent())
    lake.replace(KLINES, fetched.rows, start=None, end=None)
    made = indicator_frame(fetched.rows.filter(pl.col("time") < CUTOFF), "1h", START, CUTOFF)
    lake.replace(INDICATORS, made, start=None, end=None)
