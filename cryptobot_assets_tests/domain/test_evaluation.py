"""The evaluation of a market, the report's rows, and what they say in words."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import START, hours_after, make_closes, make_predictions
from cryptobot_assets.domain.evaluation import evaluate, finite, report_row, verdict_in_words
from cryptobot_assets.domain.pool_value import Control, Costs, replaced_formula

COSTS = Costs(fee_bps=10, slippage_bps=2)


def make_market(days: int = 20) -> pl.DataFrame:
    return pl.concat([make_closes(24 * days, currency=f"C{n}USDT", seed=n) for n in range(4)])


def make_evaluation(days: int = 20, *, draws: int = 50, skill: float = 0.0, **options: object):
    closes = make_market(days)
    rows = make_predictions(closes, **options)
    noise = np.random.default_rng(1).normal(0, 0.01, rows.height)
    guess = skill * rows["realised_return"].fill_null(0.0) + noise * (1 - skill)
    rows = rows.with_columns(predicted_return=guess)
    return evaluate(rows, closes, interval="1h", costs=COSTS, seed=1, draws=draws)


def test_an_evaluation_covers_the_rows_whose_outcome_is_known():
    made = make_evaluation(days=10)
    assert (made.market, made.algorithm, made.version) == ("ALL", "ridge", "1")
    assert (made.start, made.end) == (START, hours_after(24 * 9 - 1))
    assert made.score.rows == 4 * 24 * 9
    assert made.candidate.rows == made.score.rows
    assert made.candidate.net == made.pool.net
    assert len(made.hours.predicted) == 24 * 9


def test_nothing_known_yet_is_no_evaluation():
    closes = make_market(1)
    assert evaluate(make_predictions(closes), closes, interval="1h", costs=COSTS, seed=1) is None


def test_the_newest_version_names_the_evaluation():
    closes = make_closes(24 * 9)
    early = make_predictions(closes.head(72), version="10", cutoff=START)
    late = make_predictions(closes, version="9", cutoff=START).filter(pl.col("time") >= hours_after(72))
    made = evaluate(pl.concat([early, late]), closes, interval="1h", costs=COSTS, seed=1)
    assert made.version == "10"
    later = late.with_columns(cutoff=pl.lit(hours_after(72)).cast(late.schema["cutoff"]))
    made = evaluate(pl.concat([early, later]), closes, interval="1h", costs=COSTS, seed=1)
    assert (made.version, made.cutoff) == ("9", hours_after(72))


def test_a_report_row_has_every_field_of_the_report():
    made = make_evaluation()
    row = report_row(made, COSTS, trials=5, folds=3)
    contract = {
        "market", "algorithm", "version", "cutoff", "trials", "folds", "mse", "mse_zero", "ic", "ic_ci",
        "classification", "pool_value", "interval_coverage",
    }  # fmt: skip
    assert contract <= set(row)
    assert set(row["classification"]) == {
        "0", "1", "accuracy", "base_rate", "effective_n", "no_skill_precision",
    }  # fmt: skip
    for name in ("0", "1"):
        assert set(row["classification"][name]) == {"precision", "recall", "f1", "support"}
    assert set(row["pool_value"]) == {"seed", "gross", "net", "net_ci", "fee_bps", "slippage_bps", "trades", "rules"}
    assert (row["trials"], row["folds"], row["cutoff"]) == (5, 3, "2024-01-01T00:00:00+00:00")
    assert (row["pool_value"]["fee_bps"], row["pool_value"]["slippage_bps"]) == (10, 2)
    assert len(row["ic_ci"]) == len(row["pool_value"]["net_ci"]) == 2
    assert row["pool_value"]["net"] < row["pool_value"]["gross"]
    assert row["pool_value"]["trades"] == made.pool.trades > 48
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_the_seed_figure_reads_only_known_outcomes():
    closes = make_market()
    rows = make_predictions(closes)
    made = evaluate(rows, closes, interval="1h", costs=COSTS, seed=1, draws=0)
    assert made.pool.seed == pytest.approx(replaced_formula(rows.drop_nulls("realised_return")))
    assert made.pool.seed == pytest.approx(made.pool.gross)


def test_figures_that_do_not_exist_are_null():
    closes = make_closes(30)
    rows = make_predictions(closes).with_columns(predicted_return=pl.lit(0.01))
    made = evaluate(rows, closes.clear(), interval="1h", costs=COSTS, seed=1)
    row = report_row(made, COSTS, trials=1, folds=1)
    assert (made.pool, made.control, made.candidate.net) == (None, None, None)
    assert (row["ic"], row["ic_ci"], row["pool_value"]["net_ci"]) == (None, [None, None], [None, None])
    assert (row["pool_value"]["net"], row["pool_value"]["trades"]) == (None, 0)
    json.dumps(row, allow_nan=False)


def test_numbers_that_are_not_finite_become_null():
    assert finite({"a": [1.0, math.nan, (math.inf, "x")], "b": None, "c": 3}) == {
        "a": [1.0, None, [None, "x"]],
        "b": None,
        "c": 3,
    }


def test_the_same_seed_gives_the_same_report():
    rows = [report_row(make_evaluation(), COSTS, trials=1, folds=1) for _ in range(2)]
    assert rows[0] == rows[1]


def with_values(algorithm: str, *, net: float, low: float, held: float, ic_low: float = -0.1, mse: float = 2.0):
    made = make_evaluation(days=4, draws=0, algorithm=algorithm)
    return replace(
        made,
        pool=replace(made.pool, net=net, net_ci=(low, net + 1)),
        control=Control(gross=held, net=held),
        score=replace(made.score, ic_ci=(ic_low, 0.5), mse=mse, mse_zero=1.0),
    )


def test_words_when_nothing_works():
    lines = verdict_in_words([with_values("ridge", net=0.9, low=0.5, held=1.02)])
    assert lines == [
        "No model beats the control (1.020 by holding) after costs.",
        "No model's IC is clear of zero at 90 %.",
        "No model has a lower squared error than predicting zero.",
    ]


def test_words_when_some_do():
    ridge = with_values("ridge", net=1.4, low=0.8, held=1.02, ic_low=0.01, mse=0.9)
    lasso = with_values("lasso", net=1.5, low=1.1, held=1.02, mse=0.8)
    huber = with_values("huber", net=0.5, low=0.1, held=1.02)
    lines = verdict_in_words([ridge, lasso, huber])
    assert "ridge, lasso beat the control (1.020 by holding) after costs" in lines[0]
    assert "with its 90 % interval only lasso" in lines[0]
    assert lines[1] == "The IC of ridge is above zero with its 90 % interval."
    assert lines[2] == "ridge, lasso have a lower squared error than predicting zero."
    assert "none of them with its 90 % interval" in verdict_in_words([ridge])[0]
    assert verdict_in_words([ridge])[2].startswith("ridge has")


def test_words_before_any_hold_has_ended():
    made = replace(make_evaluation(days=4), pool=None, control=None)
    assert verdict_in_words([made])[0] == "No 24 hour hold has ended yet: no pool value."


def test_predictions_that_know_the_future_would_show():
    made = make_evaluation(skill=1.0)
    assert made.score.mse == pytest.approx(0.0, abs=1e-12)
    assert made.score.ic == pytest.approx(1.0)
    assert made.score.classification.accuracy == 1.0
    assert made.pool.net > made.control.net
