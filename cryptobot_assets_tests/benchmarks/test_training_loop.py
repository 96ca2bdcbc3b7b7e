"""What both ways of the training loop are asked for, and when their answers count as the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from benchmarks.peers.training_loop import BEFORE, OURS, PEER, PERIOD_DAYS, alike, make_plan

START = datetime(2025, 1, 1, tzinfo=UTC)
ROWS = 100


def hours(currency: str, first: int, last: int) -> pl.DataFrame:
    times = pl.datetime_range(START + timedelta(hours=first), START + timedelta(hours=last), "1h", eager=True)
    return pl.DataFrame({"currency": currency, "time": times})


@pytest.mark.parametrize("last", [2_000, 12_400])
def test_windows_lie_where_every_currency_has_features_and_klines(last: int):
    plan = make_plan(pl.concat([hours("AUSDT", 0, last), hours("BUSDT", 60, last - 5)]))
    first, end = (datetime.strptime(plan[name], "%Y%m%d").replace(tzinfo=UTC) for name in ("first", "end"))
    assert plan["windows"] >= 2 and end - first == plan["windows"] * timedelta(days=PERIOD_DAYS)
    assert first - timedelta(days=plan["train_days"]) - BEFORE >= START + timedelta(hours=60)
    assert end <= START + timedelta(hours=last - 5)


def answers(folder, *, noise: float = 0.0, rows: int = ROWS) -> dict[str, dict]:
    random = np.random.default_rng(1)
    truth = random.standard_normal(ROWS)
    frame = hours("AUSDT", 0, ROWS - 1).with_columns(predicted_return=truth, realised_return=truth)
    frame.write_parquet(folder / "ours.parquet")
    theirs = pl.Series(truth + noise * random.standard_normal(ROWS))
    frame.with_columns(predicted_return=theirs).drop("realised_return").write_parquet(folder / "peer.parquet")
    return {
        OURS: {"predictions": str(folder / "ours.parquet"), "trained": [[500, 33]]},
        PEER: {"predictions": str(folder / "peer.parquet"), "trained": [[rows + 400, 33]]},
    }


def test_the_same_rows_and_near_predictions_are_told(tmp_path):
    told = alike(answers(tmp_path, noise=0.01))
    assert "500 rows x 33 (ours), 500 rows x 33 (FreqAI)" in told and "correlation 0.9999" in told


@pytest.mark.parametrize("wrong", [{"noise": 0.5}, {"rows": ROWS + 1}])
def test_other_rows_or_predictions_end_the_session(tmp_path, wrong: dict):
    with pytest.raises(RuntimeError, match="correlation"):
        alike(answers(tmp_path, **wrong))
