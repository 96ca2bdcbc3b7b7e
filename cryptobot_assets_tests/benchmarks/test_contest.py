"""A contest is held in turns, its figures are of the same turns, and ways that disagree or die end it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import lags
from benchmarks.peers.contest import Contest, Contestant, Outcome, hold, judge
from benchmarks.peers.matrix import KLINES, LIMIT, agree
from benchmarks.peers.place import SMALL, hourly_klines
from benchmarks.peers.shown import compare
from cryptobot_assets.domain.features import DEFAULT_FEATURES

TURNS = 2
COLUMNS = (*lags.NAMES, "label")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, list[str]]:
    """Two ways to the feature matrix of two currencies, and the progress told."""
    folder = tmp_path_factory.mktemp("contest")
    klines = str(hourly_klines(folder, replace(SMALL, currencies=2, hours=900), None))
    ways = (
        Contestant(KLINES, "matrix_ours", (klines, str(folder / "lake"), "klines", str(folder / "ours.npz"))),
        Contestant(LIMIT, "matrix_limit", (klines, str(folder / "limit.npz")), aim=1e-9),
    )
    told: list[str] = []
    return hold(Contest("two", "Two ways", "small", KLINES, ways, agree=agree), TURNS, told.append), told


def test_ways_take_turns_and_agree(held: tuple[Outcome, list[str]]):
    outcome, told = held
    turns = [line.split(", ", 1)[1].split(": ")[0] for line in told if "turn " in line]
    assert turns == [KLINES, LIMIT] * TURNS
    assert "rows; sampled, the largest differences: " + LIMIT in outcome.agreement
    ours, limit = outcome.figures
    assert ours.facts["rows"] == limit.facts["rows"] > 0
    assert (ours.times_ours, ours.reached, limit.reached) == (1, None, True)
    assert all(one.seconds > 0 and one.peak_mb > 10 for one in outcome.figures)


def test_the_peers_are_asked_for_the_default_features():
    assert lags.NAMES == DEFAULT_FEATURES


def test_figures_compare_the_same_turns_and_several_contests_share_them(held: tuple[Outcome, list[str]]):
    seconds = {KLINES: (1.0, 2.0, 9.0), LIMIT: (3.0, 2.0, 18.0)}
    answers = {
        name: [{"seconds": one, "cpu_seconds": one, "peak_mb": 1} for one in took] for name, took in seconds.items()
    }
    contest = replace(held[0].contest, agree=None)
    assert [one.times_ours for one in judge(contest, answers).figures] == [1, 2]
    other = judge(replace(contest, ours=LIMIT), answers)
    assert [(one.seconds, one.times_ours) for one in other.figures] == [(2, 0.5), (3, 1)]


@pytest.fixture
def sample(held: tuple[Outcome, list[str]]) -> dict[str, np.ndarray]:
    return dict(np.load(held[0].figures[0].facts["shown"]))


def test_an_altered_value_is_named(sample: dict[str, np.ndarray]):
    values = sample["values"].copy()
    values[3, 5] *= 1 + 1e-5
    assert compare(sample, sample, "Other", COLUMNS, single=False) == 0
    assert compare(sample, {**sample, "values": values}, "Other", COLUMNS, single=True) > 0
    with pytest.raises(RuntimeError, match=f"Other: {COLUMNS[5]} of .*, ours "):
        compare(sample, {**sample, "values": values}, "Other", COLUMNS, single=False)


def test_a_value_that_one_way_alone_knows_is_named(sample: dict[str, np.ndarray]):
    values = sample["values"].copy()
    values[0, -1] = np.nan
    with pytest.raises(RuntimeError, match=r"label of .* is np.float64\(nan\)"):
        compare(sample, {**sample, "values": values}, "Other", COLUMNS, single=True)


def test_a_row_that_lacks_ends_the_session_and_one_too_many_is_told(sample: dict[str, np.ndarray]):
    fewer = {name: values[1:] for name, values in sample.items()}
    with pytest.raises(RuntimeError, match="sampled rows"):
        compare(sample, fewer, "Other", COLUMNS, single=True)
    with pytest.raises(RuntimeError, match="sampled rows"):
        compare(fewer, sample, "Other", COLUMNS, single=False)
    assert compare(fewer, sample, "Other", COLUMNS, single=True) == 0


@pytest.mark.parametrize("program", ["matrix_limit", "matrix_duckdb"], ids=["getting ready", "in its turn"])
def test_a_way_that_dies_ends_the_session(tmp_path: Path, program: str, capfd: pytest.CaptureFixture[str]):
    way = Contestant("Fragile", program, (str(tmp_path / "none.parquet"), str(tmp_path / "shown.npz")))
    with pytest.raises(RuntimeError, match="Fragile ended with 1 before it answered"):
        hold(Contest("one", "One way", "none", "Fragile", (way,)), 1, lambda line: None)
    assert "none.parquet" in capfd.readouterr().err
