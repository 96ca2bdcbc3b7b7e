"""A session whose ways read other rows or answer other predictions ends with an error."""

from __future__ import annotations

import pytest

from benchmarks.peers import serving, store_formats
from benchmarks.servers import SERVERS


def read(rows: int = 3, close: float = 6.0) -> dict:
    return {"rows": rows, "sums": {"close": close, "volume": 0.0}}


def test_the_same_rows_are_told():
    told = store_formats.same_rows({store_formats.OURS: read(), "json": read(close=6.0 + 1e-12)})
    assert "the same 3 rows" in told


@pytest.mark.parametrize("other", [read(rows=4), read(close=6.001)])
def test_other_rows_end_the_session(other: dict):
    with pytest.raises(RuntimeError, match=r"^json read"):
        store_formats.same_rows({store_formats.OURS: read(), "json": other})


def test_another_prediction_ends_the_session():
    ours = {"predicted": 0.01}
    assert serving.same_answer({serving.OURS: ours, "mlflow": {"predicted": 0.01 + 1e-12}})
    with pytest.raises(RuntimeError, match=r"^mlflow predicts"):
        serving.same_answer({serving.OURS: ours, "mlflow": {"predicted": 0.0101}})


def test_every_server_is_loaded():
    assert {key for key, _, _ in serving.WAYS.values()} == set(SERVERS)
