"""A share of the seeded fault schedules: after each the rows are those of an undisturbed run, none lost, none twice.

`benchmarks/fault_schedules.py` runs as many as one likes.
"""

from __future__ import annotations

import polars as pl
import pytest

from cryptobot_assets.storage.store import KLINES, Table
from cryptobot_assets_tests.faults.checks import Lost
from cryptobot_assets_tests.faults.ingestion import FragileStore
from cryptobot_assets_tests.faults.runner import Broken, run_seed
from cryptobot_assets_tests.faults.schedules import AWAY, CUTS, IN_BETWEEN, MODES, draw_schedule

pytestmark = [pytest.mark.platform, pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")]
SEEDS = range(24)


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_come_right_whatever_happens(seed: int) -> None:
    outcome = run_seed(seed, kills=0.0)
    assert sum(outcome.ends.values()) > 0


@pytest.mark.parametrize("seed", [20])
def test_rows_come_right_after_a_kill(seed: int) -> None:
    outcome = run_seed(seed, kills=1.0)
    assert CUTS["kill"] in outcome.can_go_wrong


def test_a_seed_draws_one_schedule() -> None:
    one, again, other = (draw_schedule(seed, kills=0.1).steps for seed in (7, 7, 8))
    assert one == again != other
    drawn = set().union(*(draw_schedule(seed, kills=0.1).names for seed in range(200)))
    assert {*MODES, *CUTS.values(), AWAY, IN_BETWEEN} <= drawn


def test_a_lost_row_is_found_and_told_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store forgets the last row of what it is given."""
    replace = FragileStore.replace

    def forget(self: FragileStore, table: Table, rows: pl.DataFrame, **span: object) -> int:
        return replace(self, table, rows.head(-1) if table is KLINES else rows, **span)

    monkeypatch.setattr(FragileStore, "replace", forget)
    with pytest.raises(Broken, match=r"^seed 2: after .*: klines of .* 1 lost, .*--seed 2 --kills 0.0$") as broken:
        run_seed(2, kills=0.0)
    assert isinstance(broken.value.__cause__, Lost)
