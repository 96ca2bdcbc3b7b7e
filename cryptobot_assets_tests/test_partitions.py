"""Partitions: from keys to spans of time and back, and what each reads upstream."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from math import prod
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptobot_assets.domain.indicators import LOOKBACK
from cryptobot_assets.partitions import Group, Partitions, Span, model_key
from cryptobot_assets.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")
NOW = datetime(2024, 6, 15, 12, tzinfo=UTC)


def make_partitions(home: Path, *, span: str = "day", **settings: object) -> Partitions:
    chosen = {"start_day": date(2024, 1, 15), "currencies": "BTCUSDT,ETHUSDT", "train_days": 40, **settings}
    return Partitions(Settings.load(home=home, interval="1m" if span == "day" else "1h", partition=span, **chosen))


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def names(count: int) -> str:
    return ",".join(f"C{number:03}USDT" for number in range(count))


def upstream(
    mapping: dg.PartitionMapping,
    downstream: dg.PartitionsDefinition,
    key: str,
    partitions: Partitions,
    group: Group | None = None,
) -> list[str]:
    subset = downstream.empty_subset().with_partition_keys([key])
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, downstream, partitions.market_data(group or partitions.groups[0]), current_time=NOW
    )
    return sorted(found.partitions_subset.get_partition_keys())


def test_keys_of_days_begin_at_the_first_and_end_with_today(tmp_path: Path):
    keys = make_partitions(tmp_path).spans.get_partition_keys(current_time=NOW)
    assert (keys[0], keys[-1]) == ("2024-01-15", "2024-06-15")


def test_keys_of_months_begin_with_the_month_of_the_first_day(tmp_path: Path):
    partitions = make_partitions(tmp_path, span="month")
    keys = partitions.spans.get_partition_keys(current_time=NOW)
    assert (keys[0], keys[-1], len(keys)) == ("2024-01-01", "2024-06-01", 6)
    assert partitions.span_name == "month"


def test_key_dimensions_come_in_the_order_of_their_names(tmp_path: Path):
    for span in ("day", "month"):
        partitions = make_partitions(tmp_path, span=span)
        assert partitions.market_data(partitions.groups[0]).partition_dimension_names == ["currency", span]
    assert partitions.models.partition_dimension_names == ["cutoff", "market"]
    assert partitions.markets == ("ALL", "BTCUSDT", "ETHUSDT")


def test_a_key_is_a_half_open_span(tmp_path: Path):
    assert make_partitions(tmp_path).span("2024-02-29") == (day("2024-02-29"), day("2024-03-01"))
    months = make_partitions(tmp_path, span="month")
    assert months.span("2024-02-01") == (day("2024-02-01"), day("2024-03-01"))
    assert months.span("2023-12-01") == (day("2023-12-01"), day("2024-01-01"))


@pytest.mark.parametrize("span", ["day", "month"])
def test_spans_of_keys_touch_without_overlap(tmp_path: Path, span: str):
    partitions = make_partitions(tmp_path, span=span)
    keys = partitions.spans.get_partition_keys(current_time=NOW)
    spans = [partitions.span(key) for key in keys]
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    for key, (start, end) in zip(keys, spans, strict=True):
        window = partitions.spans.time_window_for_partition_key(key)
        assert (window.start, window.end) == (start, end)


def test_neighbouring_keys_of_a_currency_are_joined(tmp_path: Path):
    keys = [
        "ETHUSDT|2024-02-29", "BTCUSDT|2024-03-02", "BTCUSDT|2024-02-29", "BTCUSDT|2024-03-01", "BTCUSDT|2024-03-05",
    ]  # fmt: skip
    assert make_partitions(tmp_path).spans_of(keys) == [
        Span("BTCUSDT", day("2024-02-29"), day("2024-03-03")),
        Span("BTCUSDT", day("2024-03-05"), day("2024-03-06")),
        Span("ETHUSDT", day("2024-02-29"), day("2024-03-01")),
    ]
    months = make_partitions(tmp_path, span="month")
    assert months.spans_of(["BTCUSDT|2023-12-01", "BTCUSDT|2024-01-01"]) == [
        Span("BTCUSDT", day("2023-12-01"), day("2024-02-01"))
    ]
    assert months.spans_of([]) == []


def test_days_find_the_keys_that_hold_them(tmp_path: Path):
    assert make_partitions(tmp_path).span_keys(date(2024, 2, 28), date(2024, 3, 1)) == [
        "2024-02-28",
        "2024-02-29",
        "2024-03-01",
    ]
    months = make_partitions(tmp_path, span="month")
    assert months.span_keys(date(2023, 12, 31), date(2024, 2, 1)) == ["2023-12-01", "2024-01-01", "2024-02-01"]
    assert months.span_keys(date(2024, 2, 3), date(2024, 2, 3)) == ["2024-02-01"]


@pytest.mark.parametrize(("span", "days"), [("day", 7), ("day", 1), ("month", 1), ("month", 60), ("month", 10_000)])
def test_blocks_cover_a_span_in_whole_partitions(tmp_path: Path, span: str, days: int):
    partitions = make_partitions(tmp_path, span=span)
    whole = Span("BTCUSDT", day("2023-11-01"), day("2024-06-01"))
    blocks = list(partitions.blocks(whole, days))
    assert (blocks[0].start, blocks[-1].end) == (whole.start, whole.end)
    assert all(before.end == after.start for before, after in pairwise(blocks))
    assert all(one.currency == "BTCUSDT" and one.start < one.end for one in blocks)
    assert all(one.end - one.start >= timedelta(days=days) for one in blocks[:-1])
    longest = timedelta(days=days + (31 if span == "month" else 0))
    assert all(one.end - one.start <= longest for one in blocks)
    if span == "month":
        assert all(one.start.day == one.end.day == 1 for one in blocks)


def test_a_day_of_indicators_reads_the_28_days_before(tmp_path: Path):
    partitions = make_partitions(tmp_path)
    keys = upstream(partitions.lookback, partitions.market_data(partitions.groups[0]), "BTCUSDT|2024-05-01", partitions)
    assert (keys[0], keys[-1], len(keys)) == ("BTCUSDT|2024-04-03", "BTCUSDT|2024-05-01", 29)
    early = upstream(
        partitions.lookback, partitions.market_data(partitions.groups[0]), "BTCUSDT|2024-01-16", partitions
    )
    assert early == ["BTCUSDT|2024-01-15", "BTCUSDT|2024-01-16"]


@pytest.mark.parametrize("month", ["2024-03-01", "2024-05-01"])
def test_a_month_of_indicators_reads_the_month_before_which_holds_the_lookback(tmp_path: Path, month: str):
    partitions = make_partitions(tmp_path, span="month")
    before, same = upstream(
        partitions.lookback, partitions.market_data(partitions.groups[0]), f"ETHUSDT|{month}", partitions
    )
    assert same == f"ETHUSDT|{month}"
    start = partitions.span(before.split("|")[1])[0]
    assert start <= day(month) - LOOKBACK


def test_a_model_learns_up_to_the_day_before_its_cutoff(tmp_path: Path):
    partitions = make_partitions(tmp_path)
    one = upstream(
        partitions.training_window(partitions.groups[0]), partitions.models, "2024-05-20|ETHUSDT", partitions
    )
    assert one == ["ETHUSDT|2024-05-19"]
    pooled = upstream(partitions.training_window(partitions.groups[0]), partitions.models, "2024-05-20|ALL", partitions)
    assert pooled == ["BTCUSDT|2024-05-19", "ETHUSDT|2024-05-19"]


def test_a_model_of_a_cutoff_on_the_first_reads_no_later_month(tmp_path: Path):
    partitions = make_partitions(tmp_path, span="month")
    keys = upstream(
        partitions.training_window(partitions.groups[0]), partitions.models, "2024-05-01|BTCUSDT", partitions
    )
    assert keys == ["BTCUSDT|2024-04-01"]


def test_a_model_of_every_currency_learns_from_every_group_and_one_of_a_currency_from_its_own(tmp_path: Path):
    partitions = make_partitions(tmp_path, currencies=names(25))
    found = {
        (group.number, market): {
            key.split("|")[0]
            for key in upstream(
                partitions.training_window(group), partitions.models, f"2024-05-20|{market}", partitions, group
            )
        }
        for group in partitions.groups
        for market in ("ALL", "C003USDT")
    }
    first, second = (set(group.currencies) for group in partitions.groups)
    assert found == {(1, "ALL"): first, (2, "ALL"): second, (1, "C003USDT"): {"C003USDT"}, (2, "C003USDT"): set()}


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=90, unique=True), st.integers(0, 90))
def test_a_currency_named_later_moves_none(numbers: list[int], earlier: int):
    currencies = [f"N{number}USDT" for number in numbers]
    whole = make_groups(",".join(currencies))
    assert [name for group in whole for name in group.currencies] == currencies
    assert all(1 <= len(group.currencies) <= 20 for group in whole)
    assert len({group.asset("klines") for group in whole}) == len(whole)
    before = make_groups(",".join(currencies[: max(1, earlier)]))
    places = {name: group.number for group in whole for name in group.currencies}
    assert all(places[name] == group.number for group in before for name in group.currencies)


def make_groups(currencies: str) -> tuple[Group, ...]:
    return make_partitions(Path("/nowhere"), currencies=currencies).groups


@pytest.mark.parametrize("span", ["day", "month"])
def test_no_asset_of_two_hundred_currencies_since_2017_has_too_many_partitions(tmp_path: Path, span: str):
    partitions = make_partitions(tmp_path, span=span, currencies=names(200), start_day=date(2017, 8, 17))
    definitions = [partitions.market_data(group) for group in partitions.groups]
    now = datetime(2027, 1, 1, tzinfo=UTC)
    counts = [
        prod(len(dimension.partitions_def.get_partition_keys(current_time=now)) for dimension in one.partitions_defs)
        for one in definitions
    ]
    assert sum(counts) >= 200 * 113
    assert max(counts) < 100_000
    models = len(partitions.markets) * (date(2027, 1, 1) - date(2017, 8, 17)).days
    assert models < 100_000
    assert partitions.markets == ("ALL", *partitions.settings.currencies[:20])


def test_a_small_universe_is_one_group_without_a_suffix(tmp_path: Path):
    (group,) = make_partitions(tmp_path).groups
    assert group.asset("klines") == "klines"
    (months,) = make_partitions(tmp_path, span="month", currencies=names(87)).groups
    assert len(months.currencies) == 87


def test_a_model_s_key_names_its_day_and_market():
    assert model_key("ALL", date(2024, 5, 13)) == "2024-05-13|ALL"
    late = datetime(2024, 5, 14, 1, tzinfo=timezone(timedelta(hours=2)))
    assert model_key("BTCUSDT", late) == "2024-05-13|BTCUSDT"
