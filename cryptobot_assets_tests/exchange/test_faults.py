from __future__ import annotations

import json
import random

import pytest

from cryptobot_assets.errors import UsageError
from cryptobot_assets.exchange.faults import (
    LACKING_MODES,
    ROW_MODES,
    FaultDraws,
    FaultPlan,
    LeftOut,
    parse_faults,
    spoil_checksum,
    spoil_rows,
)

PAGE = [[1_735_689_600_000 + 60_000 * n, "100.0", "102.0", "99.0", f"{101 + n}.0", "1.0", 0] for n in range(5)]


def test_a_plan_is_read() -> None:
    plan = parse_faults("429:0.01, reset:0.02,seed=5,skew:-2.5,unfinished:0.5,hang=3,retry_after=7")
    assert plan == FaultPlan(
        chances={"429": 0.01, "reset": 0.02},
        skew_seconds=-2.5,
        unfinished_share=0.5,
        hang_seconds=3,
        retry_after_seconds=7,
        seed=5,
    )


@pytest.mark.parametrize("nothing", [None, "", " , "])
def test_no_plan_is_no_fault(nothing: str | None) -> None:
    assert parse_faults(nothing) == FaultPlan()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reste:0.1", "unknown fault 'reste:0.1'.*403, 418, 429.*reset, timeout.*duplicate.*skew"),
        ("404:0.1", "unknown fault"),
        ("reset", "no number"),
        ("reset:x", "no number"),
        ("reset:1.5", "between 0 and 1"),
        ("reset:-1", "between 0 and 1"),
        ("reset:nan", "finite"),
        ("unfinished:2", "between 0 and 1"),
        ("reset:0.6,truncate:0.6", "add up to more than 1"),
        ("seed:inf", "finite"),
        ("hang:-1", "0 or more"),
    ],
)
def test_a_bad_plan_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_faults(text)


def test_draws_repeat_with_their_seed_and_change_with_each_retry() -> None:
    plan = parse_faults("500:0.3,reset:0.2,seed=3")
    first, second = FaultDraws(plan), FaultDraws(plan)
    targets = [f"/klines?page={page % 50}" for page in range(2000)]
    modes = [first.draw(target)[0] for target in targets]
    shuffled = random.Random(1).sample(range(50), 50)
    assert [second.draw(targets[page])[0] for page in shuffled] == [modes[page] for page in shuffled]
    assert modes[:50] != modes[50:100]
    assert modes.count("500") == pytest.approx(600, abs=80)
    assert modes.count("reset") == pytest.approx(400, abs=80)


def spoiled(mode: str) -> list[list]:
    return json.loads(spoil_rows(mode, json.dumps(PAGE).encode(), random.Random(4)))


def test_each_mode_of_rows_spoils_in_its_own_way() -> None:
    assert len(spoiled("duplicate")) == 6
    assert sorted(spoiled("disorder")) == PAGE and spoiled("disorder") != PAGE
    assert [row[0] % 60_000 == 0 for row in spoiled("offgrid")].count(False) == 1
    (inverted,) = (row for row, was in zip(spoiled("inverted"), PAGE, strict=True) if row != was)
    assert float(inverted[2]) < float(inverted[1]) < float(inverted[3])
    assert [row[4] for row in spoiled("nonfinite")].count("NaN") == 1
    assert min(map(len, spoiled("short"))) < 7
    assert 0 < len(spoiled("lost")) < 5 and [row for row in PAGE if row in spoiled("lost")] == spoiled("lost")
    assert spoiled("empty") == []


@pytest.mark.parametrize("mode", ROW_MODES)
def test_pages_without_enough_rows_are_left(mode: str) -> None:
    assert json.loads(spoil_rows(mode, b"[]", random.Random(1))) == []


@pytest.mark.parametrize("mode", LACKING_MODES)
def test_a_row_is_left_out_once(mode: str) -> None:
    body, left_out = json.dumps(PAGE).encode(), LeftOut()
    seen: list[list] = []
    for seed in range(20):
        rows = json.loads(left_out.once("BTCUSDT 1m", body, spoil_rows(mode, body, random.Random(seed))))
        assert [row for row in PAGE if row not in rows and row in seen] == []
        seen += [row for row in PAGE if row not in rows]
    assert sorted(seen) == PAGE
    assert json.loads(left_out.once("ETHUSDT 1m", body, b"[]")) == []


def test_a_spoiled_checksum_is_still_one_in_form() -> None:
    line = b"0" * 64 + b"  A.zip\n"
    assert spoil_checksum(line) != line
    assert len(spoil_checksum(line)) == len(line)
