"""What a check tells: whether its sentence held, where not, and how bad that is."""

from __future__ import annotations

import dagster as dg
import polars as pl

from cryptobot_assets.checks.findings import MOST_PLACES, Check, Findings, specs
from cryptobot_assets.contracts.factories import hours_after, make_times

HARD = Check("rows_are_right", "All of them.", blocking=True)
SOFT = Check("rows_are_likely", "Most of them.", severity=dg.AssetCheckSeverity.WARN)


def places(count: int) -> pl.DataFrame:
    return pl.DataFrame({"currency": ["BTCUSDT"] * count, "time": make_times(max(count, 1))[:count], "close": 0.5})


def test_a_sentence_that_holds_has_nothing_to_tell():
    findings = Findings((HARD, SOFT))
    findings.rows += 7
    findings.add(HARD.name, places(0))
    hard, soft = findings.results("klines")
    assert hard.passed and soft.passed and hard.description is None
    assert {name: value.value for name, value in hard.metadata.items()} == {"rows_looked_at": 7, "found": 0}
    assert findings.holds(HARD.name, SOFT.name)


def test_where_it_does_not_hold_the_first_places_are_told():
    findings = Findings((HARD, SOFT))
    findings.add(SOFT.name, places(MOST_PLACES - 1))
    findings.add(SOFT.name, places(3))
    hard, soft = findings.results("klines_02")
    assert hard.passed and not soft.passed
    assert (soft.asset_key, soft.check_name) == (dg.AssetKey("klines_02"), SOFT.name)
    assert soft.severity == dg.AssetCheckSeverity.WARN
    assert soft.description == "not so in 22 places, first BTCUSDT 2024-01-01 00:00, close 0.5"
    lines = soft.metadata["places"].value.splitlines()
    assert len(lines) == MOST_PLACES + 1
    assert lines[-1] == "- and 2 more"
    assert findings.holds(HARD.name) and not findings.holds(HARD.name, SOFT.name)


def test_specs_say_what_blocks():
    hard, soft = specs((HARD, SOFT), "klines")
    assert (hard.name, hard.asset_key, hard.blocking) == (HARD.name, dg.AssetKey("klines"), True)
    assert (soft.blocking, soft.description) == (False, SOFT.description)


def test_times_are_told_to_the_minute():
    findings = Findings((HARD,))
    findings.add(HARD.name, pl.DataFrame({"currency": ["A"], "time": [hours_after(1.5)]}))
    (result,) = findings.results("klines")
    assert result.description == "not so in 1 place, first A 2024-01-01 01:30"
