"""Which partitions are due, from what is recorded and what is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cryptobot_assets.automation.due import Link, klines_due, out_of_reach, ranges, read_by, recent_keys, stale
from cryptobot_assets.partitions import Partitions
from cryptobot_assets_tests.automation.ticks import CURRENCIES, keys, make_settings

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")
NOON = datetime(2024, 2, 10, 12, tzinfo=UTC)
DAYS = [f"2024-02-{day:02}" for day in range(5, 11)]


@pytest.fixture
def partitions(tmp_path: Path) -> Partitions:
    return Partitions(make_settings(tmp_path))


def known(**until: datetime) -> dict[str, int]:
    """Hours known of each day: to noon of the last one, to another instant for some currencies."""
    starts = {day: datetime.fromisoformat(day).replace(tzinfo=UTC) for day in DAYS}
    ends = dict.fromkeys(CURRENCIES, NOON) | until
    return {
        f"{currency}|{day}": min(max((end - start) // timedelta(hours=1), 0), 24)
        for currency, end in ends.items()
        for day, start in starts.items()
    }


def test_recent_keys_go_back_as_far_as_the_settings_say_and_never_before_the_first_day(tmp_path: Path):
    assert recent_keys(Partitions(make_settings(tmp_path)), NOON) == DAYS
    young = Partitions(make_settings(tmp_path, start_day="2024-02-09"))
    assert recent_keys(young, NOON) == DAYS[-2:]
    months = Partitions(make_settings(tmp_path, partition="month", catch_up_days=35))
    assert recent_keys(months, NOON) == ["2024-01-01", "2024-02-01"]
    assert recent_keys(Partitions(make_settings(tmp_path, start_day="2024-03-01")), NOON) == []


def test_a_new_platform_is_filled_as_far_as_it_looks_back(partitions: Partitions):
    assert klines_due(CURRENCIES, set(), {}, partitions, NOON) == dict.fromkeys(CURRENCIES, DAYS)


def test_where_everything_finished_is_known_nothing_is_due(partitions: Partitions):
    assert klines_due(CURRENCIES, keys(DAYS), known(), partitions, NOON) == {one: [] for one in CURRENCIES}
    seconds_later = NOON + timedelta(seconds=59)
    assert klines_due(CURRENCIES, keys(DAYS), known(), partitions, seconds_later) == {one: [] for one in CURRENCIES}


def test_the_growing_day_is_due_again_and_so_is_yesterday(partitions: Partitions):
    due = klines_due(CURRENCIES, keys(DAYS), known(ETHUSDT=NOON - timedelta(hours=1)), partitions, NOON)
    assert due == {"BTCUSDT": [], "ETHUSDT": DAYS[-2:], "LTCUSDT": []}


def test_the_first_instant_of_a_day_asks_for_the_day_that_ended(partitions: Partitions):
    midnight = NOON + timedelta(hours=12)
    due = klines_due(CURRENCIES, keys(DAYS), known(), partitions, midnight)
    assert due == {one: ["2024-02-10", "2024-02-11"] for one in CURRENCIES}


def test_days_missed_are_due_for_the_currency_that_misses_them(partitions: Partitions):
    due = klines_due(CURRENCIES, keys(DAYS), known(ETHUSDT=datetime(2024, 2, 7, 5, tzinfo=UTC)), partitions, NOON)
    assert due == {"BTCUSDT": [], "ETHUSDT": DAYS[2:], "LTCUSDT": []}


def test_a_partition_never_recorded_is_due_though_later_ones_are(partitions: Partitions):
    due = klines_due(CURRENCIES, set(keys(DAYS)) - {"LTCUSDT|2024-02-06"}, known(), partitions, NOON)
    assert due == {"BTCUSDT": [], "ETHUSDT": [], "LTCUSDT": ["2024-02-06", *DAYS[-2:]]}


def test_a_day_that_lacks_hours_is_due_though_later_ones_are_whole(partitions: Partitions):
    due = klines_due(CURRENCIES, keys(DAYS), known() | {"ETHUSDT|2024-02-06": 23}, partitions, NOON)
    assert due == {"BTCUSDT": [], "ETHUSDT": ["2024-02-06", *DAYS[-2:]], "LTCUSDT": []}


def test_what_ended_before_the_days_looked_back_to_is_out_of_reach(partitions: Partitions):
    long_ago, since = datetime(2024, 1, 20, 5, tzinfo=UTC), datetime(2024, 2, 5, tzinfo=UTC)
    newest = {"BTCUSDT": NOON, "ETHUSDT": long_ago, "LTCUSDT": since}
    assert out_of_reach(newest, partitions, NOON) == {"ETHUSDT": long_ago}
    assert out_of_reach({}, partitions, NOON) == {}


def test_nothing_is_due_of_days_on_which_a_currency_did_not_trade(partitions: Partitions):
    listed, ended = datetime(2024, 2, 9, 5, tzinfo=UTC), datetime(2024, 2, 7, 5, tzinfo=UTC)
    lives = {"ETHUSDT": (listed, None), "LTCUSDT": (ended - timedelta(days=9), ended)}
    due = klines_due(CURRENCIES, set(), {}, partitions, NOON, lives=lives)
    assert due == {"BTCUSDT": DAYS, "ETHUSDT": DAYS[-2:], "LTCUSDT": DAYS[:3]}
    recorded = keys(DAYS[-2:], ["ETHUSDT"]) + keys(DAYS[:3], ["LTCUSDT"])
    due = klines_due(CURRENCIES[1:], recorded, known(), partitions, NOON, lives=lives)
    assert due == {"ETHUSDT": [], "LTCUSDT": []}


READS_A_DAY_BEFORE = Link("klines", "indicators", days_before=1)
READS_A_DAY_AFTER = Link("indicators", "predictions", days_after=1)


@pytest.mark.parametrize(
    ("link", "again", "expected"),
    [
        (READS_A_DAY_BEFORE, None, []),
        (READS_A_DAY_BEFORE, "2024-02-06", ["2024-02-06", "2024-02-07"]),
        (READS_A_DAY_BEFORE, "2024-02-08", ["2024-02-08"]),
        (READS_A_DAY_AFTER, "2024-02-06", ["2024-02-05", "2024-02-06"]),
    ],
)
def test_a_span_is_stale_when_it_reads_one_recorded_later(
    link: Link, again: str | None, expected: list[str], partitions: Partitions
):
    recorded = dict.fromkeys(keys(DAYS[:4]), 1)
    later = {f"ETHUSDT|{again}": 3} if again else {}
    due = stale(link, CURRENCIES, {**recorded, **later}, dict.fromkeys(keys(DAYS[:4]), 2), partitions, DAYS)
    assert due == {"BTCUSDT": [], "ETHUSDT": expected, "LTCUSDT": []}


def test_a_span_without_its_source_is_not_stale_and_one_never_made_is(partitions: Partitions):
    due = stale(READS_A_DAY_BEFORE, CURRENCIES, {"BTCUSDT|2024-02-06": 1}, {}, partitions, DAYS)
    assert due == {"BTCUSDT": ["2024-02-06"], "ETHUSDT": [], "LTCUSDT": []}


def test_what_reads_a_day_are_the_days_after_it_up_to_the_last(partitions: Partitions):
    link = Link("klines", "indicators", days_before=2)
    assert read_by(link, partitions, ["2024-02-06"], "2024-03-01") == ["2024-02-06", "2024-02-07", "2024-02-08"]
    assert read_by(link, partitions, ["2024-02-06", "2024-02-07"], "2024-02-07") == ["2024-02-06", "2024-02-07"]
    assert read_by(READS_A_DAY_AFTER, partitions, ["2024-02-06"], "2024-03-01") == ["2024-02-05", "2024-02-06"]


def test_a_month_s_readers_are_months(tmp_path: Path):
    months = Partitions(make_settings(tmp_path, partition="month"))
    link = Link("klines", "indicators", days_before=99)
    assert read_by(link, months, ["2024-01-01"], "2024-12-01") == [f"2024-0{month}-01" for month in range(1, 6)]


def test_ranges_hold_all_that_is_due_in_runs_of_bearable_size():
    due = {"A": DAYS, "B": DAYS, "C": DAYS, "D": []}
    first, last = DAYS[0], DAYS[-1]
    assert ranges(due) == [(f"A|{first}", f"C|{last}")]
    assert ranges(due, most=12) == [(f"A|{first}", f"B|{last}"), (f"C|{first}", f"C|{last}")]
    assert ranges({"A": DAYS}, most=4) == [(f"A|{first}", f"A|{DAYS[3]}"), (f"A|{DAYS[4]}", f"A|{last}")]
    assert ranges({"A": [], "B": []}) == []
