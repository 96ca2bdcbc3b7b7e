"""`cryptobot holdout open` without a holdout or a reason."""

from __future__ import annotations

from cryptobot_assets_tests.cli.conftest import Run


def test_opening_needs_a_holdout_and_a_reason(run: Run) -> None:
    assert "CRYPTOBOT_HOLDOUT_FROM" in run("holdout", "open", "--reason", "why not").require_refusal(2)
    assert "--reason" in run("holdout", "open").require_refusal(2)
    refused = run("holdout", "open", "--reason", "  ", HOLDOUT_FROM="2025-01-01")
    assert "--reason must say why" in refused.require_refusal(2)
    refused = run("holdout", "open", "--reason", "x", HOLDOUT_FROM="tomorrow")
    assert "CRYPTOBOT_HOLDOUT_FROM" in refused.require_refusal(2)
