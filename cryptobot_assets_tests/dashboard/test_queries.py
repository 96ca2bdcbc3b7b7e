"""What the dashboard reads, from a lake and from PostgreSQL: the same rows, out of sample, and no more than asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.dashboard import drifting, health, judging, queries
from cryptobot_assets.dashboard.drifting import Trained
from cryptobot_assets.dashboard.queries import Selection, span_of
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.metrics import score
from cryptobot_assets.leaderboard import evaluate_market
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.postgres import PostgresStore
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS, Store
from cryptobot_assets_tests.dashboard.market import DAYS, NAMES, SECOND_CUTOFF, fill
from cryptobot_assets_tests.serving.platform import make_indicators
from cryptobot_assets_tests.storage.postgres_server import make_database

FIRST, LAST = date(2024, 1, 1), date(2024, 1, DAYS)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    return Settings.load(home=home, interval="1h", currencies=",".join(NAMES), store_url=str(home / "lake"))


@pytest.fixture(scope="module")
def lake(settings: Settings) -> Store:
    store = Lake(settings.lake_url)
    fill(store)
    return store


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "postgres") as server:
        store = PostgresStore(make_database(server))
        fill(store)
        yield store
        store.close()


@pytest.fixture(params=["lake", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue(request.param)


def choose(settings: Settings, first: date = FIRST, last: date = LAST, **changes: str | None) -> Selection:
    named = {"currency": "BTCUSDT", "market": "ALL", "algorithm": "ridge", "version": None} | changes
    return Selection(**named, span=span_of(settings, first, last))


def test_only_versions_that_scored_rows_of_the_days_are_offered(store: Store, settings: Settings) -> None:
    every = queries.scored_by(store, "BTCUSDT", span_of(settings, FIRST, LAST))
    assert queries.markets_of(every) == ["ALL", "BTCUSDT"]
    assert every.filter(market="ALL").select("algorithm", "version").rows() == [
        ("lasso", "1"), ("ridge", "1"), ("ridge", "2"),
    ]  # fmt: skip
    late = queries.scored_by(store, "ADAUSDT", span_of(settings, SECOND_CUTOFF.date(), LAST))
    assert late.select("market", "algorithm", "version").rows() == [("ALL", "lasso", "1"), ("ALL", "ridge", "2")]
    assert queries.scored_by(store, "NOSUCHUSDT", span_of(settings, FIRST, LAST)).is_empty()


def test_rows_are_of_the_selection_alone_and_out_of_sample(store: Store, settings: Settings) -> None:
    rows = queries.prediction_rows(store, choose(settings))
    assert rows.height == DAYS * 24 and rows["time"].is_sorted() and rows["time"].n_unique() == rows.height
    assert (rows["time"] >= rows["cutoff"]).all()
    assert queries.cutoffs_within(rows, span_of(settings, FIRST, LAST)) == [(START, "1"), (SECOND_CUTOFF, "2")]
    second = queries.prediction_rows(store, choose(settings, version="2", last=date(2024, 1, 14)))
    assert (second["time"].min(), second.height) == (SECOND_CUTOFF, 2 * 24)
    counts = queries.counted(rows, choose(settings).span, "1h")
    assert counts == {"instants": 600, "rows": 600, "known": 576}


def test_closes_and_spans(store: Store, settings: Settings) -> None:
    closes = queries.close_rows(store, "ETHUSDT", span_of(settings, date(2024, 1, 3), date(2024, 1, 4)))
    assert closes.columns == ["time", "close"] and closes.height == 48
    stored = queries.stored_spans(store, INDICATORS)
    assert set(stored) == set(NAMES)
    assert queries.default_days(stored["BTCUSDT"]) == (FIRST, LAST)
    assert queries.default_days((START, START + 60 * DAY)) == (date(2024, 2, 3), date(2024, 3, 1))


def test_a_holdout_hides_every_label_that_reaches_into_it(lake: Store, settings: Settings) -> None:
    locked = settings.model_copy(update={"holdout_from": date(2024, 1, 20)})
    span = span_of(locked, FIRST, LAST)
    assert span.cut and span.end == datetime(2024, 1, 19, tzinfo=UTC)
    rows = queries.prediction_rows(lake, Selection("BTCUSDT", "ALL", "ridge", None, span))
    assert rows["time"].max() == datetime(2024, 1, 18, 23, tzinfo=UTC)
    hidden = span_of(locked, date(2024, 1, 21), LAST)
    assert hidden.start == hidden.end, "nothing, rather than a span that ends before it starts"


def test_skill_is_that_of_the_evaluation(store: Store, settings: Settings) -> None:
    found = judging.skill(store, settings, choose(settings), alone=False)
    same = next(one for one in evaluate_market(store, settings, "ALL") if one.algorithm == "ridge")
    assert (found.row["mse"], found.row["ic"], found.row["ic_ci"]) == (
        same.score.mse, same.score.ic, list(same.score.ic_ci),
    )  # fmt: skip
    assert found.days["rows"].sum() == same.score.rows and found.days.height == DAYS - 1
    assert found.cutoffs == ((START, "1"), (SECOND_CUTOFF, "2"))
    assert set(found.by_currency["currency"]) == set(NAMES)


def test_one_currency_alone_and_one_version_alone(lake: Store, settings: Settings) -> None:
    rows = lake.read(PREDICTIONS, market="ALL", algorithm="ridge", currency="BTCUSDT", version="2")
    alone = judging.skill(lake, settings, choose(settings, version="2"), alone=True)
    assert alone.row["mse"] == pytest.approx(score(rows.drop_nulls(), "1h", seed=0, draws=0).mse)
    assert judging.skill(lake, settings, choose(settings, date(2024, 1, 25), LAST), alone=True) is None
    assert judging.skill(lake, settings, choose(settings, algorithm="nosuch"), alone=False) is None


def test_value_is_that_of_the_evaluation(lake: Store, settings: Settings) -> None:
    found = judging.value(lake, settings, choose(settings))
    same = next(one for one in evaluate_market(lake, settings, "ALL") if one.algorithm == "ridge")
    assert (found.row["net"], found.row["gross"], found.control["net"]) == (
        same.pool.net, same.pool.gross, same.control.net,
    )  # fmt: skip
    assert found.net[-1] == pytest.approx(same.pool.net) and found.band[0][-1] == pytest.approx(found.row["net_ci"][0])
    assert found.row["rules"][0]["rule"] == "best one" and len(found.times) == len(found.net)
    assert judging.value(lake, settings, choose(settings, date(2024, 1, 25), LAST)) is None


def test_holes_are_told_by_kind_and_those_nobody_recorded_too(store: Store, settings: Settings) -> None:
    found = health.holes(store, "ADAUSDT", span_of(settings, FIRST, LAST), "1h")
    assert (found.stored, found.expected) == (598, 600)
    assert found.days.select("time", "kind", "rows").rows() == [
        (START + 2 * DAY, "outage", 1), (START + 8 * DAY, health.NOT_RECORDED, 1),
    ]  # fmt: skip
    assert found.gaps.select("missing", "kind").rows() == [(1, "outage")]
    whole = health.holes(store, "BTCUSDT", span_of(settings, FIRST, LAST), "1h")
    assert (whole.stored, whole.expected, whole.days.height) == (600, 600, 0)
    assert health.holes(store, "NOSUCHUSDT", span_of(settings, FIRST, LAST), "1h").expected == 0


def test_the_stalest_currency_comes_first(store: Store) -> None:
    spans = health.newest(store)
    now = START + DAYS * DAY + timedelta(hours=6)
    found = health.freshness(spans, "1h", now)
    assert [(one.currency, one.age_hours) for one in found] == [(name, 6.0) for name in NAMES]
    del spans["indicators"]["ETHUSDT"]
    spans["klines"]["ETHUSDT"] = (START, START)
    assert next((one.currency, one.indicator) for one in health.freshness(spans, "1h", now)) == ("ETHUSDT", None)


def test_drift_compares_training_rows_with_later_ones(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings.load(home=tmp_path_factory.mktemp("drift"), interval="1h")
    store = Lake(settings.lake_url)
    rows = make_indicators("BTCUSDT", days=80)
    late = pl.col("time") >= START + 70 * DAY
    moved = rows.with_columns(close_minmax_scale=pl.when(late).then(0.999).otherwise("close_minmax_scale"))
    store.replace(INDICATORS, moved, start=None, end=None)
    cutoff = START + 70 * DAY
    trained = Trained("ridge", "1", cutoff, ("close_minmax_scale", "close_lag_1h"), ("BTCUSDT",), START, cutoff - DAY)
    found = drifting.drifts(store, settings, trained, span_of(settings, date(2024, 3, 1), date(2024, 3, 20)))
    assert found.recent_rows == 10 * 24, "rows before the cutoff are the model's own"
    assert found.features[0].feature == "close_minmax_scale" and found.features[0].drifted
    assert found.features[1].index < found.features[0].index
