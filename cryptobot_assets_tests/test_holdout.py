"""The locked holdout: nothing after its first instant changes any figure until it is opened, which is recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import cryptobot_assets
from cryptobot_assets.assets.predictions import predict_block
from cryptobot_assets.assets.training_set import TrainingSets
from cryptobot_assets.contracts.factories import START, make_klines, make_predictions
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.relative import RELATIVE_FEATURES
from cryptobot_assets.errors import NotEnoughHistory, UsageError
from cryptobot_assets.holdout import open_holdout
from cryptobot_assets.leaderboard import evaluate_market, read_evidence
from cryptobot_assets.partitions import Span
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.holdout_log import find_breaks, openings_in_words, read_openings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import INDICATORS, KLINES, PREDICTIONS
from cryptobot_assets_tests.assets.test_predictions import Scorer, make_version
from cryptobot_assets_tests.conftest import MakeDatabase

DAYS = 44
NAMES = tuple(f"C{n}USDT" for n in range(5))
HOLDOUT = START + 38 * DAY
FEATURES = ("close_lag_25h", "rsi_14h")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, mlflow_database: MakeDatabase) -> Registry:
    folder = tmp_path_factory.mktemp("registry")
    return Registry(mlflow_database(folder / "mlflow.db"), folder / "artifacts")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(
        home=tmp_path, interval="1h", currencies=",".join(NAMES), holdout_from=HOLDOUT.date().isoformat()
    )


@pytest.fixture
def store(settings: Settings) -> Lake:
    store = Lake(settings.lake_url)
    closes = pl.concat([make_rows(INDICATORS, DAYS * 24, currency=name, seed=n) for n, name in enumerate(NAMES)])
    klines = pl.concat([make_klines(DAYS * 24, currency=name, seed=n) for n, name in enumerate(NAMES)])
    store.replace(INDICATORS, closes, start=None, end=None)
    store.replace(KLINES, klines, start=None, end=None)
    late = closes.filter(pl.col("time") >= START + 34 * DAY)
    rows = pl.concat([make_predictions(late, algorithm=name, seed=n) for n, name in enumerate(("ridge", "lasso"))])
    store.replace(PREDICTIONS, rows, start=None, end=None)
    return store


def tell_another_story(store: Lake) -> None:
    """Change every number from the holdout's first instant on."""
    for table, columns in (
        (INDICATORS, ["close"]),
        (KLINES, ["open", "high", "low", "close", "volume", "quote_volume"]),
        (PREDICTIONS, ["predicted_return", "realised_return"]),
    ):
        rows = store.read(table, start=HOLDOUT)
        other = 1 + pl.col("time").dt.hour() % 5 + pl.col("currency").str.slice(1, 1).cast(pl.Int64)
        store.replace(table, rows.with_columns(pl.col(columns) * other), start=HOLDOUT, end=None)
    stored = store.read(PREDICTIONS, start=HOLDOUT - DAY, end=HOLDOUT).with_columns(realised_return=pl.lit(0.5))
    store.replace(PREDICTIONS, stored, start=HOLDOUT - DAY, end=HOLDOUT)


def figures(store: Lake, settings: Settings) -> list[object]:
    """All that trainings and evaluations make of the store."""
    sets = [
        TrainingSets(settings, features).read(store, NAMES, "ALL", cutoff).digest
        for features in (FEATURES, RELATIVE_FEATURES)
        for cutoff in (HOLDOUT, HOLDOUT + 4 * DAY)
    ]
    evidence = read_evidence(store, settings, "ALL", draws=0)
    judged = [(one.candidate, one.control, one.score.skill.rows(), one.end) for one in evidence.evaluations]
    rules = [[(rule.rule, rule.net, rule.over_control) for rule in made] for made in evidence.rules.values()]
    coming = evaluate_market(store, settings, "ALL", start=HOLDOUT - DAY, draws=0)
    return [sets, judged, rules, coming, {name: rows.rows() for name, rows in evidence.predictions.items()}]


def test_nothing_from_the_holdout_on_changes_any_figure(store: Lake, settings: Settings) -> None:
    before = figures(store, settings)
    assert before[1][0][-1] == HOLDOUT - DAY - DAY / 24
    assert before[3] == []
    tell_another_story(store)
    assert figures(store, settings) == before


def test_without_a_holdout_they_would_change(store: Lake, settings: Settings) -> None:
    unlocked = settings.model_copy(update={"holdout_from": None})
    before = figures(store, unlocked)
    tell_another_story(store)
    after = figures(store, unlocked)
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_predictions_of_the_holdout_are_stored_without_outcomes(store: Lake, settings: Settings) -> None:
    reader = SampleReader(store, "1h", NAMES, outcomes_until=settings.holdout_start)
    lineup = {"ridge": [(make_version(1, HOLDOUT - 3 * DAY), Scorer(1.0))]}
    predict_block(lineup, "ALL", Span(NAMES[0], HOLDOUT - 3 * DAY, HOLDOUT + 3 * DAY), reader, store)
    rows = store.read(PREDICTIONS, currency=NAMES[0], start=HOLDOUT - 3 * DAY, end=HOLDOUT + 3 * DAY)
    rows = rows.filter(algorithm="ridge").sort("time")
    known = rows.drop_nulls("realised_return")["time"]
    assert rows["time"].max() == HOLDOUT + 3 * DAY - DAY / 24
    assert known.max() == HOLDOUT - DAY - DAY / 24, "its label ends with the holdout's first instant"


def test_openings_are_recorded_counted_and_what_was_altered_is_missed(
    store: Lake, settings: Settings, registry: Registry
) -> None:
    facts = {"by": "ann@desk", "commit": "abc", "now": datetime(2025, 1, 2, tzinfo=UTC)}
    assert "never been opened" in openings_in_words(registry, settings.holdout_from)
    expected = store.read(PREDICTIONS, start=HOLDOUT).filter(algorithm="ridge").drop_nulls("realised_return")
    hidden = store.read(PREDICTIONS).with_columns(realised_return=pl.lit(None, pl.Float64))
    store.replace(PREDICTIONS, hidden, start=None, end=None)
    first = open_holdout(store, registry, settings, "ALL", reason="the paper is done", **facts)
    ridge = first.figures["ridge"]
    errors = (expected["predicted_return"] - expected["realised_return"]).to_numpy() ** 2
    assert (ridge["rows"], ridge["mse"]) == (expected.height, pytest.approx(np.mean(errors)))
    assert {"ic", "net", "control_net", "version"} <= ridge.keys()
    with pytest.raises(NotEnoughHistory, match="has no prediction"):
        open_holdout(store, registry, settings, "C0USDT", reason="x", **facts)
    for reason in ("again", "and again"):
        open_holdout(store, registry, settings, "ALL", reason=reason, **facts)
    log = read_openings(registry)
    assert [(one.number, one.reason, one.by) for one in log] == [
        (1, "the paper is done", "ann@desk"),
        (2, "again", "ann@desk"),
        (3, "and again", "ann@desk"),
    ]
    assert log[0] == first and find_breaks(log) == []
    assert "opened 3 times" in openings_in_words(registry, settings.holdout_from)
    experiment = registry.client.get_experiment_by_name("cryptobot-holdout").experiment_id
    runs = {run.info.run_name: run.info.run_id for run in registry.client.search_runs([experiment])}
    registry.client.set_tag(runs["opening 1"], "figures", "{}")
    assert find_breaks(read_openings(registry)) == [2]
    registry.client.delete_run(runs["opening 2"])
    assert find_breaks(read_openings(registry)) == [3]


def test_no_holdout_no_opening(store: Lake, settings: Settings, registry: Registry) -> None:
    unlocked = settings.model_copy(update={"holdout_from": None})
    with pytest.raises(UsageError, match="CRYPTOBOT_HOLDOUT_FROM"):
        open_holdout(
            store, registry, unlocked, "ALL", by="a", commit="b", reason="c", now=datetime(2025, 1, 2, tzinfo=UTC)
        )


def test_whoever_reads_outcomes_knows_of_the_holdout() -> None:
    package = Path(cryptobot_assets.__file__).parent
    texts = {one.relative_to(package).as_posix(): one.read_text() for one in package.rglob("*.py")}
    bound = {"read_predictions(": "open_end", "SampleReader(": "holdout_start"}
    free = {"leaderboard.py", "holdout.py", "storage/samples.py", "assets/look_ahead.py", "serving/features.py"}
    free |= {"storage/paper_hours.py"}  # reads no label; the bot ends where the holdout begins
    free |= {"dashboard/drifting.py"}  # reads no label
    readers = {(name, call) for name, text in texts.items() for call in bound if call in text and name not in free}
    assert readers
    assert {(name, call) for name, call in readers if bound[call] not in texts[name]} == set()
