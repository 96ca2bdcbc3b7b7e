from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptobot_assets.exchange.market import Series
from cryptobot_assets.exchange.wire import CSV_ROW, JSON_ROW, render
from cryptobot_assets_tests.exchange.markets import START_MS, make_series


def parsed(klines: Series, **options: bool) -> list[list]:
    text = render(klines, step_ms=60_000, layout=JSON_ROW, **options).text
    return json.loads(b"[" + text[:-1] + b"]")


def test_a_row_has_the_twelve_fields_of_the_exchange() -> None:
    klines = make_series(1, quote_volume=[1234.5], taker_volume=[0.5], taker_quote_volume=[50.25])
    klines = Series(**{**klines.columns, "trades": np.array([7])})
    assert parsed(klines) == [
        [
            START_MS, "100.00000000", "102.00000000", "99.00000000", "101.00000000", "1.00000000",
            START_MS + 59_999, "1234.50000000", 7, "0.50000000", "50.25000000", "0",
        ]
    ]  # fmt: skip


def test_what_was_not_recorded_is_estimated_or_nothing() -> None:
    (row,) = parsed(make_series(1, volume=[2]))
    assert row[7:] == [f"{2 * (100 + 102 + 99 + 101) / 4:.8f}", 0, "0.00000000", "0.00000000", "0"]


def test_microseconds_scale_both_times() -> None:
    (row,) = parsed(make_series(1), microseconds=True)
    assert (row[0], row[6]) == (START_MS * 1000, START_MS * 1000 + 59_999_999)


def test_csv_rows_have_neither_quotes_nor_a_header() -> None:
    lines = render(make_series(2), step_ms=60_000, layout=CSV_ROW).text.decode().splitlines()
    assert lines[0].split(",")[:3] == [str(START_MS), "100.00000000", "102.00000000"]
    assert [len(line.split(",")) for line in lines] == [12, 12]


def test_rows_can_be_cut_at_their_offsets() -> None:
    rows = render(make_series(50), step_ms=60_000, layout=CSV_ROW)
    assert rows.between(10, 12).splitlines() == rows.text.splitlines()[10:12]


def test_no_rows_are_no_text() -> None:
    assert render(make_series(0), step_ms=60_000, layout=JSON_ROW).text == b""


AMOUNTS = st.one_of(
    st.floats(0, 1e15, allow_nan=False),
    st.integers(0, 10**15).map(lambda units: units / 10**8),
    st.sampled_from([0.0, 1e-8, 0.99999999, 0.999999996, 9999.0, 9999.999999999, 10_000.0, 123456789.12]),
)


@given(st.lists(AMOUNTS, min_size=1, max_size=30))
def test_every_amount_is_written_with_its_nearest_eight_decimals(amounts: list[float]) -> None:
    rows = parsed(make_series(len(amounts), volume=amounts))
    for amount, row in zip(amounts, rows, strict=True):
        assert abs(float(row[5]) - amount) <= 5.1e-9 + np.spacing(amount)
        assert len(row[5].split(".")[1]) == 8
        assert row[5][0] != "0" or row[5].startswith("0.")


@given(st.integers(1, 9 * 10**15))
def test_a_number_of_eight_decimals_survives_the_wire(units: int) -> None:
    amount = units / 10**8
    assert float(parsed(make_series(1, volume=[amount]))[0][5]) == pytest.approx(amount, rel=0, abs=0)
