"""The audit: every planted leak is caught by the check meant for it, and the untouched pipelines pass."""

from __future__ import annotations

import polars as pl
import pytest

from cryptobot_assets.audit.checks import CHECKS, audit
from cryptobot_assets.audit.leaks import LEAKS
from cryptobot_assets.audit.pipeline import OWN, RANKED, Pipeline, make_market
from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.relative import RELATIVE_FEATURES

CAUGHT_BY = {
    "a column shifted from the future": "features know no future",
    "a centred window": "features know no future",
    "scaling by the whole series": "features know no future",
    "back-filled holes": "features know no future",
    "the label as a feature": "labels are no features",
    "a sum that runs to the end": "features know no future",
    "statistics of all currencies from the future": "features know no future",
    "ranks among survivors": "features know no length",
    "the unfinished kline": "no row is unfinished",
    "labels before their time": "no label is early",
    "rows repeated across the split": "no row is twice",
    "shuffled folds": "folds run forward",
    "no purge": "training labels end before the test",
    "test rows in training": "no row is twice",
    "a scaler fitted on test rows": "fitting reads training rows alone",
    "tuning on the test span": "choices know no outcome",
    "a universe of survivors": "the universe is of its time",
}


@pytest.fixture(scope="module")
def klines() -> pl.DataFrame:
    return make_market(0)


@pytest.mark.parametrize("pipeline", [OWN, RANKED], ids=["own", "ranked"])
def test_the_untouched_pipeline_passes(pipeline: Pipeline, klines: pl.DataFrame):
    findings = list(audit(pipeline, klines))
    assert [finding for finding in findings if not finding.passed] == []
    assert [finding.check for finding in findings] == list(CHECKS)


def test_every_column_is_looked_at(klines: pl.DataFrame):
    end = klines["time"].max()
    assert set(DEFAULT_FEATURES) < set(OWN.rows(klines, end).features)
    assert "ma25_99d_scale" in OWN.rows(klines, end).features
    assert RANKED.rows(klines, end).features == RELATIVE_FEATURES


def test_at_least_twelve_leaks_are_planted_and_each_has_its_check():
    assert set(CAUGHT_BY) == set(LEAKS)
    assert len(LEAKS) >= 12
    assert set(CAUGHT_BY.values()) <= set(CHECKS)


@pytest.mark.parametrize("leak", LEAKS)
def test_the_leak_is_caught(leak: str, klines: pl.DataFrame):
    pipeline, check = LEAKS[leak], CHECKS[CAUGHT_BY[leak]]
    passed, told = check(pipeline, klines, pipeline.rows(klines, klines["time"].max() + HOUR))
    assert not passed, told
