"""The model card that people read: whole, honest about what is not known, and safe Markdown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cryptobot_assets.domain.model_card import NOT_EVALUATED, SIMULATED, Facts, Judged, abridged, model_card

FACTS = Facts(
    market="ALL",
    algorithm="ridge",
    cutoff="2025-09-01T00:00:00+00:00",
    params={
        "features": "close_lag_1h,ma7_25h_scale", "interval": "1h", "training_rows": 1234, "start_time": "2025-01-01",
        "end_time": "2025-08-31", "rows_lacking_a_feature": 7, "prediction_definition": "close 24 h later / close - 1",
    },
    metrics={"cv_mse": 0.0012, "cv_mse_zero": 0.0013, "coverage_90": 0.91, "oos_ic": 0.5},
    tags={"git_commit": "c0ffee", "store_version": "indicators@5", "market_source": "recorded klines"},
    tuned={"alpha": 0.25},
)  # fmt: skip
FIGURES = {
    "market": "ALL", "algorithm": "ridge", "rows": 14_520, "mse": 0.00125, "mse_zero": 0.00126, "ic": 0.107,
    "ic_ci": [0.059, 0.158], "classification": {"1": {"precision": 0.557}, "base_rate": 0.53, "effective_n": 245.2},
    "pool_value": {"net": 2.031, "net_ci": [1.302, 3.484], "fee_bps": 10.0, "slippage_bps": 2.0},
    "interval_coverage": {"rate": 0.88},
}  # fmt: skip
JUDGED = Judged(
    figures=FIGURES, control={"net": 1.437, "btc": {"net": 1.341}}, promote=False, reasons=["no more than luck"]
)


def test_before_an_evaluation_it_says_so() -> None:
    card = model_card(FACTS)
    assert card.startswith("# ridge for ALL, as of 2025-09-01\n")
    assert f"**Unproven.** {NOT_EVALUATED}" in card
    for told in (
        "close 24 h later / close - 1", "1234 rows from 2025-01-01 to 2025-08-31", "7 rows lacked", "c0ffee",
        "indicators@5", "recorded klines", "- alpha: 0.25", "`close_lag_1h`", "| zero: 0.0013 |",
        "| coverage 90 | 0.91 |", "## Known limits",
    ):  # fmt: skip
        assert told in card
    assert "IC (90 %)" not in card and "oos" not in card and SIMULATED not in card


def test_after_an_evaluation_every_figure_stands_beside_what_is_free() -> None:
    card = model_card(FACTS, JUDGED)
    assert "**Unproven**: it did not pass the promotion gate." in card and "- no more than luck" in card
    for told in (
        "| IC (90 %) | 0.107 (0.059 to 0.158) | 0 without skill |",
        "| precision up | 0.557 | base rate: 0.53 |",
        "| independent samples | 245 | of 14,520 rows |",
        "net of 10 + 2 bps a side (90 %) | 2.031 (1.302 to 3.484) | holding all: 1.437, BTC: 1.341 |",
        "| interval coverage / rate | 0.88 |  |",
    ):
        assert told in card


@pytest.mark.parametrize(("promote", "word"), [(True, "**Passed**"), (None, "another candidate")])
def test_the_verdict_is_the_gates(promote: bool | None, word: str) -> None:
    assert word in model_card(FACTS, replace(JUDGED, promote=promote))


def test_a_simulated_market_is_told() -> None:
    assert SIMULATED in model_card(replace(FACTS, tags={"market_source": "simulated market, seed 7"}))


def test_text_from_outside_cannot_become_markup() -> None:
    hostile = "</x><img src=a onerror=b>|[c](d)"
    card = model_card(replace(FACTS, market=hostile, algorithm=hostile), replace(JUDGED, reasons=[hostile]))
    assert "<img" not in card.replace("\\<", "") and "|[c]" not in card.replace("\\|", "").replace("\\[", "")


def test_a_long_card_is_cut_between_lines_and_says_so() -> None:
    card = model_card(FACTS, JUDGED)
    cut = abridged(card, 900)
    assert len(cut) <= 900 and cut.endswith("(The rest is in its run.)\n")
    kept = cut[: cut.index("\n\n(The rest")]
    assert card.startswith(kept + "\n")
    assert abridged(card, len(card)) == card
